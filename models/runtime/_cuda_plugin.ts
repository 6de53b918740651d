/**
 * XLA's plugin for CUDA and the nvidia libraries beside it: in an active Python environment, or installed by pip into a
 * folder of its own. Not tried on a GPU yet; the order of the libraries is JAX's.
 *
 * The plugin opens its libraries by name when it first needs them. It looks beside itself (`../../nvidia`), so one folder
 * that holds all wheels suffices; opening them before it also serves a plugin that lies elsewhere, since a library that is
 * there already is found by its name.
 */
import { readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { CUDA_WHEELS, type CudaWheel } from "./_cuda_wheels.ts";
import { installWheels } from "./_installer.ts";

/** Where the plugin lies among Python's packages, newest CUDA first. */
const CUDA_MEMBERS = ["jax_plugins/xla_cuda13/xla_cuda_plugin.so", "jax_plugins/xla_cuda12/xla_cuda_plugin.so"];
const TPU_MEMBERS = ["libtpu/libtpu.so"];

/** Libraries by the beginning of their name; each after those it needs. */
const LIBRARIES = [
  "libcudart",
  "libnvrtc",
  "libnvJitLink",
  "libcublasLt",
  "libcublas",
  "libcupti",
  "libcusparse",
  "libcusolver",
  "libcufft",
  "libnccl",
  "libnvshmem_host",
  "libcudnn",
];

/** The plugin for an accelerator in the active Python environment, or in those that `python3` and `python` stand for. */
export function pluginOfPython(device: "cuda" | "tpu"): string | undefined {
  const members = device === "cuda" ? CUDA_MEMBERS : TPU_MEMBERS;
  return pythonFolders().flatMap((folder) => members.map((member) => join(folder, member))).find(isFile);
}

/** The folder that the pinned wheels are installed to. */
export function cudaFolder(folder: string, wheels: readonly CudaWheel[] = CUDA_WHEELS): string {
  const [name, version, , sha256] = wheels[0]!;
  return join(folder, `${name}-${version}-${sha256.slice(0, 12)}`);
}

/** The plugin in a folder that wheels were installed to. */
export function installedCudaPlugin(folder: string): string | undefined {
  return CUDA_MEMBERS.map((member) => join(folder, member)).find(isFile);
}

/**
 * Installs the pinned wheels into an empty folder.
 *
 * @throws {PluginError} if there is no installer, or it fails
 */
export async function installCuda(
  folder: string,
  signal?: AbortSignal,
  wheels: readonly CudaWheel[] = CUDA_WHEELS,
): Promise<void> {
  const lines = wheels.map(([name, version, , sha256]) => `${name}==${version} --hash=sha256:${sha256}\n`);
  await installWheels(lines.join(""), folder, signal);
}

/** Bytes to download for CUDA. */
export function cudaBytes(wheels: readonly CudaWheel[] = CUDA_WHEELS): number {
  return wheels.reduce((sum, [, , bytes]) => sum + bytes, 0);
}

/** The nvidia libraries for a plugin, in the order in which to open them: beside it, else those of Python. */
export function cudaLibraries(plugin: string): string[] {
  const beside = dirname(dirname(dirname(plugin)));
  for (const folder of [beside, ...pythonFolders()]) {
    const files = list(join(folder, "nvidia")).flatMap((part) => {
      const libraries = join(folder, "nvidia", part, "lib");
      return list(libraries).map((name) => ({ name, path: join(libraries, name) }));
    });
    const found = LIBRARIES.flatMap((library) => {
      const pattern = new RegExp(`^${library}\\.so\\.\\d+$`);
      return files.filter(({ name }) => pattern.test(name)).map(({ path }) => path);
    });
    if (found.length > 0) return found;
  }
  return [];
}

/** Folders that Python takes packages from. */
function pythonFolders(): string[] {
  const active = ["VIRTUAL_ENV", "CONDA_PREFIX"].flatMap((variable) => {
    const root = Deno.env.get(variable);
    if (!root) return [];
    const versions = list(join(root, "lib")).filter((name) => name.startsWith("python3"));
    return versions.map((version) => join(root, "lib", version, "site-packages"));
  });
  return [...active, ...["python3", "python"].flatMap(searchPath)];
}

/** What a Python searches for packages; nothing if it is not there or may not be asked. */
function searchPath(python: string): string[] {
  try {
    const args = ["-c", "import sys; print('\\n'.join(sys.path))"];
    const { success, stdout } = new Deno.Command(python, { args, stdin: "null", stderr: "null" }).outputSync();
    return success ? new TextDecoder().decode(stdout).split("\n").filter((line) => line.startsWith("/")) : [];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) return [];
    throw error;
  }
}

/** Names in a folder; none if it cannot be listed. */
function list(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}
