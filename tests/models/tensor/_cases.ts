/**
 * Small cases of every operation, with results checked by hand: what the engines are held to, and what derivatives are
 * checked on. A new kind of operation does not type-check here until it has an entry.
 */
import { randomWords } from "../../../models/runtime/_threefry.ts";
import {
  abs,
  add,
  barrier,
  broadcast,
  compare,
  concatenate,
  constant,
  convert,
  customGradient,
  divide,
  type DType,
  erf,
  exp,
  gatherRows,
  iota,
  layerNorm,
  log,
  matmul,
  max,
  maximum,
  mean,
  minimum,
  multiply,
  negate,
  type OpKind,
  pad,
  randomBits,
  reshape,
  rsqrt,
  scatterRows,
  select,
  type Shape,
  slice,
  softmax,
  sqrt,
  stopGradient,
  subtract,
  sum,
  tanh,
  type Tensor,
  transpose,
  uniform,
} from "../../../models/tensor/mod.ts";

/** Numbers of an input, row-major. */
export interface Value {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly numbers: readonly number[];
}

export interface OpCase {
  readonly name: string;
  readonly inputs: readonly Value[];
  readonly trace: (...inputs: Tensor[]) => Tensor;
  readonly expected: readonly number[];
  /** False where the derivative is not the slope: at a kink, or because the case declares another. @default {true} */
  readonly smooth?: boolean;
}

/** 1 to 6 as two rows of three. */
const GRID = f32([2, 3], [1, 2, 3, 4, 5, 6]);
const ROW = f32([3], [10, 20, 30]);
const MIXED = f32([4], [-2, -0.5, 0.25, 3]);
const POSITIVE = f32([3], [0.25, 1, 9]);
/** `[2, 2, 2]`: the matrices [1 2; 3 4] and [5 6; 7 8]. */
const PAIR = f32([2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8]);
/** Two samples of three rows of width 2. */
const ROWS = f32([2, 3, 2], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);

