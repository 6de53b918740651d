/** Says what a path is and whether it is whole: shards, weights, checkpoints, runs, caches. Changes nothing. */
import fs from "node:fs";
import { basename, join, resolve } from "node:path";
import { inspectCache, isCache } from "./_inspect_cache.ts";
import { inspectCheckpoints, inspectRun } from "./_inspect_run.ts";
import { inspectShard, inspectShardSet, SHARD_FILE } from "./_inspect_shards.ts";
import { inspectCheckpoint, inspectWeights, WEIGHTS_FILE } from "./_inspect_weights.ts";
import type { Inspection } from "./inspection.ts";
import { type Progress, silentProgress } from "./progress.ts";

export { DamagedError, type Inspection, inspectionLines } from "./inspection.ts";

/** Options of {@linkcode inspect}. */
export interface InspectOptions {
  /** @default none is shown */
  readonly progress?: Progress;
  /** Stops between two shards. */
  readonly signal?: AbortSignal;
}

/** There is nothing at a path, or nothing that this program makes; a task ends with exit code 2. */
export class UnknownPathError extends Error {
  override readonly name = "UnknownPathError";
  readonly exitCode = 2;
}

const CHECKPOINT = /^step-\d{8,}$/;

/**
 * Looks at a path. Shards are verified completely, checkpoints by the SHA-256 of their files, files of weights by their
 * header; a cache is only listed, each of its sets can be inspected on its own.
 *
 * @param path A file or folder.
 * @throws {UnknownPathError} if there is nothing, or nothing known
 */
export async function inspect(path: string, options: InspectOptions = {}): Promise<Inspection> {
  const { progress = silentProgress, signal } = options;
  const found = fs.statSync(path, { throwIfNoEntry: false });
  if (!found) throw new UnknownPathError(`There is nothing at ${path}: name a file or folder that exists`);
  const name = basename(resolve(path));
  if (found.isFile() && SHARD_FILE.test(name)) return await inspectShard(path);
  if (found.isFile() && WEIGHTS_FILE.test(name)) return await inspectWeights(path);
  if (!found.isDirectory()) throw unknown(path);
  const names = fs.readdirSync(path);
  if (names.includes("state.json") || CHECKPOINT.test(name)) return await inspectCheckpoint(path);
  const config = names.includes("config.json") ? keysOf(join(path, "config.json")) : [];
  if (names.includes("stages.json") || config.includes("settings")) return await inspectRun(path);
  if (config.includes("schema") || names.some((name) => SHARD_FILE.test(name))) {
    return await inspectShardSet(path, progress, signal);
  }
  if (names.some((name) => CHECKPOINT.test(name))) return await inspectCheckpoints(path);
  if (isCache(path)) return inspectCache(path);
  throw unknown(path);
}

function unknown(path: string): UnknownPathError {
  return new UnknownPathError(
    `${path} is nothing that this program makes: expected a shard (shard-00000.h5), a folder of shards, ` +
      "a checkpoint (step-00000000), a .safetensors, .pth or .index.json file, a run or a cache",
  );
}

/** Keys of the object in a JSON file; none if it holds no object. */
function keysOf(path: string): string[] {
  try {
    return Object.keys(JSON.parse(fs.readFileSync(path, "utf8")));
  } catch {
    return [];
  }
}
