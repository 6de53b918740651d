/**
 * The PJRT plugin, the shared library that holds XLA: named by `TUBELET_PJRT_PLUGIN`, or fetched once from its wheel with
 * pip or uv into the user's cache. Wheel and library are pinned by SHA-256 and checked when they are fetched; later only
 * the library's size is looked at. Any number of processes may fetch at once: a library appears whole or not at all.
 *
 * For Linux on x86-64 the CPU plugin is fetched, and the CUDA plugin with the nvidia libraries that it needs
 * (`_cuda_plugin.ts`) where no active Python environment has them. A TPU's plugin is only looked for.
 */
import { statSync } from "node:fs";
import { dirname, join } from "node:path";
import { cacheFolder } from "./_cache_folder.ts";
import { cudaBytes, cudaFolder, installCuda, installedCudaPlugin, pluginOfPython } from "./_cuda_plugin.ts";
import { downloadWheel } from "./_installer.ts";
import { sha256OfFile, unpackMember } from "./_wheel.ts";
import { PluginError } from "./_plugin_error.ts";
import { opensLibrary } from "./system_library.ts";

export { PluginError };

/** What a plugin computes on. */
export type PluginDevice = "cpu" | "cuda" | "tpu";

/** A plugin in a wheel, pinned. */
export interface PluginWheel {
  readonly name: string;
  readonly version: string;
  readonly platform: string;
  readonly file: string;
  readonly fileBytes: number;
  readonly fileSha256: string;
  /** The shared library inside. */
  readonly member: string;
  readonly memberBytes: number;
  readonly memberSha256: string;
}

const CPU_WHEEL: PluginWheel = {
  name: "xla-cpu-pjrt",
  version: "0.0.1",
  platform: "manylinux_2_27_x86_64",
  file: "xla_cpu_pjrt-0.0.1-py3-none-manylinux_2_27_x86_64.whl",
  fileBytes: 63_461_052,
  fileSha256: "55837b6b7b47daa717f2d9a5a03563ea0ceaa338d06a81a1e2d3f060d960decc",
  member: "xla_plugins/xla_cpu_pjrt/xla_cpu_pjrt.so",
  memberBytes: 259_284_552,
  memberSha256: "88c3f28c5900f48ad4a82cab9e79bba9537809743395e341485f8794268820dc",
};

/** Unpacking is reported in steps of this size. */
const REPORT_BYTES = 4e6;

/** What NVIDIA's driver brings. */
export const CUDA_DRIVER = "libcuda.so.1";

/** The variable that names a plugin file to use instead. */
export const PLUGIN_VARIABLE = "TUBELET_PJRT_PLUGIN";

