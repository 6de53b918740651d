/** What the operations refuse, and that the messages name what was found. */
import { assertEquals, assertThrows } from "@std/assert";
import {
  add,
  broadcast,
  compare,
  concatenate,
  constant,
  exp,
  gatherRows,
  input,
  iota,
  layerNorm,
  matmul,
  mean,
  multiply,
  pad,
  randomBits,
  reshape,
  scatterRows,
  select,
  slice,
  softmax,
  sum,
  type Tensor,
  topologicalOrder,
  transpose,
} from "../../../models/tensor/mod.ts";

const x = input("x", [2, 3]), index = input("index", [2, 4], "i32"), rows = input("rows", [2, 5, 3]);
const integers = input("integers", [2, 3], "i32"), low = input("low", [2, 3], "bf16");

/** What is refused, and the parts its message must have. */
const REFUSED: Readonly<Record<string, readonly [() => Tensor, ...string[]]>> = {
  "an input with an axis of size 0": [() => input("empty", [2, 0]), "empty", "[2, 0]"],
  "a fraction among integers": [() => add(integers, 0.5), "i32", "0.5"],
  "a constant beyond its type": [() => constant(256, [], "u8"), "u8", "from 0 to 255", "256"],
  "an axis that is not there": [() => iota([2, 3], 2), "iota", "axis 2", "2 axes"],
  "random bits of keys that are no pairs": [
    () => randomBits(input("keys", [2, 3], "u32"), 4),
    "u32[B, 2]",
    "u32[2, 3]",
  ],
  "random bits of signed keys": [() => randomBits(input("keys", [2, 2], "i32"), 4), "u32[B, 2]", "i32[2, 2]"],
  "more random bits than a word has": [
    () => randomBits(input("keys", [1, 2], "u32"), 4, { bits: 33 }),
    "1 to 32",
    "33",
  ],
  "a stream beyond 2^32": [() => randomBits(input("keys", [1, 2], "u32"), 4, { stream: 2 ** 32 }), "4294967296"],
  "exp of integers": [() => exp(integers), "exp", "i32[2, 3]"],
  "add of shapes that do not broadcast": [() => add(x, input("y", [2])), "f32[2, 3]", "f32[2]"],
  "add of two types": [() => add(x, low), "f32[2, 3]", "bf16[2, 3]", "convert"],
  "compare of two types": [() => compare(x, "less", integers), "f32[2, 3]", "i32[2, 3]"],
  "add of two numbers": [() => add(1, 2), "two numbers"],
  "select by floats": [() => select(x, x, x), "bool", "f32[2, 3]"],
  "reshape to another size": [() => reshape(x, [4, 2]), "f32[2, 3] (6 elements)", "[4, 2] (8 elements)"],
  "transpose by an axis twice": [() => transpose(x, [0, 0]), "f32[2, 3]", "[0, 0]"],
  "broadcast to fewer axes": [() => broadcast(x, [3]), "f32[2, 3]", "[3]"],
  "broadcast of an axis that is not 1": [() => broadcast(x, [4, 3]), "f32[2, 3]", "[4, 3]"],
  "broadcast to a negative size": [() => broadcast(constant(1), [-1]), "[-1]"],
  "concatenate of unequal axes": [() => concatenate([x, rows], 0), "f32[2, 3]", "f32[2, 5, 3]"],
  "concatenate of nothing": [() => concatenate([], 0), "none"],
  "slice beyond the end": [() => slice(x, 1, 1, 4), "1 to 4", "f32[2, 3]", "3 elements"],
  "slice of nothing": [() => slice(x, 1, 2, 2), "2 to 2"],
  "pad by a negative count": [() => pad(x, 0, -1, 0), "f32[2, 3]", "-1"],
  "pad by a fraction": [() => pad(x, 0, 0.5, 0), "0.5"],
  "sum over an axis that is not there": [() => sum(x, [-3]), "sum", "axis -3"],
  "sum of bools": [() => sum(compare(x, "less", 0)), "bool[2, 3]", "convert"],
  "iota of bools": [() => iota([2], 0, "bool"), "compare"],
  "mean of integers": [() => mean(integers), "mean", "i32[2, 3]"],
  "matmul of unequal contracted axes": [() => matmul(x, x), "f32[2, 3]", "by f32[2, 3]"],
  "matmul that names the transposed side": [() => matmul(x, rows, { transposeB: true }), "f32[2, 5, 3] transposed"],
  "matmul of unequal leading axes": [() => matmul(rows, input("y", [3, 3, 2])), "f32[2, 5, 3]", "f32[3, 3, 2]"],
  "matmul of two types": [() => matmul(x, low, { transposeB: true }), "f32[2, 3]", "bf16[2, 3]"],
  "matmul of integers": [() => matmul(integers, integers, { transposeB: true }), "i32[2, 3]"],
  "softmax of a scalar": [() => softmax(constant(1)), "f32[]"],
  "softmax to integers": [() => softmax(x, "i32"), "i32", "f32[2, 3]"],
  "layerNorm with scale of another width": [
    () => layerNorm(x, input("scale", [2]), input("shift", [3]), 1e-6),
    "f32[2, 3]",
    "f32[2]",
  ],
  "layerNorm of integers": [
    () => layerNorm(integers, input("scale", [3]), input("shift", [3]), 1e-6),
    "i32[2, 3]",
  ],
  "gatherRows by floats": [() => gatherRows(rows, x), "f32[2, 5, 3]", "f32[2, 3]"],
  "gatherRows of another batch": [() => gatherRows(input("y", [3, 5, 3]), index), "f32[3, 5, 3]", "i32[2, 4]"],
  "scatterRows of another count": [() => scatterRows(rows, index, 9), "f32[2, 5, 3]", "i32[2, 4]"],
};

for (const [what, [refused, ...parts]] of Object.entries(REFUSED)) {
  Deno.test(`an error names what it found: ${what}`, () => {
    for (const part of parts) assertThrows(refused, Error, part);
  });
}

Deno.test("operations that change nothing return their operand", () => {
  for (
    const same of [
      reshape(x, [2, 3]),
      transpose(x, [0, 1]),
      broadcast(x, [2, 3]),
      concatenate([x], 1),
      slice(x, 1, 0, 3),
      pad(x, 0, 0, 0),
      sum(x, []),
    ]
  ) assertEquals(same === x, true);
});

Deno.test("a graph too deep for recursion is put in order, inputs first", () => {
  let deep: Tensor = x;
  for (let i = 0; i < 20_000; i++) deep = multiply(deep, deep);
  const order = topologicalOrder([deep]);
  assertEquals(order.length, 20_001);
  assertEquals(order[0] === x && order.at(-1) === deep, true);
});
