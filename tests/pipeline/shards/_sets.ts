/** Small frame and feature sets for tests: 2 x 2 x 2 cubes of 12 bytes, every value computable from its row. */
import { assert } from "@std/assert";
import {
  type CodedFeatures,
  createFeaturesSet,
  FeatureShardWriter,
  type FeaturesSet,
  type TeacherSettings,
} from "../../../pipeline/shards/feature_shards.ts";
import type { FramesConfigInput } from "../../../pipeline/shards/frame_format.ts";
import {
  createFramesSet,
  type FailedRow,
  type FrameRow,
  FrameShardWriter,
  type FramesSet,
} from "../../../pipeline/shards/frame_shards.ts";

/** Runs a body with a temporary folder that is removed afterwards. */
export async function inTempDir(body: (folder: string) => Promise<void> | void): Promise<void> {
  const folder = Deno.makeTempDirSync({ prefix: "shards ü " });
  try {
    await body(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/** Ten clips with one view each in shards of four rows: 4, 4 and 2. */
export const FRAMES: FramesConfigInput = {
  dataset: "test",
  split: "train",
  items: 10,
  rowsPerShard: 4,
  grid: [2, 2, 2],
  cube: [1, 2, 2, 3],
  provenance: { list: "0123", seed: 7 },
};

/** Two levels of a teacher that sees 3 of 4 positions: 6 tokens. */
export const TEACHER: TeacherSettings = {
  teacher: { name: "tiny", sha256: "ab".repeat(32), precision: "f32" },
  levels: [{ block: 1, width: 4 }, { block: 3, width: 2, norm: "layer" }],
  teacherPositions: 3,
  provenance: { maskSeed: 7 },
};

export const nameOf = (row: number) => `clip ${row} ü.mp4`;

/** Bytes of a row: row, row + 1 and so on. */
export const cubesOf = (row: number) => Uint8Array.from({ length: 96 }, (_, i) => row + i);

export function viewOf(row: number): FrameRow {
  return {
    cubes: cubesOf(row),
    frames: Int32Array.of(row, row + 3),
    ptsUs: BigInt64Array.of(BigInt(row) * 40_000n, 5_000_000_000n),
    crop: { x: 1.5, y: 2, width: 30.25, height: row + 1 },
    sourceWidth: 70_000,
    sourceHeight: 48,
    label: row % 3 === 0 ? null : row,
  };
}

export const FAILURE: FailedRow = {
  label: 5,
  path: "/videos/x.mp4",
  reason: "truncated",
  detail: "the file ends early",
  byteOffset: 1234,
  fileBytes: 2000,
};

/** Writes and seals a shard; rows in `failed` are recorded as bad. */
export async function writeFrames(set: FramesSet, shard: number, failed: readonly number[] = []): Promise<void> {
  const { row0, rows } = set.span(shard), all = Array.from({ length: rows }, (_, i) => row0 + i);
  using writer = new FrameShardWriter(set, shard, all.map(nameOf));
  for (const row of all.reverse()) failed.includes(row) ? writer.fail(row, FAILURE) : writer.write(row, viewOf(row));
  await writer.seal();
}

/** A complete frame set. */
export async function framesSet(cache: string, failed: readonly number[] = [], config = FRAMES): Promise<FramesSet> {
  const set = createFramesSet(cache, config);
  for (let shard = 0; shard < set.shards; shard++) await writeFrames(set, shard, failed);
  return set;
}

/** Features of a row and level, exact in float16: row + i / 8, negative on level 1. */
export function featuresOf(row: number, level: number): Float32Array {
  return Float32Array.from({ length: 6 * [4, 2][level]! }, (_, i) => (level === 0 ? 1 : -1) * (row + i / 8));
}

export const maskOf = (row: number) => row % 2 === 0 ? [0, 1, 3] : [1, 2, 3];

/** The same teacher with features as bytes. */
export const CODED_TEACHER: TeacherSettings = { ...TEACHER, dtype: "u8" };

/** Bytes of a row and level: codes row, row + 1 and so on; token t has scale t and offset row, or twice that on level 1. */
export function codedOf(row: number, level: number): CodedFeatures {
  return {
    codes: Uint8Array.from({ length: 6 * [4, 2][level]! }, (_, i) => row + i),
    scales: Float32Array.from({ length: 12 }, (_, i) => i % 2 === 0 ? i / 2 : row * (level + 1)),
  };
}

export async function writeFeatures(set: FeaturesSet, frames: FramesSet, shard: number): Promise<void> {
  using writer = new FeatureShardWriter(set, frames, shard);
  const of = set.config.dtype === "u8" ? codedOf : featuresOf;
  for (const row of writer.pending) {
    writer.write(row, { levels: [of(row, 0), of(row, 1)], teacherPositions: maskOf(row) });
  }
  await writer.seal();
}

/** The complete feature set of a frame set. */
export async function featuresSet(cache: string, frames: FramesSet, teacher = TEACHER): Promise<FeaturesSet> {
  const set = createFeaturesSet(cache, frames, teacher);
  for (let shard = 0; shard < set.shards; shard++) await writeFeatures(set, frames, shard);
  return set;
}

/** Changes bytes of a file in place. */
export function patch(path: string, offset: number, change: (bytes: Uint8Array) => void, length = 1): void {
  using file = Deno.openSync(path, { read: true, write: true });
  const bytes = new Uint8Array(length);
  file.seekSync(offset, Deno.SeekMode.Start);
  assert(file.readSync(bytes) === length);
  change(bytes);
  file.seekSync(offset, Deno.SeekMode.Start);
  file.writeSync(bytes);
}

/** Names in a folder, sorted. */
export const listFolder = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
