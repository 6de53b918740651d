/** The loader: every row at its place, in the order of positions, however much is read ahead. */
import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { BatchLoader, type BatchLoaderOptions, type RowSource } from "../../pipeline/loader.ts";
import { TrainingOrder } from "../../pipeline/row_order.ts";
import { ShardError } from "../../pipeline/shards/shard_error.ts";
import { cubesOf, featuresOf, featuresSet, framesSet, inTempDir, patch } from "./shards/_sets.ts";

/** Rows of 4 bytes that hold their number; those above `small` bytes count as large. */
class FakeRows implements RowSource {
  readonly rows = 100;
  underWay = 0;
  mostUnderWay = 0;
  reads: number[] = [];
  constructor(readonly bytes: number) {}
  rowBytes(): number {
    return this.bytes;
  }
  readRowSync(_dataset: string, row: number, into: Uint8Array): void {
    this.reads.push(row);
    into.fill(row);
  }
  async readRow(dataset: string, row: number, into: Uint8Array): Promise<void> {
    this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay);
    await Promise.resolve();
    this.readRowSync(dataset, row, into);
    this.underWay--;
  }
}

const inOrder = (position: number) => ({
  row: position % 100,
  epoch: Math.floor(position / 100),
  item: position % 100,
});
const loaderOf = (set: RowSource, options: Partial<BatchLoaderOptions> = {}) =>
  new BatchLoader({
    order: inOrder,
    batch: 4,
    fields: [{ name: "x", set, dataset: "/x" }],
    from: 0,
    until: 40,
    ...options,
  });
const turn = () => new Promise((resolve) => setTimeout(resolve));

Deno.test("a batch holds the rows of its positions, field by field, over epochs and shards", () =>
  inTempDir(async (cache) => {
    using frames = await framesSet(cache);
    using features = await featuresSet(cache, frames);
    const order = new TrainingOrder({ items: frames.goodItems(), views: 1, seed: 3 });
    const place = (position: number) => {
      const row = order.rowAt(position);
      return { row, epoch: order.epochOf(position), item: row };
    };
    await using loader = new BatchLoader({
      order: place,
      batch: 4,
      fields: [
        { name: "cubes", set: frames, dataset: "/cubes" },
        { name: "features/1", set: features, dataset: "/features/level_1" },
      ],
      from: 8,
      until: 28,
    });
    for (let position = 8; position < 28; position += 4) {
      const batch = await loader.next();
      assertEquals(batch.position, position);
      assertEquals(batch.places, [0, 1, 2, 3].map((i) => place(position + i)));
      assertEquals([...batch.rows], batch.places.map(({ row }) => row));
      const cubes = batch.buffers.get("cubes")!, level = batch.buffers.get("features/1")!;
      for (const [i, row] of batch.rows.entries()) {
        assertEquals(cubes.subarray(i * 96, (i + 1) * 96), cubesOf(row));
        const values = new Float16Array(level.slice(i * 24, (i + 1) * 24).buffer);
        assertEquals(new Float32Array(values), featuresOf(row, 1));
      }
      batch.release();
    }
    await assertRejects(() => loader.next(), RangeError, "There is no batch after position 28");
  }));

for (const [kind, bytes] of [["small", 4], ["large", 2 ** 17 + 1]] as const) {
  Deno.test(`${kind} rows are read ahead by the depth and no further, into buffers that are used again`, async () => {
    const set = new FakeRows(bytes);
    await using loader = loaderOf(set, { depth: 1 });
    for (let i = 0; i < 5; i++) await turn();
    assertEquals(set.reads.length, 8);
    const first = await loader.next(), buffer = first.buffers.get("x")!;
    assertEquals([buffer[0], buffer[3 * bytes]], [0, 3]);
    first.release();
    first.release();
    for (let i = 0; i < 5; i++) await turn();
    assertEquals(set.reads, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    const second = await loader.next();
    assertEquals(second.buffers.get("x")!.at(-1), 7);
    const third = await loader.next();
    assertStrictEquals(third.buffers.get("x"), buffer);
    await assertRejects(() => loader.next(), RangeError, "All 2 batches are in use: release one");
    second.release();
    assertEquals((await loader.next()).position, 12);
  });
}

Deno.test("several large rows are read at the same time", async () => {
  const set = new FakeRows(2 ** 17 + 1);
  await using loader = loaderOf(set, { batch: 20, until: 20, depth: 0 });
  await loader.next();
  assertEquals(set.mostUnderWay, 8);
});

Deno.test("the wait is measured with the given clock", async () => {
  const times = [100, 107];
  await using loader = loaderOf(new FakeRows(4), { now: () => times.shift()! });
  assertEquals((await loader.next()).waitedMs, 7);
});

Deno.test("a damaged row fails its batch with file and row; the batches before it are good", () =>
  inTempDir(async (cache) => {
    using set = await framesSet(cache);
    patch(set.path(1), set.sidecar(1).datasets["/cubes"]!.offset + 96, (bytes) => bytes[0]! ^= 1);
    await using loader = new BatchLoader({
      order: inOrder,
      batch: 2,
      fields: [{ name: "cubes", set, dataset: "/cubes" }],
      from: 2,
      until: 8,
    });
    assertEquals((await loader.next()).buffers.get("cubes")!.subarray(0, 96), cubesOf(2));
    await assertRejects(() => loader.next(), ShardError, "shard-00001.h5, dataset /cubes, row 5 has CRC-32");
  }));

Deno.test("a large row that cannot be read fails its batch", async () => {
  class Broken extends FakeRows {
    override readRow(dataset: string, row: number, into: Uint8Array): Promise<void> {
      return row === 6 ? Promise.reject(new Error("row 6 is gone")) : super.readRow(dataset, row, into);
    }
  }
  await using loader = loaderOf(new Broken(2 ** 17 + 1));
  await loader.next();
  await assertRejects(() => loader.next(), Error, "row 6 is gone");
});

Deno.test("a loader that is disposed of reads no further", async () => {
  const set = new FakeRows(2 ** 17 + 1);
  const loader = loaderOf(set, { batch: 20 });
  await loader[Symbol.asyncDispose]();
  const read = set.reads.length;
  await turn();
  assertEquals(set.reads.length, read);
  await assertRejects(() => loader.next(), RangeError, "The loader was disposed of");
});

Deno.test("positions that are no whole batches, and fields of different sets, are refused", () => {
  const set = new FakeRows(4);
  assertThrows(() => loaderOf(set, { until: 41 }), RangeError, "Positions 0 to 41 are not whole batches of 4");
  assertThrows(() => loaderOf(set, { batch: 0 }), RangeError, "batch is a whole number from 1: found 0");
  assertThrows(() => loaderOf(set, { from: 50 }), RangeError, "until is a whole number from 50: found 40");
  const other = Object.assign(new FakeRows(4), { rows: 7 });
  const fields = [{ name: "a", set, dataset: "/x" }, { name: "b", set: other, dataset: "/x" }];
  assertThrows(() => loaderOf(set, { fields }), RangeError, "Field b has 7 rows, field a 100");
});