export const CASES: Readonly<Record<OpKind, readonly OpCase[]>> = {
  input: [{ name: "input", inputs: [GRID], trace: (x) => x, expected: GRID.numbers }],
  constant: [
    { name: "constant", inputs: [], trace: () => constant(1.5, [2, 2]), expected: [1.5, 1.5, 1.5, 1.5] },
    { name: "constant of i32", inputs: [], trace: () => constant(-7, [2], "i32"), expected: [-7, -7] },
    { name: "constant of u8", inputs: [], trace: () => constant(255, [1], "u8"), expected: [255] },
    { name: "constant of u32", inputs: [], trace: () => constant(70000, [], "u32"), expected: [70000] },
    { name: "constant of bool", inputs: [], trace: () => constant(1, [2], "bool"), expected: [1, 1] },
    { name: "constant of bf16", inputs: [], trace: () => constant(0.5, [1], "bf16"), expected: [0.5] },
  ],
  iota: [
    { name: "iota along columns", inputs: [], trace: () => iota([2, 3], 1), expected: [0, 1, 2, 0, 1, 2] },
    { name: "iota along rows", inputs: [], trace: () => iota([2, 3], 0), expected: [0, 0, 0, 1, 1, 1] },
    { name: "iota of f32", inputs: [], trace: () => iota([3], 0, "f32"), expected: [0, 1, 2] },
  ],
  // The words of the published known-answer test (Random123, threefry2x32 with 20 rounds), key and counter 0; the others
  // agree with `_threefry.ts`, which is held to all of that test's vectors.
  random_bits: [
    {
      name: "random bits of key 0",
      inputs: [u32([1, 2], [0, 0])],
      trace: (keys) => randomBits(keys, 2),
      expected: [0x6b200159, 0x99ba4efe],
    },
    {
      name: "random bits of two keys, an odd number of each",
      inputs: [u32([2, 2], [0x13198a2e, 0x03707344, 0xffffffff, 0x80000000])],
      trace: (keys) => randomBits(keys, 3, { stream: 0xffffffff }),
      expected: [
        ...randomWords([0x13198a2e, 0x03707344, 0xffffffff, 0x80000000], 3, { stream: 2 ** 32 - 1, bits: 32 }),
      ],
    },
    {
      name: "upper bits of random words",
      inputs: [u32([1, 2], [0, 0])],
      trace: (keys) => randomBits(keys, 2, { bits: 24 }),
      expected: [0x6b2001, 0x99ba4e],
    },
    {
      name: "uniform numbers",
      inputs: [u32([1, 2], [0, 0])],
      trace: (keys) => uniform(keys, 2),
      expected: [0x6b2001 / 2 ** 24, 0x99ba4e / 2 ** 24],
    },
  ],

  negate: [{ name: "negate", inputs: [MIXED], trace: negate, expected: [2, 0.5, -0.25, -3] }],
  abs: [{ name: "abs", inputs: [MIXED], trace: abs, expected: [2, 0.5, 0.25, 3] }],
  exp: [{ name: "exp", inputs: [f32([3], [0, 1, -1])], trace: exp, expected: [1, Math.E, 1 / Math.E] }],
  log: [{ name: "log", inputs: [POSITIVE], trace: log, expected: [-2 * Math.LN2, 0, Math.log(9)] }],
  sqrt: [{ name: "sqrt", inputs: [POSITIVE], trace: sqrt, expected: [0.5, 1, 3] }],
  rsqrt: [{ name: "rsqrt", inputs: [POSITIVE], trace: rsqrt, expected: [2, 1, 1 / 3] }],
  erf: [{
    name: "erf",
    inputs: [f32([6], [0, 0.5, -1, 2, -4, 7])],
    trace: erf,
    // Abramowitz and Stegun, table 7.1.
    expected: [0, 0.5204998778130465, -0.8427007929497149, 0.9953222650189527, -0.9999999845827421, 1],
  }],
  tanh: [{
    name: "tanh",
    inputs: [f32([3], [0, 0.5, -20])],
    trace: tanh,
    expected: [0, (Math.E - 1) / (Math.E + 1), -1],
  }],

  add: [
    { name: "add", inputs: [GRID, GRID], trace: add, expected: [2, 4, 6, 8, 10, 12] },
    { name: "add of a row", inputs: [GRID, ROW], trace: add, expected: [11, 22, 33, 14, 25, 36] },
    {
      name: "add of a row and a column",
      inputs: [f32([1, 3], [1, 2, 3]), f32([2, 1], [10, 20])],
      trace: add,
      expected: [11, 12, 13, 21, 22, 23],
    },
    { name: "add of a number", inputs: [GRID], trace: (x) => add(x, 0.5), expected: [1.5, 2.5, 3.5, 4.5, 5.5, 6.5] },
    { name: "add of i32", inputs: [i32([2], [3, -4])], trace: (x) => add(x, 5), expected: [8, 1] },
    {
      name: "add of u32 wraps",
      inputs: [u32([2], [4e9, 3])],
      trace: (x) => add(x, 5e8),
      expected: [205032704, 500000003],
    },
    { name: "add of u8 wraps", inputs: [u8([2], [250, 3])], trace: (x) => add(x, 10), expected: [4, 13] },
    {
      name: "add of bools is or",
      inputs: [bool([3], [1, 1, 0]), bool([3], [1, 0, 0])],
      trace: add,
      expected: [1, 1, 0],
    },
    { name: "add of bf16", inputs: [bf16([2], [1.5, -8])], trace: (x) => add(x, x), expected: [3, -16] },
  ],
  subtract: [
    { name: "subtract", inputs: [GRID, ROW], trace: subtract, expected: [-9, -18, -27, -6, -15, -24] },
    { name: "subtract from a number", inputs: [ROW], trace: (x) => subtract(1, x), expected: [-9, -19, -29] },
    { name: "subtract of u8 wraps", inputs: [u8([2], [1, 7])], trace: (x) => subtract(x, 2), expected: [255, 5] },
  ],
  multiply: [
    { name: "multiply", inputs: [GRID, ROW], trace: multiply, expected: [10, 40, 90, 40, 100, 180] },
    { name: "multiply by itself", inputs: [MIXED], trace: (x) => multiply(x, x), expected: [4, 0.25, 0.0625, 9] },
    {
      name: "multiply of repeated values",
      inputs: [f32([2], [2, 3])],
      trace: (x) => multiply(broadcast(x, [2, 2]), broadcast(reshape(x, [2, 1]), [2, 2])),
      expected: [4, 6, 6, 9],
    },
    {
      name: "multiply of bools is and",
      inputs: [bool([3], [1, 1, 0]), bool([3], [1, 0, 0])],
      trace: multiply,
      expected: [1, 0, 0],
    },
    { name: "multiply of u32 wraps", inputs: [u32([1], [4e9])], trace: (x) => multiply(x, 3), expected: [3410065408] },
    { name: "multiply of i32", inputs: [i32([2], [3, -4])], trace: (x) => multiply(x, x), expected: [9, 16] },
  ],
  divide: [
    { name: "divide", inputs: [GRID, f32([2, 1], [2, 4])], trace: divide, expected: [0.5, 1, 1.5, 1, 1.25, 1.5] },
    { name: "divide a number", inputs: [POSITIVE], trace: (x) => divide(9, x), expected: [36, 9, 1] },
    {
      name: "divide of i32 is towards zero",
      inputs: [i32([4], [7, -7, -8, 1]), i32([4], [2, 2, 2, -2])],
      trace: divide,
      expected: [3, -3, -4, 0],
    },
    { name: "divide of u32", inputs: [u32([2], [4e9, 7])], trace: (x) => divide(x, 3), expected: [1333333333, 2] },
  ],
  maximum: [
    { name: "maximum", inputs: [MIXED, f32([1], [0])], trace: maximum, expected: [0, 0, 0.25, 3] },
    {
      name: "maximum of bools",
      inputs: [bool([2], [1, 0]), bool([2], [0, 0])],
      trace: maximum,
      expected: [1, 0],
    },
    { name: "maximum of u32", inputs: [u32([2], [1, 4e9])], trace: (x) => maximum(x, 3e9), expected: [3e9, 4e9] },
    { name: "maximum of i32", inputs: [i32([2], [-1, 4])], trace: (x) => maximum(x, 2), expected: [2, 4] },
    {
      name: "maximum of equals",
      inputs: [f32([2], [1, 2]), f32([2], [1, 2])],
      trace: maximum,
      expected: [1, 2],
      smooth: false,
    },
  ],
  minimum: [
    { name: "minimum", inputs: [MIXED, f32([1], [0])], trace: minimum, expected: [-2, -0.5, 0, 0] },
    { name: "minimum of u32", inputs: [u32([2], [1, 4e9])], trace: (x) => minimum(x, 3e9), expected: [1, 3e9] },
  ],
  compare: [
    { name: "less", inputs: [GRID], trace: (x) => compare(x, "less", 3), expected: [1, 1, 0, 0, 0, 0] },
    { name: "greater", inputs: [GRID, ROW], trace: (a, b) => compare(a, "greater", b), expected: [0, 0, 0, 0, 0, 0] },
    { name: "equal", inputs: [i32([3], [1, 2, 1])], trace: (x) => compare(x, "equal", 1), expected: [1, 0, 1] },
    { name: "less of u8", inputs: [u8([2], [200, 3])], trace: (x) => compare(x, "less", 128), expected: [0, 1] },
    { name: "less of u32", inputs: [u32([2], [4e9, 3])], trace: (x) => compare(x, "less", 3e9), expected: [0, 1] },
  ],
  select: [
    {
      name: "select",
      inputs: [bool([4], [1, 0, 0, 1]), MIXED, f32([4], [5, 6, 7, 8])],
      trace: select,
      expected: [-2, 6, 7, 3],
    },
    {
      name: "select with broadcast and a number",
      inputs: [bool([2, 1], [1, 0]), ROW],
      trace: (condition, x) => select(condition, x, -1),
      expected: [10, 20, 30, -1, -1, -1],
    },
  ],
  convert: [
    { name: "convert f32 to i32", inputs: [f32([3], [2.75, -2.75, 9])], trace: to("i32"), expected: [2, -2, 9] },
    { name: "convert u8 to f32", inputs: [u8([2], [0, 255])], trace: to("f32"), expected: [0, 255] },
    { name: "convert i32 to f32", inputs: [i32([2], [-3, 65537])], trace: to("f32"), expected: [-3, 65537] },
    { name: "convert i32 to u8", inputs: [i32([2], [3, 200])], trace: to("u8"), expected: [3, 200] },
    { name: "convert u32 to f32", inputs: [u32([2], [7, 4e9])], trace: to("f32"), expected: [7, 4e9] },
    { name: "convert f32 to u32", inputs: [f32([2], [7.75, 4e9])], trace: to("u32"), expected: [7, 4e9] },
    { name: "convert u32 to u8", inputs: [u32([2], [7, 4294967040 + 3])], trace: to("u8"), expected: [7, 3] },
    { name: "convert u32 to i32", inputs: [u32([1], [70000])], trace: to("i32"), expected: [70000] },
    { name: "convert f32 to bool", inputs: [f32([3], [0, 0.25, -2])], trace: to("bool"), expected: [0, 1, 1] },
    { name: "convert i32 to bool", inputs: [i32([3], [0, 3, 256])], trace: to("bool"), expected: [0, 1, 1] },
    { name: "convert bool to f32", inputs: [bool([2], [1, 0])], trace: to("f32"), expected: [1, 0] },
    { name: "convert f32 to bf16", inputs: [f32([2], [0.75, -3])], trace: to("bf16"), expected: [0.75, -3] },
    { name: "convert f32 to f16", inputs: [f32([2], [0.75, -3])], trace: to("f16"), expected: [0.75, -3] },
    { name: "convert f16 to f32", inputs: [value("f16", [2], [0.125, 6])], trace: to("f32"), expected: [0.125, 6] },
    { name: "convert bf16 to f32", inputs: [bf16([2], [0.125, 6])], trace: to("f32"), expected: [0.125, 6] },
  ],

  reshape: [{ name: "reshape", inputs: [GRID], trace: (x) => reshape(x, [3, 1, 2]), expected: GRID.numbers }],
  transpose: [
    { name: "transpose", inputs: [GRID], trace: (x) => transpose(x, [1, 0]), expected: [1, 4, 2, 5, 3, 6] },
    {
      name: "transpose round three axes",
      inputs: [ROWS],
      trace: (x) => transpose(x, [2, 0, 1]),
      expected: [1, 3, 5, 7, 9, 11, 2, 4, 6, 8, 10, 12],
    },
    {
      name: "transpose of u8",
      inputs: [u8([2, 2], [1, 2, 3, 4])],
      trace: (x) => transpose(x, [1, 0]),
      expected: [1, 3, 2, 4],
    },
  ],
  broadcast: [
    {
      name: "broadcast of a row",
      inputs: [f32([2], [1, 2])],
      trace: (x) => broadcast(x, [2, 2, 2]),
      expected: [1, 2, 1, 2, 1, 2, 1, 2],
    },
    {
      name: "broadcast within",
      inputs: [f32([2, 1, 2], [1, 2, 3, 4])],
      trace: (x) => broadcast(x, [2, 2, 2]),
      expected: [1, 2, 1, 2, 3, 4, 3, 4],
    },
    { name: "broadcast of a scalar", inputs: [f32([], [7])], trace: (x) => broadcast(x, [3]), expected: [7, 7, 7] },
    { name: "broadcast to one more axis", inputs: [ROW], trace: (x) => broadcast(x, [1, 3]), expected: ROW.numbers },
    { name: "broadcast of i32", inputs: [i32([1], [4])], trace: (x) => broadcast(x, [2]), expected: [4, 4] },
    { name: "broadcast of bool", inputs: [bool([1], [1])], trace: (x) => broadcast(x, [2]), expected: [1, 1] },
  ],
  concatenate: [
    {
      name: "concatenate columns",
      inputs: [GRID, f32([2, 1], [7, 8])],
      trace: (a, b) => concatenate([a, b], 1),
      expected: [1, 2, 3, 7, 4, 5, 6, 8],
    },
    {
      name: "concatenate rows, one of them twice",
      inputs: [f32([1, 2], [1, 2]), f32([2, 2], [3, 4, 5, 6])],
      trace: (a, b) => concatenate([a, b, a], 0),
      expected: [1, 2, 3, 4, 5, 6, 1, 2],
    },
    {
      name: "concatenate of repeated values",
      inputs: [f32([1], [3])],
      trace: (x) => concatenate([broadcast(x, [2]), constant(0, [1])], 0),
      expected: [3, 3, 0],
    },
  ],
  slice: [
    { name: "slice of columns", inputs: [GRID], trace: (x) => slice(x, 1, 1, 3), expected: [2, 3, 5, 6] },
    { name: "slice of rows", inputs: [GRID], trace: (x) => slice(x, 0, 1, 2), expected: [4, 5, 6] },
    { name: "slice within", inputs: [ROWS], trace: (x) => slice(x, 1, 2, 3), expected: [5, 6, 11, 12] },
  ],
  pad: [
    { name: "pad of rows", inputs: [ROW], trace: (x) => pad(x, 0, 1, 2), expected: [0, 10, 20, 30, 0, 0] },
    {
      name: "pad within",
      inputs: [PAIR],
      trace: (x) => pad(x, 1, 0, 1),
      expected: [1, 2, 3, 4, 0, 0, 5, 6, 7, 8, 0, 0],
    },
  ],

  sum: [
    { name: "sum", inputs: [GRID], trace: (x) => sum(x), expected: [21] },
    { name: "sum of columns", inputs: [GRID], trace: (x) => sum(x, [0]), expected: [5, 7, 9] },
    { name: "sum with kept axis", inputs: [GRID], trace: (x) => sum(x, [-1], { keepAxes: true }), expected: [6, 15] },
    { name: "sum of outer axes", inputs: [PAIR], trace: (x) => sum(x, [0, 2]), expected: [14, 22] },
    { name: "sum of i32", inputs: [i32([2, 2], [1, 2, 3, -4])], trace: (x) => sum(x, [1]), expected: [3, -1] },
    {
      name: "sum of repeated values",
      inputs: [ROW],
      trace: (x) => sum(broadcast(x, [4, 3]), [0]),
      expected: [40, 80, 120],
    },
    { name: "mean", inputs: [GRID], trace: (x) => mean(x, [1]), expected: [2, 5] },
    { name: "mean over an axis named twice", inputs: [GRID], trace: (x) => mean(x, [1, -1]), expected: [2, 5] },
  ],
  max: [
    { name: "max", inputs: [MIXED], trace: (x) => max(x), expected: [3] },
    { name: "max of rows", inputs: [f32([2, 2], [4, 1, -3, -2])], trace: (x) => max(x, [1]), expected: [4, -2] },
    {
      name: "max with kept axes",
      inputs: [PAIR],
      trace: (x) => max(x, [0, 2], { keepAxes: true }),
      expected: [6, 8],
    },
    { name: "max of ties", inputs: [f32([4], [5, 1, 5, 5])], trace: (x) => max(x), expected: [5], smooth: false },
    { name: "max of u32", inputs: [u32([3], [9, 4e9, 5])], trace: (x) => max(x), expected: [4e9] },
    { name: "max of i32", inputs: [i32([3], [-9, -2, -5])], trace: (x) => max(x), expected: [-2] },
  ],

  // [1 2; 3 4] x [5 6; 7 8] = [19 22; 43 50], written with either side stored transposed.
  matmul: [
    product("matmul", [2, 2], false, false),
    product("matmul with a transposed", [2, 2], true, false),
    product("matmul with b transposed", [2, 2], false, true),
    product("matmul with both transposed", [2, 2], true, true),
    product("matmul of rank 3", [1, 2, 2], false, true),
    product("matmul of rank 4", [1, 1, 2, 2], true, true),
    {
      name: "matmul of unequal sizes",
      inputs: [GRID, f32([1, 3], [1, 0, -1])],
      trace: (a, b) => matmul(a, b, { transposeB: true }),
      expected: [-2, -2],
    },
    {
      name: "matmul of two samples",
      inputs: [PAIR, f32([2, 2, 1], [1, 1, 1, -1])],
      trace: (a, b) => matmul(a, b),
      expected: [3, 7, -1, -1],
    },
    {
      name: "matmul of two samples with a transposed",
      inputs: [f32([2, 1, 2], [1, 2, 3, 4]), f32([2, 1, 3], [1, 2, 3, 4, 5, 6])],
      trace: (a, b) => matmul(a, b, { transposeA: true }),
      expected: [1, 2, 3, 2, 4, 6, 12, 15, 18, 16, 20, 24],
    },
    {
      name: "matmul of bf16 to f32",
      inputs: [bf16([1, 2], [1.5, 256]), bf16([2, 1], [2, 1.0078125])],
      trace: (a, b) => matmul(a, b, { output: "f32" }),
      expected: [261],
    },
    {
      name: "matmul of bf16 to bf16",
      inputs: [bf16([1, 2], [1.5, 4]), bf16([2, 1], [2, -1])],
      trace: (a, b) => matmul(a, b),
      expected: [-1],
    },
    {
      name: "matmul of f32 to bf16",
      inputs: [f32([1, 2], [1.5, 4]), f32([2, 1], [2, -1])],
      trace: (a, b) => matmul(a, b, { output: "bf16" }),
      expected: [-1],
    },
    {
      name: "matmul of repeated values",
      inputs: [f32([2], [3, 4])],
      trace: (x) => matmul(broadcast(x, [2, 2]), constant(1, [2, 1])),
      expected: [7, 7],
    },
  ],
  softmax: [
    {
      name: "softmax",
      inputs: [f32([2, 2], [0, Math.fround(Math.log(3)), 5, 5])],
      trace: (x) => softmax(x),
      expected: [0.25, 0.75, 0.5, 0.5],
    },
    {
      name: "softmax of large values",
      inputs: [f32([2], [1000, 1000])],
      trace: (x) => softmax(x),
      expected: [0.5, 0.5],
    },
    {
      name: "softmax of f32 to bf16",
      inputs: [f32([1, 4], [2, 2, 2, 2])],
      trace: (x) => softmax(x, "bf16"),
      expected: [0.25, 0.25, 0.25, 0.25],
    },
    {
      name: "softmax of bf16 to f32",
      inputs: [bf16([2, 2], [0, 1, 1, 0])],
      trace: (x) => softmax(x, "f32"),
      expected: [1 / (1 + Math.E), Math.E / (1 + Math.E), Math.E / (1 + Math.E), 1 / (1 + Math.E)],
    },
  ],
  // Rows [1 3] and [-4 4] have means 2 and 0, variances 1 and 16.
  layer_norm: [
    {
      name: "layer norm",
      inputs: [f32([2, 2], [1, 3, -4, 4]), f32([2], [2, 10]), f32([2], [0.5, -0.5])],
      trace: (x, scale, shift) => layerNorm(x, scale, shift, 0),
      expected: [-1.5, 9.5, -1.5, 9.5],
    },
    {
      name: "layer norm with epsilon",
      inputs: [f32([1, 1, 2], [1, 3]), f32([2], [1, 1]), f32([2], [0, 0])],
      trace: (x, scale, shift) => layerNorm(x, scale, shift, 3),
      expected: [-0.5, 0.5],
    },
    {
      name: "layer norm of one row",
      inputs: [f32([2], [1, 3]), f32([2], [1, 1]), f32([2], [0, 0])],
      trace: (x, scale, shift) => layerNorm(x, scale, shift, 3),
      expected: [-0.5, 0.5],
    },
    {
      name: "layer norm of bf16 to f32",
      inputs: [bf16([1, 2], [1, 3]), f32([2], [1, 1]), f32([2], [0, 0])],
      trace: (x, scale, shift) => layerNorm(x, scale, shift, 3, "f32"),
      expected: [-0.5, 0.5],
    },
    {
      name: "layer norm of f32 to bf16",
      inputs: [f32([2, 2], [1, 3, -4, 4]), f32([2], [2, 4]), f32([2], [0.5, -0.5])],
      trace: (x, scale, shift) => layerNorm(x, scale, shift, 0, "bf16"),
      expected: [-1.5, 3.5, -1.5, 3.5],
    },
  ],
  gather_rows: [
    {
      name: "gather rows, one of them twice",
      inputs: [ROWS, i32([2, 3], [2, 0, 2, 1, 1, 0])],
      trace: gatherRows,
      expected: [5, 6, 1, 2, 5, 6, 9, 10, 9, 10, 7, 8],
    },
    {
      name: "gather rows of u8",
      inputs: [u8([1, 3, 1], [10, 20, 30]), i32([1, 2], [2, 0])],
      trace: gatherRows,
      expected: [30, 10],
    },
  ],
  scatter_rows: [
    {
      name: "scatter rows",
      inputs: [f32([2, 1, 2], [1, 2, 3, 4]), i32([2, 1], [2, 0])],
      trace: (x, index) => scatterRows(x, index, 3),
      expected: [0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0],
    },
    {
      name: "scatter rows that meet",
      inputs: [ROWS, i32([2, 3], [1, 1, 0, 1, 1, 1])],
      trace: (x, index) => scatterRows(x, index, 2),
      expected: [5, 6, 4, 6, 0, 0, 27, 30],
    },
  ],

  custom_gradient: [
    {
      name: "custom gradient that is the slope",
      inputs: [MIXED],
      trace: (x) =>
        customGradient([x], multiply(stopGradient(x), stopGradient(x)), (g) => [multiply(g, multiply(x, 2))]),
      expected: [4, 0.25, 0.0625, 9],
    },
    {
      name: "custom gradient that is not the slope",
      inputs: [MIXED],
      trace: (x) => customGradient([x], negate(x), (g) => [multiply(g, 7)]),
      expected: [2, 0.5, -0.25, -3],
      smooth: false,
    },
  ],
  stop_gradient: [
    { name: "stop gradient", inputs: [MIXED], trace: stopGradient, expected: MIXED.numbers, smooth: false },
    {
      name: "stop gradient of one factor",
      inputs: [MIXED],
      trace: (x) => multiply(x, stopGradient(x)),
      expected: [4, 0.25, 0.0625, 9],
      smooth: false,
    },
  ],
  barrier: [{ name: "barrier", inputs: [MIXED], trace: (x) => exp(barrier(x)), expected: MIXED.numbers.map(Math.exp) }],
};

