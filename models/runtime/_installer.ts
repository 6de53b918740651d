/** Downloads or installs wheels with what Python installer the machine has: pip, or uv running pip. */
import { join } from "node:path";
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
  const request = [`--platform`, wheel.platform, "--dest", folder, `${wheel.name}==${wheel.version}`];
  await runInstaller("download", `${wheel.name} ${wheel.version}`, request, folder, signal);
}

/**
 * Installs wheels without their dependencies into an existing empty folder, as Python's `site-packages` would hold them.
 * The installer checks their SHA-256 before it unpacks them.
 *
 * @param requirements lines `NAME==VERSION --hash=sha256:HEX`
 * @throws {PluginError} if there is no installer, or it fails
 */
export async function installWheels(requirements: string, folder: string, signal?: AbortSignal): Promise<void> {
  const list = join(folder, "requirements.txt");
  await Deno.writeTextFile(list, requirements);
  const request = ["--no-compile", "--no-cache-dir", "--require-hashes", "--target", folder, "--requirement", list];
  await runInstaller("install", requirements.split(" ")[0]!.replace("==", " "), request, folder, signal);
}

/** Runs pip; what it keeps for itself goes into a folder that the caller removes. */
async function runInstaller(
  command: "download" | "install",
  what: string,
  request: readonly string[],
  folder: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const installer = await findInstaller();
  if (installer === undefined) throw new PluginError("neither pip nor uv is installed here");
  const { code, stderr } = await run(installer, [
    ...[command, "--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--retries", "2"],
    ...["--no-deps", "--only-binary", ":all:", ...request],
  ], { env: { TMPDIR: folder }, ...(signal && { signal }) });
  signal?.throwIfAborted();
  if (code === 0) return;
  const reason = stderr.trim().split("\n").filter((line) => line.startsWith("ERROR")).at(-1) ?? stderr.trim();
  const failed = `${installer.join(" ")} could not ${command} ${what} (exit code ${code})`;
  throw new PluginError(`${failed}: ${reason.replace(/^ERROR:\s*/, "").slice(-300)}`);
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
