/**
 * Whether an exported network computes what ours computes: on a random clip and, where the run's frame shards are still
 * there, on a real one. One side is the checkpoint on our engine; the other is whatever reads the files that were written.
 */
import fs from "node:fs";
import { type Engine } from "../models/runtime/engine.ts";
import { cubeValues, tokensOf } from "../models/shapes.ts";
import type { ExportedNetwork, ExportedRun, NetworkSizes } from "./_export_network.ts";
import { computeOutputs, type Outputs } from "./_export_programs.ts";
import { testedFile } from "./training/weights.ts";
import { uniforms } from "./random.ts";
import { openFramesSet } from "./shards/frame_shards.ts";
import type { PrepareResult } from "./stages/prepare_splits.ts";

/** Largest difference by the largest number: what float32 leaves after a whole network. */
export const LIMIT = 5e-5;

/** A clip to compare on. */
export interface ComparedClip {
  readonly name: "random" | "real";
  /** `[N, P]`, u8. */
  readonly cubes: Uint8Array;
}

/** One output of one clip, computed twice. */
export type Comparison = {
  /** Who computed the exported network. */
  by: string;
  clip: ComparedClip["name"];
  output: string;
  /** Largest difference of two numbers. */
  difference: number;
  /** Largest number. */
  largest: number;
  /** Most that `difference / largest` may be. */
  limit: number;
};

/** What computes an exported network. */
export interface Peer {
  readonly by: string;
  readonly limit: number;
  /** Outputs of each clip; those that our side does not have do not count. */
  readonly outputs: readonly Outputs[];
}

/** The clips to compare on. */
export async function comparedClips({ grid, cube }: NetworkSizes, run: ExportedRun): Promise<ComparedClip[]> {
  const bytes = tokensOf(grid) * cubeValues(cube);
  const random = Uint8Array.from(uniforms(bytes, 1, "clip of an export"), (draw) => draw * 256);
  const real = await realClip(run, bytes);
  return [{ name: "random", cubes: random }, ...real ? [{ name: "real" as const, cubes: real }] : []];
}

/** A clip of the run's frame shards; undefined where they are gone. */
async function realClip({ stages }: ExportedRun, bytes: number): Promise<Uint8Array | undefined> {
  const prepared = stages.find(({ name }) => name === "prepare")?.result as Partial<PrepareResult> | null | undefined;
  const folder = (prepared?.val ?? prepared?.train)?.folder;
  if (folder === undefined || !fs.existsSync(folder)) return undefined;
  using frames = openFramesSet(folder);
  const [item] = frames.goodItems();
  if (item === undefined || frames.rowBytes("/cubes") !== bytes) return undefined;
  const cubes = new Uint8Array(bytes);
  await frames.readRow("/cubes", item * frames.config.views, cubes);
  return cubes;
}

/**
 * Compares an exported network with the checkpoint it came from.
 *
 * @param peers Those that compute the exported network.
 * @throws {Error} if a difference is above its limit, or is no number
 */
export async function compareExport(
  engine: Engine,
  { checkpoint, sizes }: ExportedNetwork,
  clips: readonly ComparedClip[],
  peers: readonly Peer[],
): Promise<Comparison[]> {
  const ours = await computeOutputs(engine, sizes, testedFile(checkpoint.path), clips.map(({ cubes }) => cubes));
  const comparisons = peers.flatMap(({ by, limit, outputs }) =>
    clips.flatMap(({ name: clip }, i) =>
      [...ours[i]!].filter(([name]) => outputs[i]!.has(name))
        .map(([output, values]) => ({ by, clip, output, ...difference(values, outputs[i]!.get(output)!), limit }))
    )
  );
  const off = comparisons.find(({ difference, largest, limit }) => !(difference <= limit * largest));
  if (off !== undefined) {
    throw new Error(
      `The exported network is not written, since it computes something else: ${sentence(off)}, ` +
        `the limit is ${off.limit} of the largest. Try another engine with --engine tfjs`,
    );
  }
  return comparisons;
}

/** For people. */
export function sentence({ by, clip, output, difference, largest }: Comparison): string {
  const apart = difference === 0 ? "is the same" : `differs by ${difference.toExponential(1)} at most`;
  return `${by} on a ${clip} clip: ${output} ${apart}, values reach ${largest.toPrecision(3)}`;
}

function difference(ours: Float32Array, theirs: Float32Array): { difference: number; largest: number } {
  if (ours.length !== theirs.length) return { difference: Infinity, largest: 0 };
  let difference = 0, largest = 0;
  ours.forEach((value, i) => {
    // What is no number stays none.
    difference = Math.max(difference, Math.abs(value - theirs[i]!));
    largest = Math.max(largest, Math.abs(value));
  });
  return { difference, largest };
}
