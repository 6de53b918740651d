/**
 * Reading of training rows: the loader, and below it the two ways to read a row, at once and in the background. Two
 * shapes: `demo` (24.6 KB of cubes and 2 x 8.2 KB of features a row) and `vit-l` (2.4 MB and 2 x 0.8 MB, the released
 * ViT-L teacher). Files are in the page cache unless --cold drops them before each pass.
 *
 *     deno run -A bench/loader.ts [--shape demo|vit-l] [--rows 256] [--batch 32] [--repeats 5] [--dir FOLDER] [--cold]
 *
 * The peer is h5py's `read_direct` of the same rows in random order from the same files, where TUBELET_PYTHON (or
 * python3) has h5py. All write into memory of several batches, as a training does.
 */
import { parseArgs } from "node:util";
import { BatchLoader } from "../pipeline/loader.ts";
import { rowOrder } from "../pipeline/row_order.ts";
import { createFeaturesSet, FeatureShardWriter } from "../pipeline/shards/feature_shards.ts";
import { cubeBytes, tokenCount } from "../pipeline/shards/frame_format.ts";
import { createFramesSet, FrameShardWriter, type FramesSet } from "../pipeline/shards/frame_shards.ts";

const SHAPES = {
  demo: { grid: [4, 4, 4], cube: [2, 8, 8, 3], width: 128, seen: 8 },
  "vit-l": { grid: [8, 14, 14], cube: [2, 16, 16, 3], width: 1024, seen: 49 },
} as const;

const { values: flags } = parseArgs({
  options: {
    shape: { type: "string", default: "demo" },
    rows: { type: "string", default: "256" },
    batch: { type: "string", default: "32" },
    repeats: { type: "string", default: "5" },
    dir: { type: "string" },
    cold: { type: "boolean", default: false },
  },
});
const shape = SHAPES[flags.shape as keyof typeof SHAPES];
const rows = Number(flags.rows), batch = Number(flags.batch), repeats = Number(flags.repeats);
const folder = Deno.makeTempDirSync({ ...(flags.dir && { dir: flags.dir }) });
try {
  await measure();
} finally {
  Deno.removeSync(folder, { recursive: true });
}

async function measure(): Promise<void> {
  using frames = await makeFrames();
  using features = await makeFeatures(frames);
  const fields = [
    { name: "cubes", set: frames, dataset: "/cubes" },
    { name: "features/0", set: features, dataset: "/features/level_0" },
    { name: "features/1", set: features, dataset: "/features/level_1" },
  ];
  const rowMb = fields.reduce((sum, { set, dataset }) => sum + set.rowBytes(dataset), 0) / 1e6;
  const files = [frames, features].flatMap((set) => Array.from({ length: set.shards }, (_, i) => set.path(i)));
  const memory = fields.map(({ set, dataset }) => new Uint8Array(3 * batch * set.rowBytes(dataset)).fill(1));
  const results: Record<string, number[]> = {};
  for (let repeat = 0; repeat < repeats; repeat++) {
    const order = rowOrder(rows, 1, repeat), steps = Math.floor(rows / batch);
    const run = async (name: string, work: () => Promise<void>, count = steps * batch) => {
      if (flags.cold) dropFromCache(files);
      const began = performance.now();
      await work();
      (results[name] ??= []).push(count / ((performance.now() - began) / 1000));
    };
    // A first pass touches the buffers, which a training does once; the second is timed.
    const place = (position: number) => {
      const row = order(position % (steps * batch));
      return { row, epoch: 0, item: row };
    };
    await using loader = new BatchLoader({ order: place, batch, fields, from: 0, until: 2 * steps * batch });
    const pass = async () => {
      for (let step = 0; step < steps; step++) (await loader.next()).release();
    };
    await pass();
    await run("loader", pass);
    const at = (i: number, field: number) => {
      const bytes = fields[field]!.set.rowBytes(fields[field]!.dataset), slot = i % (3 * batch);
      return memory[field]!.subarray(slot * bytes, (slot + 1) * bytes);
    };
    // deno-lint-ignore require-await
    await run("at once", async () => {
      for (let i = 0; i < rows; i++) {
        fields.forEach(({ set, dataset }, f) => set.readRowSync(dataset, order(i), at(i, f)));
      }
    }, rows);
    for (const lanes of [1, 4, 8]) {
      await run(`background x${lanes}`, async () => {
        const todo = Array(rows).keys();
        const lane = async () => {
          for (const i of todo) {
            for (const [f, { set, dataset }] of fields.entries()) await set.readRow(dataset, order(i), at(i, f));
          }
        };
        await Promise.all(Array.from({ length: lanes }, lane));
      }, rows);
    }
  }
  if (flags.cold) dropFromCache(files);
  const peer = h5pyRates(frames.folder, features.folder);
  if (peer !== undefined) results["h5py"] = peer;
  for (const [name, rates] of Object.entries(results)) {
    const median = rates.sort((a, b) => a - b)[rates.length >> 1]!;
    console.log(
      `${name.padEnd(14)} ${median.toFixed(0).padStart(8)} rows/s ${(median * rowMb / 1000).toFixed(2)} GB/s`,
    );
  }
}

