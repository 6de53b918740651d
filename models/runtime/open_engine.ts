/** Choosing the engine: XLA where its plugin is there or can be fetched, else TensorFlow.js. */
import type { Engine } from "./engine.ts";
import {
  CUDA_DRIVER,
  fetchPlugin,
  type FetchProgress,
  findPlugin,
  namedPlugin,
  NamedPluginError,
  type PluginDevice,
} from "./plugin.ts";
import { DeviceCountError } from "./pjrt/client.ts";
import { opensLibrary } from "./system_library.ts";
import { userProgramCache } from "./program_cache.ts";
import { openXlaEngine, XlaEngine } from "./xla.ts";

/** Options of {@linkcode openEngine}. */
export interface OpenEngineOptions {
  /** @default "auto" */
  engine?: "auto" | "xla" | "tfjs";
  /**
   * `auto` is what a plugin named by the environment is for; else CUDA, where a driver and a plugin are here; else the CPU.
   *
   * @default "auto"
   */
  device?: "auto" | PluginDevice;
  /** Devices of this machine that share every batch; TensorFlow.js has one. @default 1 */
  devices?: number;
  /** Told, in one line, that `auto` had to take the slower engine, and why. */
  warn?: (message: string) => void;
  /** Told how far a plugin is fetched. */
  onProgress?: (progress: FetchProgress) => void;
  signal?: AbortSignal;
}

/**
 * Opens an engine.
 *
 * @throws {PluginError} if XLA was asked for and has no plugin
 * @throws {NamedPluginError} if the environment names a plugin that is not there
 * @throws {DeviceCountError} if the machine has fewer devices
 */
export async function openEngine(options: OpenEngineOptions = {}): Promise<Engine> {
  const { engine = "auto", warn = () => {}, signal } = options;
  if (engine === "tfjs") return await openTfjs();
  try {
    return await openXla(options);
  } catch (error) {
    signal?.throwIfAborted();
    // What the user chose by name must work or fail; only a choice of our own may be changed.
    const { device = "auto", devices = 1 } = options;
    const chosen = engine === "xla" || device !== "auto" || devices > 1 || namedPlugin() !== undefined;
    if (chosen || error instanceof NamedPluginError) throw error;
    warn(`XLA is not available, using TensorFlow.js, which is many times slower. ${describe(error)}`);
    return await openTfjs();
  }
}

/** The type of matrix products that an engine computes fastest. */
export function preferredCompute(engine: Engine): "f32" | "bf16" {
  return engine instanceof XlaEngine ? engine.preferredCompute : "f32";
}

async function openXla(options: OpenEngineOptions): Promise<Engine> {
  const { device = "auto", devices = 1, warn, onProgress, signal } = options;
  const platform = device === "auto" ? deviceHere() : device;
  if (platform === "cuda" && device === "auto" && namedPlugin() === undefined) {
    try {
      return await openXla({ ...options, device: "cuda" });
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof DeviceCountError) throw error;
      warn?.(`CUDA does not work here, using the CPU. ${describe(error)}`);
      return await openXla({ ...options, device: "cpu" });
    }
  }
  const plugin = await fetchPlugin({
    device: platform,
    ...(onProgress && { onProgress }),
    ...(signal && { signal }),
  });
  return await openXlaEngine({ plugin, platform, devices, programs: userProgramCache(warn) });
}

function deviceHere(): PluginDevice {
  // Asking Python for its packages is left to machines that have a driver.
  return autoDevice(namedPlugin(), () => opensLibrary(CUDA_DRIVER) && findPlugin({ device: "cuda" }) !== undefined);
}

/**
 * The device that `auto` stands for. A plugin's platform is known for certain only once it is open, and must be known
 * before: its name tells.
 *
 * @param named path of the plugin that the environment names
 * @param cudaIsHere asked only if none is named
 */
export function autoDevice(named: string | undefined, cudaIsHere: () => boolean): PluginDevice {
  if (named === undefined) return cudaIsHere() ? "cuda" : "cpu";
  const name = named.split("/").at(-1)!;
  return /cuda|gpu/i.test(name) ? "cuda" : /tpu/i.test(name) ? "tpu" : "cpu";
}

/** Loaded only when it is used: it brings a library of some size. */
async function openTfjs(): Promise<Engine> {
  const { openTfjsEngine } = await import("./tfjs.ts");
  return await openTfjsEngine();
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
