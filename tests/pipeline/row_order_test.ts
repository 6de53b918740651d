import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { rowAt, rowOrder, TrainingOrder } from "../../pipeline/row_order.ts";

Deno.test("every order of 1 to 300 rows holds each row once", () => {
  for (let n = 1; n <= 300; n++) {
    const seen = new Uint8Array(n);
    for (let position = 0; position < n; position++) seen[rowAt(n, 9, 0, position)]!++;
    assert(seen.every((times) => times === 1), `n = ${n}`);
  }
});

Deno.test("a large order holds each row once", () => {
  const n = 100_003, order = rowOrder(n, 1, 4), seen = new Uint8Array(n);
  for (let position = 0; position < n; position++) seen[order(position)]!++;
  assert(seen.every((times) => times === 1));
});

Deno.test("the largest order answers at both ends", () => {
  for (const position of [0, 2 ** 32 - 1]) {
    const row = rowAt(2 ** 32, 1, 0, position);
    assert(row >= 0 && row < 2 ** 32);
  }
});

Deno.test("the same seed and epoch repeat an order, another epoch or seed changes it", () => {
  const list = (seed: number, epoch: number) => Array.from({ length: 50 }, (_, p) => rowAt(50, seed, epoch, p));
  assertEquals(list(1, 2), list(1, 2));
  assertNotEquals(list(1, 2), list(1, 3));
  assertNotEquals(list(1, 2), list(2, 2));
});

Deno.test("over many epochs each position meets each row equally often", () => {
  const n = 10, epochs = 4000;
  const counts = Array.from({ length: n }, () => new Array<number>(n).fill(0));
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = rowOrder(n, 5, epoch);
    for (let position = 0; position < n; position++) counts[position]![order(position)]!++;
  }
  const expected = epochs / n;
  const chiSquare = counts.flat().reduce((sum, c) => sum + (c - expected) ** 2 / expected, 0);
  assert(chiSquare < 140, `chi-square ${chiSquare} with 81 degrees of freedom exceeds its 0.9999 quantile`);
});

Deno.test("neighbouring positions lie apart like random rows", () => {
  const n = 10_000, order = rowOrder(n, 5, 0);
  let distance = 0;
  for (let position = 1; position < n; position++) distance += Math.abs(order(position) - order(position - 1));
  const mean = distance / (n - 1);
  assert(Math.abs(mean - n / 3) < 0.03 * n, `mean distance ${mean}, a random order has ${n / 3}`);
});

Deno.test("an order refuses no rows and a position beyond its end", () => {
  assertThrows(() => rowOrder(0, 1, 0), RangeError, "found 0");
  assertThrows(() => rowAt(10, 1, 0, 10), RangeError, "0 .. 9");
  assertThrows(() => rowAt(10, 1, 0, 0.5), RangeError, "0.5");
});

Deno.test("a training order visits each item once an epoch and takes the views in turn", () => {
  const order = new TrainingOrder({ items: Uint32Array.of(0, 2, 5), views: 2, seed: 3 });
  const epoch = (e: number) => [0, 1, 2].map((p) => order.rowAt(e * 3 + p)).sort((a, b) => a - b);
  assertEquals(epoch(0), [0, 4, 10]);
  assertEquals(epoch(1), [1, 5, 11]);
  assertEquals(epoch(2), [0, 4, 10]);
  assertEquals([order.epochLength, order.epochOf(2), order.epochOf(3)], [3, 0, 1]);
  assertThrows(() => new TrainingOrder({ items: new Uint32Array(0), views: 1, seed: 0 }), RangeError);
});

Deno.test("a training order entered in the middle continues the same sequence", () => {
  const options = { items: Uint32Array.from({ length: 17 }, (_, i) => i), views: 3, seed: 8 };
  const whole = new TrainingOrder(options), resumed = new TrainingOrder(options);
  const list = Array.from({ length: 60 }, (_, p) => whole.rowAt(p));
  assertEquals(Array.from({ length: 30 }, (_, p) => resumed.rowAt(30 + p)), list.slice(30));
});