function dropFromCache(files: readonly string[]): void {
  const args = files.map((file) => `if=${file}`);
  for (const file of args) {
    new Deno.Command("dd", { args: [file, "iflag=nocache", "count=0"], stderr: "null" }).outputSync();
  }
}

/** Rows a second of h5py on the same files, once per repeat; undefined where there is no h5py. */
function h5pyRates(frames: string, features: string): number[] | undefined {
  const code = `
import glob, h5py, json, numpy, sys, time
frames, features, rows, batch, repeats = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
shards = [[h5py.File(p) for p in sorted(glob.glob(f + "/*.h5"))] for f in (frames, features)]
fields = [[s["cubes"] for s in shards[0]]] + [[s[f"features/level_{i}"] for s in shards[1]] for i in (0, 1)]
memory = [numpy.ones((3 * batch, *f[0].shape[1:]), f[0].dtype) for f in fields]
rates = []
for repeat in range(repeats):
    order = numpy.random.default_rng(repeat).permutation(rows)
    began = time.perf_counter()
    for i, row in enumerate(map(int, order)):
        for field, into in zip(fields, memory):
            field[row // 128].read_direct(into, numpy.s_[row % 128], numpy.s_[i % (3 * batch)])
    rates.append(rows / (time.perf_counter() - began))
print(json.dumps(rates))`;
  try {
    const { success, stdout } = new Deno.Command(Deno.env.get("TUBELET_PYTHON") ?? "python3", {
      args: ["-c", code, frames, features, ...[rows, batch, flags.cold ? 1 : repeats].map(String)],
      stderr: "null",
    }).outputSync();
    if (success) return JSON.parse(new TextDecoder().decode(stdout));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  console.log("(no h5py to compare with: TUBELET_PYTHON names a python that has it)");
  return undefined;
}

async function makeFrames(): Promise<FramesSet> {
  const set = createFramesSet(folder, {
    dataset: "bench",
    split: "train",
    items: rows,
    rowsPerShard: 128,
    grid: [...shape.grid],
    cube: [...shape.cube],
    provenance: {},
  });
  const cubes = new Uint8Array(tokenCount(set.config) * cubeBytes(set.config)).map((_, i) => (i * 131) >> 3);
  const count = shape.grid[0] * shape.cube[0];
  for (let shard = 0; shard < set.shards; shard++) {
    const { row0, rows } = set.span(shard);
    using writer = new FrameShardWriter(set, shard, Array(rows).fill("clip"));
    for (let row = row0; row < row0 + rows; row++) {
      writer.write(row, {
        cubes,
        frames: new Int32Array(count),
        ptsUs: new BigInt64Array(count),
        crop: { x: 0, y: 0, width: 1, height: 1 },
        sourceWidth: 1,
        sourceHeight: 1,
        label: null,
      });
    }
    await writer.seal();
  }
  return set;
}

async function makeFeatures(frames: FramesSet) {
  const { grid, width, seen } = shape;
  const set = createFeaturesSet(folder, frames, {
    teacher: { name: "bench", sha256: "0".repeat(64), precision: "f32" },
    levels: [{ block: 1, width }, { block: 2, width }],
    teacherPositions: seen,
    provenance: {},
  });
  const level = new Float16Array(grid[0] * seen * width).map((_, i) => Math.sin(i));
  const teacherPositions = Array.from({ length: seen }, (_, i) => i);
  for (let shard = 0; shard < set.shards; shard++) {
    using writer = new FeatureShardWriter(set, frames, shard);
    for (const row of writer.pending) writer.write(row, { levels: [level, level], teacherPositions });
    await writer.seal();
  }
  return set;
}
