/** What a planned run will hold on disk, and whether it fits. */
import fs from "node:fs";
import { dirname, resolve } from "node:path";
import type { PlannedShards } from "./_plan_data.ts";
import type { PlannedWork } from "./_plan_networks.ts";
import type { Settings } from "./settings.ts";
import { learnsFrom } from "./stages/stage_context.ts";

/** Bytes on disk. */
export interface DiskPlan {
  /** Frame and feature shard files. */
  readonly shards: number;
  /** Frame shards of both parts, exact where the names of the clips are known. */
  readonly frameBytes: number;
  readonly featureBytes: number;
  /** Checkpoints kept: parameters, two moments and an average if there is one, without what stands in their headers. */
  readonly checkpointBytes: number;
  readonly totalBytes: number;
  /** Free where the cache lies or would lie; null if that cannot be told. */
  readonly freeBytes: number | null;
  /** Whether all of it is less than what is free, as if nothing were there yet. */
  readonly fits: boolean | null;
}

/** Bytes of a number in a checkpoint, f32. */
const NUMBER_BYTES = 4;

/** Adds up. */
export function planDisk(
  settings: Settings,
  work: readonly PlannedWork[],
  train: PlannedShards,
  val: PlannedShards | undefined,
): DiskPlan {
  const { run, alignment } = settings;
  const isCached = alignment.teacherMode === "cached" && learnsFrom(settings) === "teacher";
  const frameBytes = train.frameBytes + (val?.frameBytes ?? 0);
  const featureBytes = isCached ? train.featureBytes : 0;
  const checkpointBytes = work.reduce((sum, { program, steps, networks, parameters }) => {
    const kept = Math.min(run.keepCheckpoints, Math.ceil(steps / networks / run.checkpointSteps));
    if (!("metrics" in program)) return sum;
    // Itself, its moments, its average.
    return sum + kept * networks * parameters * NUMBER_BYTES * (program.averages ? 4 : 3);
  }, 0);
  const totalBytes = frameBytes + featureBytes + checkpointBytes;
  const freeBytes = freeAt(run.cache);
  return {
    shards: train.shards * (isCached ? 2 : 1) + (val?.shards ?? 0),
    frameBytes,
    featureBytes,
    checkpointBytes,
    totalBytes,
    freeBytes,
    fits: freeBytes === null ? null : totalBytes <= freeBytes,
  };
}

/** The folder, or the first above it that is there. */
export function nearestFolder(folder: string): string {
  let path = resolve(folder);
  while (!fs.existsSync(path) && dirname(path) !== path) path = dirname(path);
  return path;
}

/** Free bytes on the disk of a folder, which need not be there yet; null if that cannot be told. */
export function freeAt(folder: string): number | null {
  try {
    const { bavail, bsize } = fs.statfsSync(nearestFolder(folder));
    return bavail * bsize;
  } catch {
    return null;
  }
}
