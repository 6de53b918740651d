/** Tries the parts of this machine. Libraries are loaded when their part is tried, so that a broken one is a finding. */
import fs from "node:fs";
import { dirname, resolve } from "node:path";
import type { Engine } from "../models/runtime/engine.ts";
import { reasonOf } from "./inspection.ts";
import { formatAmount, formatBytes } from "./units.ts";

/** Commands that can fetch the plugin; models/runtime runs them as pip. */
const INSTALLERS: readonly (readonly string[])[] = [["pip"], ["pip3"], ["python3", "-m", "pip"], ["uv"]];

/**
 * Probes of this machine, by part.
 *
 * @param cache The folder of shards; it need not exist.
 */
export function systemProbes(cache: string) {
  return {
    cores: () => formatAmount(navigator.hardwareConcurrency, "core"),
    memory: () => {
      const { available, total } = Deno.systemMemoryInfo();
      return `${formatBytes(available)} of ${formatBytes(total)} free`;
    },
    cache: () => probeCache(cache),
    libav: probeLibav,
    ffmpeg: probeFfmpeg,
    tfjs: probeTfjs,
    xla: probeXla,
  };
}

/** Makes a file where the cache lies or would be made, and removes it. */
function probeCache(cache: string): string {
  let folder = resolve(cache);
  while (!fs.existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  try {
    Deno.removeSync(Deno.makeTempFileSync({ dir: folder, prefix: ".doctor-" }));
  } catch (error) {
    throw new Error(`${folder} cannot be written (${reasonOf(error)}): mend its rights, or name a folder with --cache`);
  }
  const { bavail, bsize } = fs.statfsSync(folder);
  return `${resolve(cache)} can be written, ${formatBytes(bavail * bsize)} free`;
}

async function probeLibav(): Promise<string> {
  const folder = Deno.makeTempDirSync({ prefix: "doctor-" });
  try {
    const { checkLibav } = await import("../decoders/self_check.ts");
    return `decodes ${checkLibav(folder).join(" and ")} in this process`;
  } catch (error) {
    throw new Error(`${reasonOf(error)}: run deno install to fetch node-av again, or decode with --decoder ffmpeg`);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

async function probeFfmpeg(): Promise<string> {
  const { FfmpegCommandDecoder } = await import("../decoders/ffmpeg_command.ts");
  await new FfmpegCommandDecoder().check();
  return "ffmpeg and ffprobe start, for --decoder ffmpeg";
}

async function probeTfjs(): Promise<string> {
  const { openTfjsEngine } = await import("../models/runtime/tfjs.ts");
  await using engine = await openTfjsEngine();
  return await tryEngine(engine);
}

async function probeXla(): Promise<string> {
  const { findPlugin, namedPlugin, PLUGIN_VARIABLE } = await import("../models/runtime/plugin.ts");
  const plugin = findPlugin();
  if (plugin === undefined) throw new Error(await howToGetXla(PLUGIN_VARIABLE));
  const { openEngine } = await import("../models/runtime/open_engine.ts");
  await using engine = await openEngine({ engine: "xla" });
  const origin = namedPlugin() === undefined ? "fetched" : `named by ${PLUGIN_VARIABLE}`;
  return `${await tryEngine(engine)}, plugin ${plugin} (${origin})`;
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

/**
 * Multiplies two matrices.
 *
 * @returns What the engine is.
 * @throws {Error} if the product is wrong
 */
export async function tryEngine(engine: Engine): Promise<string> {
  const { input, matmul, program } = await import("../models/tensor/mod.ts");
  const product = matmul(input("a", [2, 2]), input("b", [2, 2]));
  using compiled = await engine.compile(program("doctor", { product }));
  using a = engine.upload(Float32Array.of(1, 2, 3, 4), [2, 2], "f32");
  using b = engine.upload(Float32Array.of(5, 6, 7, 8), [2, 2], "f32");
  using result = (await compiled.run(new Map([["a", a], ["b", b]]))).get("product")!;
  const found = (await result.read()).join(", ");
  if (found !== "19, 22, 43, 50") {
    throw new Error(`${engine.description} computes a wrong product, ${found}: choose the other one with --engine`);
  }
  return `${engine.description}, multiplies`;
}
