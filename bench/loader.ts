/**
 * Shards: writing rows until they are sealed, and the loader that reads batches of them in random order. Rows are views of
 * 16 frames of 224 x 224 (2.4 MB) and two levels of ViT-L features (1.6 MB), and the demo's (41 KB in all).
 *
 *     TUBELET_PEER_PYTHON=... deno task bench loader [--filter read] [--rounds 5]
 *
 * The peer is h5py: `write_direct` with the fsync inside the time (ours adds CRC-32 of every row, SHA-256 and a check of
 * what was written), and `read_direct` of rows in random order: into one row's memory again and again (`read-frames`,
 * `read-features`), which stays in the processor's cache, or like ours into the memory of three batches (`read-batches`,
 * `read-demo`). Files are in the page cache; ours checks the CRC-32 of every row.
 */
import process from "node:process";
import { median } from "../pipeline/median.ts";
import { BatchLoader } from "../pipeline/loader.ts";
import { rowOrder } from "../pipeline/row_order.ts";
import { FeatureShardSequence } from "../pipeline/shards/feature_shard_sequence.ts";
import { createFeaturesSet } from "../pipeline/shards/feature_shards.ts";
import type { FramesSet } from "../pipeline/shards/frame_shards.ts";
import { type Bench, type BenchContext, type BenchRow, type Measured, peerReport } from "./_bench.ts";
import { makeFrames, temporaryFolder } from "./_made_shards.ts";

const VIEW = {
  name: "vit-l",
  grid: [8, 14, 14],
  cube: [2, 16, 16, 3],
  width: 1024,
  seen: 49,
  rows: 64,
  batch: 8,
} as const;
const DEMO = { name: "demo", grid: [4, 4, 4], cube: [2, 8, 8, 3], width: 128, seen: 8, rows: 2048, batch: 32 } as const;
/** Written are several shards: each is sealed while the next takes rows. */
const WRITTEN = { ...VIEW, rows: 512 } as const;
type Sizes = typeof VIEW | typeof DEMO | typeof WRITTEN;
type Kind = "frames" | "features";

export const bench: Bench = {
  about: "Writing and reading of shards, in rows a second",
  rows: [
    ...(["frames", "features"] as const).flatMap((kind): BenchRow[] => [
      { name: `write-${kind}`, unit: "rows/s", measure: (context) => writing(kind, context) },
      { name: `read-${kind}`, unit: "rows/s", measure: (context) => reading(VIEW, [kind], context) },
    ]),
    { name: "read-batches", unit: "rows/s", measure: (context) => reading(VIEW, ["frames", "features"], context) },
    { name: "read-demo", unit: "rows/s", measure: (context) => reading(DEMO, ["frames", "features"], context) },
  ],
};

async function writing(kind: Kind, context: BenchContext): Promise<Measured> {
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < context.rounds; round++) {
    using folder = temporaryFolder();
    if (kind === "frames") {
      const began = performance.now();
      (await makeFrames(folder.path, WRITTEN))[Symbol.dispose]();
      ours.push(perSecond(WRITTEN.rows, began));
    } else {
      using frames = await makeFrames(folder.path, WRITTEN);
      const began = performance.now();
      (await makeFeatures(folder.path, frames, WRITTEN))[Symbol.dispose]();
      ours.push(perSecond(WRITTEN.rows, began));
    }
    const peer = await h5pyRate(kind, "write", WRITTEN.rows, folder.path, context);
    if (peer !== null) theirs.push(peer);
  }
  return compared(ours, theirs, rowMb(WRITTEN, [kind]), "sealed and checked");
}

