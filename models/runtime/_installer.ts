/** Downloads a wheel with what Python installer the machine has: pip, or uv running pip. */
import { PluginError } from "./_plugin_error.ts";

/** Commands that act as pip, best first. */
const INSTALLERS: readonly (readonly string[])[] = [
  ["pip"],
  ["pip3"],
  ["python3", "-m", "pip"],
  ["uv", "tool", "run", "pip"],
];

/** A wheel of the Python package index. */
export interface WheelRequest {
  readonly name: string;
  readonly version: string;
  /** Platform tag of the wheel, whatever Python runs here. */
  readonly platform: string;
}

/**
 * Downloads a wheel without its dependencies into an existing folder, in which the installer also keeps its own
 * temporary files, so that what grows there shows how far it is.
 *
 * @throws {PluginError} if there is no installer, or it fails
 */
export async function downloadWheel(wheel: WheelRequest, folder: string, signal?: AbortSignal): Promise<void> {
  const installer = await findInstaller();
  if (installer === undefined) throw new PluginError("neither pip nor uv is installed here");
  const { code, stderr } = await run(installer, [
    ...["download", "--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--retries", "2"],
    ...["--no-deps", "--only-binary", ":all:", "--platform", wheel.platform, "--dest", folder],
    `${wheel.name}==${wheel.version}`,
  ], { env: { TMPDIR: folder }, ...(signal && { signal }) });
  signal?.throwIfAborted();
  if (code === 0) return;
  const reason = stderr.trim().split("\n").filter((line) => line.startsWith("ERROR")).at(-1) ?? stderr.trim();
  const what = `${installer.join(" ")} could not download ${wheel.name} ${wheel.version} (exit code ${code})`;
  throw new PluginError(`${what}: ${reason.replace(/^ERROR:\s*/, "").slice(-300)}`);
}

async function findInstaller(): Promise<readonly string[] | undefined> {
  for (const installer of INSTALLERS) {
    try {
      if ((await run(installer, ["--version"])).code === 0) return installer;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return undefined;
}

async function run(
  [command, ...before]: readonly string[],
  args: readonly string[],
  options: Pick<Deno.CommandOptions, "env" | "signal"> = {},
): Promise<{ code: number; stderr: string }> {
  const child = new Deno.Command(command!, { ...options, args: [...before, ...args], stdin: "null" });
  const { code, stderr } = await child.output();
  return { code, stderr: new TextDecoder().decode(stderr) };
}
