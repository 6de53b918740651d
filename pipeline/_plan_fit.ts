/** What of a plan cannot be run on this machine, and what mends it. */
import fs from "node:fs";
import { join } from "node:path";
import type { DiskPlan } from "./_plan_disk.ts";
import { formatBytes } from "./units.ts";

/** What is looked at of a stage. */
export interface FittingStage {
  readonly stage: string;
  readonly memory: { readonly total: number };
  /** Why it could not be measured. */
  readonly unmeasured: string | null;
}

/** This machine. */
export interface Room {
  /** Shards of earlier runs in the cache: a run that finds its own there writes no others. */
  readonly heldBytes: number;
  /** Memory of the device; null if it is not known. */
  readonly memoryBytes: number | null;
}

/** One sentence for each thing that does not fit. */
export function misfits(disk: DiskPlan, stages: readonly FittingStage[], { heldBytes, memoryBytes }: Room): string[] {
  const { totalBytes, freeBytes } = disk;
  const room = (freeBytes ?? Infinity) + heldBytes;
  const full = totalBytes <= room ? [] : [
    `${formatBytes(totalBytes)} of shards and checkpoints do not fit on the disk, where ${
      formatBytes(room)
    } are free ` +
    "or hold shards already: free some, take fewer --views or --feature-dtype u8, or name another --cache",
  ];
  const large = stages.flatMap(({ stage, memory: { total }, unmeasured }) => {
    if (unmeasured !== null) return [unmeasured];
    if (memoryBytes === null || total <= memoryBytes) return [];
    return [
      `${stage} needs about ${formatBytes(total)} of memory, there are ${
        formatBytes(memoryBytes)
      }: take a smaller batch, ` +
      "or, in training, --accumulate or --remat",
    ];
  });
  return [...full, ...large];
}

/** Bytes of the shard files in a cache. */
export function heldIn(cache: string): number {
  return ["frames", "features"].map((kind) => join(cache, kind)).filter((folder) => fs.existsSync(folder))
    .flatMap((folder) => fs.readdirSync(folder).map((set) => join(folder, set)))
    .filter((set) => fs.statSync(set).isDirectory())
    .flatMap((set) => fs.readdirSync(set).filter((name) => name.endsWith(".h5")).map((name) => join(set, name)))
    .reduce((sum, path) => sum + fs.statSync(path).size, 0);
}