async function reading(sizes: Sizes, kinds: readonly Kind[], context: BenchContext): Promise<Measured> {
  using folder = temporaryFolder();
  using frames = await makeFrames(folder.path, sizes);
  using features = await makeFeatures(folder.path, frames, sizes);
  const fields = [
    { kind: "frames", name: "cubes", set: frames, dataset: "/cubes" },
    { kind: "features", name: "features/0", set: features, dataset: "/features/level_0" },
    { kind: "features", name: "features/1", set: features, dataset: "/features/level_1" },
  ].filter(({ kind }) => kinds.includes(kind as Kind));
  const { rows, batch } = sizes;
  const ours: number[] = [];
  const theirs: number[] = [];
  const cores: number[] = [];
  for (let round = 0; round < context.rounds; round++) {
    const order = rowOrder(rows, 1, round);
    const place = (position: number) => ({ row: order(position % rows), epoch: 0, item: order(position % rows) });
    await using loader = new BatchLoader({ order: place, batch, fields, from: 0, until: 3 * rows });
    const pass = async (passes: number) => {
      for (let step = 0; step < passes * rows / batch; step++) (await loader.next()).release();
    };
    // The first pass touches the buffers, which a training does once.
    await pass(1);
    const began = performance.now(), before = process.cpuUsage();
    await pass(2);
    ours.push(perSecond(2 * rows, began));
    const { user, system } = process.cpuUsage(before);
    cores.push((user + system) / 1000 / (performance.now() - began));
    const peer = kinds.length === 1
      ? await h5pyRate(kinds[0]!, "read_direct", rows, folder.path, context)
      : await h5pyOnTheSame(frames.folder, features.folder, rows, batch, context);
    if (peer !== null) theirs.push(peer);
  }
  return compared(ours, theirs, rowMb(sizes, kinds), `${median(cores).toFixed(2)} cores`);
}

function compared(ours: readonly number[], theirs: readonly number[], mb: number, note: string): Measured {
  const rate = median(ours);
  return {
    ours: rate,
    peer: theirs.length === 0 ? null : median(theirs),
    peerName: theirs.length === 0 ? null : "h5py",
    note: [`${mb.toFixed(2)} MB a row, ${(rate * mb / 1000).toFixed(2)} GB/s`, note].filter(Boolean).join(", "),
  };
}

function rowMb({ grid, cube, width, seen }: Sizes, kinds: readonly Kind[]): number {
  const product = (sizes: readonly number[]) => sizes.reduce((a, b) => a * b);
  const bytes = { frames: product(grid) * product(cube), features: 2 * grid[0] * seen * width * 2 };
  return kinds.reduce((sum, kind) => sum + bytes[kind], 0) / 1e6;
}

function perSecond(rows: number, began: number): number {
  return rows / ((performance.now() - began) / 1000);
}

/** Rows a second of the peers' script for rows of {@linkcode VIEW}. */
async function h5pyRate(
  kind: Kind,
  what: "write" | "read_direct",
  rows: number,
  folder: string,
  { python, peers }: BenchContext,
): Promise<number | null> {
  if (python === null || peers === null) return null;
  const args = ["--rows", String(rows), "--repeats", "1", "--dir", folder];
  const { detail } = await peerReport(python, `${peers}/h5py_shards.py`, args);
  return (detail[kind] as Record<string, { rows_per_s: number }>)[what]!.rows_per_s;
}

/** Rows a second of h5py on our own files, all fields of a row. */
async function h5pyOnTheSame(
  frames: string,
  features: string,
  rows: number,
  batch: number,
  { python }: BenchContext,
): Promise<number | null> {
  if (python === null) return null;
  const code = `
import glob, h5py, json, numpy, sys, time
frames, features, rows, batch = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
shards = [[h5py.File(p) for p in sorted(glob.glob(f + "/*.h5"))] for f in (frames, features)]
fields = [[s["cubes"] for s in shards[0]]] + [[s[f"features/level_{i}"] for s in shards[1]] for i in (0, 1)]
memory = [numpy.ones((3 * batch, *f[0].shape[1:]), f[0].dtype) for f in fields]
for timed in range(2):
    order = numpy.random.default_rng(timed).permutation(rows)
    began = time.perf_counter()
    for i, row in enumerate(map(int, order)):
        for field, into in zip(fields, memory):
            field[row // 128].read_direct(into, numpy.s_[row % 128], numpy.s_[i % (3 * batch)])
print(json.dumps({"value": rows / (time.perf_counter() - began), "detail": {}}))`;
  return (await peerReport(python, "-c", [code, frames, features, String(rows), String(batch)])).value;
}

async function makeFeatures(folder: string, frames: FramesSet, { grid, width, seen }: Sizes) {
  const set = createFeaturesSet(folder, frames, {
    teacher: { name: "bench", sha256: "0".repeat(64), precision: "f32" },
    levels: [{ block: 1, width }, { block: 2, width }],
    teacherPositions: seen,
    provenance: {},
  });
  const level = new Float16Array(grid[0] * seen * width).map((_, i) => Math.sin(i));
  const teacherPositions = Array.from({ length: seen }, (_, i) => i);
  await using shards = new FeatureShardSequence(set, frames, [...Array(set.shards).keys()]);
  for (const row of shards.pending) {
    (await shards.writerOf(row)).write(row, { levels: [level, level], teacherPositions });
  }
  await shards.finish();
  return set;
}