function product(name: string, shape: Shape, transposeA: boolean, transposeB: boolean): OpCase {
  return {
    name,
    inputs: [
      f32(shape, transposeA ? [1, 3, 2, 4] : [1, 2, 3, 4]),
      f32(shape, transposeB ? [5, 7, 6, 8] : [5, 6, 7, 8]),
    ],
    trace: (a, b) => matmul(a, b, { transposeA, transposeB }),
    expected: [19, 22, 43, 50],
  };
}

function to(dtype: DType): (x: Tensor) => Tensor {
  return (x) => convert(x, dtype);
}

function value(dtype: DType, shape: Shape, numbers: readonly number[]): Value {
  return { shape, dtype, numbers };
}

function f32(shape: Shape, numbers: readonly number[]): Value {
  return value("f32", shape, numbers);
}

function bf16(shape: Shape, numbers: readonly number[]): Value {
  return value("bf16", shape, numbers);
}

function i32(shape: Shape, numbers: readonly number[]): Value {
  return value("i32", shape, numbers);
}

function u32(shape: Shape, numbers: readonly number[]): Value {
  return value("u32", shape, numbers);
}

function u8(shape: Shape, numbers: readonly number[]): Value {
  return value("u8", shape, numbers);
}

function bool(shape: Shape, numbers: readonly number[]): Value {
  return value("bool", shape, numbers);
}
