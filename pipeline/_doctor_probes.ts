/** Tries the parts of this machine. Libraries are loaded when their part is tried, so that a broken one is a finding. */
import fs from "node:fs";
import { dirname, resolve } from "node:path";
import { acceleratorFacts, acceleratorObstacle } from "./_doctor_accelerators.ts";
import type { NativePart } from "./_doctor_child.ts";
import { measureDisk } from "./_doctor_disk.ts";
import { tryInChild } from "./_doctor_native.ts";
import type { Finding, Part, Probe } from "./_doctor_parts.ts";
import { reasonOf } from "./inspection.ts";
import { formatAmount, formatBytes } from "./units.ts";

/** Commands that can fetch the plugin; models/runtime runs them as pip. */
const INSTALLERS: readonly (readonly string[])[] = [["pip"], ["pip3"], ["python3", "-m", "pip"], ["uv"]];

/** All parts together measure this long at most, so that all is tried within a minute. */
const MEASURING_MS = 40_000;
/** And each this long: what trains gets most of it. */
const PART_MS: Readonly<Record<NativePart, number>> = {
  libav: 8_000,
  tfjs: 10_000,
  xla: 25_000,
  cuda: 25_000,
  tpu: 25_000,
};

/** What to try. */
export interface ProbeOptions {
  /** The folder of shards; it need not exist. */
  cache: string;
  /** Whether to measure what works; some twenty seconds, and {@linkcode MEASURING_MS} on a busy machine. */
  measure: boolean;
  /** Ends what is being tried. */
  signal?: AbortSignal;
}

/** Options, and when measuring ends by `performance.now()`. */
interface TimedOptions extends ProbeOptions {
  readonly until: number;
}

/** Probes of this machine, by part, to be called at once and one after the other. */
export function systemProbes(given: ProbeOptions): Record<Part, Probe> {
  const options = { ...given, until: performance.now() + MEASURING_MS };
  return {
    cores: () => ({ found: formatAmount(navigator.hardwareConcurrency, "core") }),
    memory: () => {
      const { available, total } = Deno.systemMemoryInfo();
      return { found: `${formatBytes(available)} of ${formatBytes(total)} free` };
    },
    cache: () => probeCache(options),
    libav: () =>
      tryNative("libav", options, "run deno install to fetch node-av again, or decode with --decoder ffmpeg"),
    ffmpeg: probeFfmpeg,
    tfjs: () => tryNative("tfjs", options, "run deno install to fetch its packages again, or take --engine xla"),
    xla: () => probeXla(options),
    cuda: () => probeAccelerator("cuda", options),
    tpu: () => probeAccelerator("tpu", options),
  };
}

/** Tries a part in a process of its own, with a folder that is gone afterwards. */
async function tryNative(part: NativePart, options: TimedOptions, mend: string): Promise<Finding> {
  const { measure, until, signal } = options;
  const measureMs = measure ? Math.max(0, Math.min(PART_MS[part], until - performance.now())) : 0;
  const folder = Deno.makeTempDirSync({ prefix: "doctor-" });
  try {
    return await tryInChild(part, { folder, measureMs, ...(signal && { signal }) });
  } catch (error) {
    throw new Error(`${reasonOf(error)}: ${mend}`);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/** Makes a file where the cache lies or would be made, and removes it. */
function probeCache({ cache, measure }: ProbeOptions): Finding {
  let folder = resolve(cache);
  while (!fs.existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  try {
    Deno.removeSync(Deno.makeTempFileSync({ dir: folder, prefix: ".doctor-" }));
  } catch (error) {
    throw new Error(`${folder} cannot be written (${reasonOf(error)}): mend its rights, or name a folder with --cache`);
  }
  const { bavail, bsize } = fs.statfsSync(folder);
  const measured = measure ? measureDisk(folder) : undefined;
  return {
    found: `${resolve(cache)} can be written, ${formatBytes(bavail * bsize)} free`,
    ...(measured && { measured }),
  };
}

async function probeFfmpeg(): Promise<Finding> {
  const { FfmpegCommandDecoder } = await import("../decoders/ffmpeg_command.ts");
  await new FfmpegCommandDecoder().check();
  return { found: "ffmpeg and ffprobe start, for --decoder ffmpeg" };
}

async function probeXla(options: TimedOptions): Promise<Finding> {
  const { findPlugin, namedPlugin, PLUGIN_VARIABLE } = await import("../models/runtime/plugin.ts");
  const plugin = findPlugin();
  if (plugin === undefined) throw new Error(await howToGetXla(PLUGIN_VARIABLE));
  const origin = namedPlugin() === undefined ? "fetched" : `named by ${PLUGIN_VARIABLE}`;
  const mend = `name another plugin than ${plugin} with ${PLUGIN_VARIABLE}, or take --engine tfjs`;
  const { found, ...rest } = await tryNative("xla", options, mend);
  return { found: `${found}, plugin ${plugin} (${origin})`, ...rest };
}

async function probeAccelerator(device: "cuda" | "tpu", options: TimedOptions): Promise<Finding> {
  const facts = await acceleratorFacts();
  const obstacle = acceleratorObstacle(device, facts);
  if (obstacle !== undefined) throw new Error(obstacle);
  const plugin = facts.plugin(device);
  const { found, ...rest } = await tryNative(
    device,
    options,
    `name its plugin instead of ${plugin}, or take --device cpu`,
  );
  return { found: `${found}, plugin ${plugin}`, ...rest };
}

async function howToGetXla(variable: string): Promise<string> {
  const { os, arch } = Deno.build;
  if (os !== "linux" || arch !== "x86_64") {
    return `no plugin is known for ${os} on ${arch}: set ${variable} to the path of one, or use --engine tfjs`;
  }
  for (const installer of INSTALLERS) {
    if (await starts(installer)) {
      return `not fetched yet: ${installer.join(" ")} is here, and the first training fetches it`;
    }
  }
  return `not fetched yet, and neither pip nor uv is here to fetch it: install one, or set ${variable} to a plugin's path`;
}

async function starts([command, ...args]: readonly string[]): Promise<boolean> {
  try {
    const child = new Deno.Command(command!, { args: [...args, "--version"], stdin: "null" });
    return (await child.output()).success;
  } catch {
    return false;
  }
}