/** How far fetching is. */
export interface FetchProgress {
  readonly step: "download" | "unpack";
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** Options of {@linkcode fetchPlugin}. */
export interface FetchPluginOptions {
  /** @default "cpu" */
  device?: PluginDevice;
  /** Folder that plugins are kept in. @default `tubelet/plugins` in the user's cache */
  folder?: string;
  /** The wheel to fetch. @default the one pinned for the device */
  wheel?: PluginWheel;
  /** Whether the system's loader finds a library, such as a driver. @default asks it */
  opens?: (library: string) => boolean;
  onProgress?: (progress: FetchProgress) => void;
  signal?: AbortSignal;
}

/** The plugin that the environment names. */
export class NamedPluginError extends Error {
  override readonly name = "NamedPluginError";
  readonly exitCode = 2;
}

/**
 * The plugin file that `TUBELET_PJRT_PLUGIN` names; undefined if the variable is not set.
 *
 * @throws {NamedPluginError} if there is no such file
 */
export function namedPlugin(): string | undefined {
  const path = Deno.env.get(PLUGIN_VARIABLE);
  if (path === undefined || path === "") return undefined;
  if (sizeOfFile(path) === undefined) {
    throw new NamedPluginError(`${PLUGIN_VARIABLE} names ${path}, which is no file: correct it or unset it`);
  }
  return path;
}

/** The plugin that is there without fetching anything: the named one, an accelerator's in Python, or one fetched before. */
export function findPlugin({ device = "cpu", folder, wheel }: FetchPluginOptions = {}): string | undefined {
  const named = namedPlugin();
  if (named !== undefined) return named;
  if (device === "tpu") return pluginOfPython(device);
  if (device === "cuda") return pluginOfPython(device) ?? installedCudaPlugin(cudaFolder(folder ?? defaultFolder()));
  const pinned = wheel ?? CPU_WHEEL;
  const path = pathIn(folder ?? defaultFolder(), pinned);
  return sizeOfFile(path) === pinned.memberBytes ? path : undefined;
}

/**
 * The plugin for a device, fetched if it is not there.
 *
 * @returns the path of the shared library
 * @throws {PluginError} if none can be had, with what to do about it
 * @throws {NamedPluginError} if `TUBELET_PJRT_PLUGIN` names no file
 */
export async function fetchPlugin(options: FetchPluginOptions = {}): Promise<string> {
  const { device = "cpu", wheel = CPU_WHEEL } = options;
  const found = findPlugin(options);
  if (found !== undefined) return found;
  checkFetchable(device, options.opens ?? opensLibrary);
  const folder = options.folder ?? defaultFolder();
  await Deno.mkdir(folder, { recursive: true });
  const work = await Deno.makeTempDir({ dir: folder, prefix: ".fetch-" });
  if (device === "cuda") return await fetchCuda(work, folder, options);
  try {
    const library = await fetchInto(work, wheel, options);
    const path = pathIn(folder, wheel);
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.rename(library, path);
    return path;
  } catch (error) {
    if (!(error instanceof PluginError)) throw error;
    throw new PluginError(
      `Cannot fetch the XLA plugin: ${error.message}. Mend that and run again; or fetch ${wheel.file} from the Python ` +
        `package index elsewhere, unzip it and set ${PLUGIN_VARIABLE} to the path of its ${wheel.member}`,
    );
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

/** Installs the CUDA plugin with its libraries; the folder appears whole or not at all. */
async function fetchCuda(work: string, folder: string, { onProgress, signal }: FetchPluginOptions): Promise<string> {
  const totalBytes = cudaBytes();
  const report = () => onProgress?.({ step: "download", doneBytes: Math.min(bytesIn(work), totalBytes), totalBytes });
  const watch = setInterval(report, 1000);
  try {
    await installCuda(work, signal);
    const place = cudaFolder(folder);
    // Another process may have been faster; or what is there is not whole.
    await Deno.rename(work, place).catch(async () => {
      if (installedCudaPlugin(place) !== undefined) return;
      await Deno.remove(place, { recursive: true });
      await Deno.rename(work, place);
    });
    const plugin = installedCudaPlugin(place);
    if (plugin === undefined) throw new PluginError("the installed wheels hold no plugin");
    return plugin;
  } catch (error) {
    if (!(error instanceof PluginError)) throw error;
    throw new PluginError(
      `Cannot fetch XLA's CUDA plugin: ${error.message}. Mend that and run again; or install ` +
        `jax-cuda13-plugin[with-cuda] into the active Python environment, or set ${PLUGIN_VARIABLE} to an xla_cuda_plugin.so`,
    );
  } finally {
    clearInterval(watch);
    await Deno.remove(work, { recursive: true }).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }
}

function checkFetchable(device: PluginDevice, opens: (library: string) => boolean): void {
  if (device === "tpu") {
    throw new PluginError(
      `No XLA plugin for tpu: install libtpu into the active Python environment, or set ${PLUGIN_VARIABLE} to its libtpu.so`,
    );
  }
  if (device === "cuda" && !opens(CUDA_DRIVER)) {
    throw new PluginError(
      `No XLA plugin for cuda is fetched, as this machine has no NVIDIA driver (${CUDA_DRIVER}): install driver 580 or ` +
        "newer, in a container hand the GPU in; or take --device cpu",
    );
  }
  const { os, arch } = Deno.build;
  if (os !== "linux" || arch !== "x86_64") {
    throw new PluginError(
      `No XLA plugin is known for ${os} on ${arch}: set ${PLUGIN_VARIABLE} to the path of one, or use --engine tfjs`,
    );
  }
}

/** Downloads and unpacks in a folder of its own; returns the path of the checked library. */
async function fetchInto(work: string, wheel: PluginWheel, options: FetchPluginOptions): Promise<string> {
  const { onProgress = () => {}, signal } = options;
  const report = (step: FetchProgress["step"], doneBytes: number, totalBytes: number) =>
    onProgress({ step, doneBytes: Math.min(doneBytes, totalBytes), totalBytes });
  const watch = setInterval(() => report("download", bytesIn(work), wheel.fileBytes), 200);
  try {
    await downloadWheel(wheel, work, signal);
  } finally {
    clearInterval(watch);
  }
  const file = join(work, wheel.file);
  if (sizeOfFile(file) === undefined) throw new PluginError(`the download of ${wheel.name} holds no ${wheel.file}`);
  checkHash(wheel.file, await sha256OfFile(file), wheel.fileSha256);
  const library = join(work, "library");
  let reported = 0;
  const unpacked = (done: number) => {
    if (done < reported + REPORT_BYTES && done < wheel.memberBytes) return;
    report("unpack", reported = done, wheel.memberBytes);
  };
  const hash = await unpackMember(file, wheel.member, library, unpacked, signal);
  checkHash(wheel.member, hash, wheel.memberSha256);
  await sync(library);
  return library;
}

function checkHash(what: string, found: string, expected: string): void {
  if (found === expected) return;
  throw new PluginError(
    `${what} has the SHA-256 ${found}, expected ${expected}: the download is damaged or not genuine`,
  );
}

/** Makes a library reach the disk before its name does, readable and executable. */
async function sync(path: string): Promise<void> {
  using file = await Deno.open(path, { read: true, write: true });
  await file.sync();
  await Deno.chmod(path, 0o755);
}

function pathIn(folder: string, { name, version, member, memberSha256 }: PluginWheel): string {
  return join(folder, `${name}-${version}-${memberSha256.slice(0, 12)}`, member.slice(member.lastIndexOf("/") + 1));
}

function defaultFolder(): string {
  const folder = cacheFolder("plugins");
  if (folder !== undefined) return folder;
  throw new PluginError(`Set HOME or XDG_CACHE_HOME to keep the XLA plugin, or ${PLUGIN_VARIABLE}`);
}

/** Bytes of a file; undefined if there is none. */
function sizeOfFile(path: string): number | undefined {
  const info = statSync(path, { throwIfNoEntry: false });
  return info?.isFile() ? info.size : undefined;
}

/** Bytes of all files in a folder that others are writing to. */
function bytesIn(folder: string): number {
  let bytes = 0;
  try {
    for (const { name, isDirectory } of Deno.readDirSync(folder)) {
      const path = join(folder, name);
      bytes += isDirectory ? bytesIn(path) : sizeOfFile(path) ?? 0;
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return bytes;
}
