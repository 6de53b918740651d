/** Frame shards of made-up views, in folders that are gone afterwards. */
import { quiet } from "../pipeline/quiet.ts";
import { cubeBytes, tokenCount } from "../pipeline/shards/frame_format.ts";
import { createFramesSet, FrameShardWriter, type FramesSet } from "../pipeline/shards/frame_shards.ts";

/** What the shards hold. */
export interface MadeViews {
  /** Cubes along time, height and width. */
  readonly grid: readonly [number, number, number];
  /** Frames, height, width and colours of a cube. */
  readonly cube: readonly [number, number, number, number];
  readonly rows: number;
}

/** Writes and seals a set of 128 rows a shard, every view the same. */
export async function makeFrames(folder: string, { grid, cube, rows }: MadeViews): Promise<FramesSet> {
  const set = createFramesSet(folder, {
    dataset: "bench",
    split: "train",
    items: rows,
    rowsPerShard: 128,
    grid: [...grid],
    cube: [...cube],
    provenance: {},
  });
  const cubes = new Uint8Array(tokenCount(set.config) * cubeBytes(set.config)).map((_, i) => (i * 131) >> 3);
  const count = grid[0] * cube[0];
  let sealing = Promise.resolve();
  for (let shard = 0; shard < set.shards; shard++) {
    const { row0, rows } = set.span(shard);
    const writer = new FrameShardWriter(set, shard, Array(rows).fill("clip"));
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
    // As prepare does: one is sealed while the next takes rows.
    await sealing;
    sealing = quiet(seal(writer));
  }
  await sealing;
  return set;
}

async function seal(writer: FrameShardWriter): Promise<void> {
  using sealed = writer;
  await sealed.seal();
}

/** A folder that is removed when it is disposed of. */
export function temporaryFolder(): { path: string } & Disposable {
  const path = Deno.makeTempDirSync();
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}
