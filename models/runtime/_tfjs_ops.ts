/**
 * The operations in TensorFlow.js.
 *
 * Floats are float32, `i32` and `u8` int32, `u32` the int32 of the same bits, `bool` bool. A value may be *lazy*: of the declared rank, but of size 1
 * along axes it is repeated over. Element-wise operations take lazy values as they are, since TensorFlow.js broadcasts;
 * all others get them in full. `bf16` and `f16` are rounded by `convert` only: results between are more exact than asked for.
 */
import * as tf from "@tensorflow/tfjs-core";
import { type DType, isFloat, type Op, type OpKind, type Shape, sizeOf, type Tensor } from "../tensor/mod.ts";
import { bfloatToFloat, floatToBfloat, floatToHalf, halfToFloat } from "./_half.ts";
import { randomWords } from "./_threefry.ts";

/** Below this many multiplications one batched product of the wasm backend beats one call for each matrix. */
const SMALL_PRODUCT = 1 << 16;

/** The TensorFlow.js type that holds a type. */
export function heldType(dtype: DType): "float32" | "int32" | "bool" {
  return isFloat(dtype) ? "float32" : dtype === "bool" ? "bool" : "int32";
}

/** The value of `tensor`, possibly lazy, from those of its inputs; never one of them, so that each can be disposed of. */
export function evaluate(tensor: Tensor, values: readonly tf.Tensor[]): tf.Tensor {
  const evaluator = EVALUATORS[tensor.op.kind] as Evaluator<OpKind>;
  return tf.tidy(() => {
    const given = ELEMENTWISE.has(tensor.op.kind) ? values : values.map((value, i) => full(value, tensor.inputs[i]!));
    const result = evaluator(given, tensor, tensor.op as never);
    return values.includes(result) ? result.clone() : result;
  });
}

/** A possibly lazy value with all its elements. */
export function full(value: tf.Tensor, { shape, dtype }: { shape: Shape; dtype: DType }): tf.Tensor {
  if (value.size === sizeOf(shape)) return value;
  // The wasm backend adds far quicker than it tiles.
  return isFloat(dtype) ? tf.add(value, tf.zeros([...shape])) : tf.broadcastTo(value, [...shape]);
}

type Evaluator<K extends OpKind> = (
  values: readonly tf.Tensor[],
  tensor: Tensor,
  op: Op & { kind: K },
) => tf.Tensor;

const ELEMENTWISE: ReadonlySet<OpKind> = new Set<OpKind>(
  ["negate", "abs", "exp", "log", "sqrt", "rsqrt", "erf", "tanh", "add", "subtract", "multiply", "divide"]
    .concat(["maximum", "minimum", "compare", "convert", "custom_gradient", "stop_gradient", "barrier"]) as OpKind[],
);

const EVALUATORS: { readonly [K in OpKind]: Evaluator<K> } = {
  input: (_, tensor) => {
    throw new Error(`The input ${tensor} has no definition to evaluate`);
  },
  constant: (_, { shape, dtype }, { value }) =>
    tf.fill(shape.map(() => 1), dtype === "u32" ? value | 0 : value, heldType(dtype) as "float32"),
  iota: (_, { shape, dtype }, { axis }) => {
    const line = tf.tensor1d(Int32Array.from({ length: shape[axis]! }, (_, i) => i), "int32");
    return tf.cast(tf.reshape(line, shape.map((size, i) => i === axis ? size : 1)), heldType(dtype));
  },
  random_bits: ([keys], { shape }, op) =>
    tf.tensor(Int32Array.from(randomWords(keys!.dataSync(), shape[1]!, op)), [...shape], "int32"),

  negate: ([x]) => tf.neg(x!),
  abs: ([x]) => tf.abs(x!),
  exp: ([x]) => tf.exp(x!),
  log: ([x]) => tf.log(x!),
  sqrt: ([x]) => tf.sqrt(x!),
  rsqrt: ([x]) => tf.rsqrt(x!),
  erf: ([x]) => tf.erf(x!),
  tanh: ([x]) => tf.tanh(x!),

  add: ([a, b], { dtype }) => wrapped(tf.add(a!, b!), dtype),
  subtract: ([a, b], { dtype }) => wrapped(tf.sub(a!, b!), dtype),
  multiply: ([a, b], { dtype }) => wrapped(tf.mul(a!, b!), dtype),
  divide: ([a, b], { dtype }) => isFloat(dtype) ? tf.div(a!, b!) : truncatingDivide(a!, b!, dtype),
  maximum: ([a, b], { dtype }) => wrapped(ordered(tf.maximum(ordered(a!, dtype), ordered(b!, dtype)), dtype), dtype),
  minimum: ([a, b], { dtype }) => wrapped(ordered(tf.minimum(ordered(a!, dtype), ordered(b!, dtype)), dtype), dtype),
  compare: ([a, b], { inputs: [operand] }, { comparison }) =>
    tf[comparison](ordered(a!, operand!.dtype), ordered(b!, operand!.dtype)),
  select: ([condition, a, b]) => tf.where(condition!, a!, b!),
  convert: ([x], { dtype, inputs }) => {
    if (dtype === "bool") return truth(x!);
    const from = inputs[0]!.dtype;
    if (from === "u32" && isFloat(dtype)) return narrowed(mapped(x!, (value) => value >>> 0, "float32"), dtype);
    if (dtype === "u32" && isFloat(from)) return mapped(x!, (value) => value | 0, "int32");
    return wrapped(narrowed(tf.cast(x!, heldType(dtype)), dtype), dtype);
  },

  reshape: ([x], { shape }) => tf.reshape(x!, [...shape]),
  transpose: ([x], _, { permutation }) => tf.transpose(x!, [...permutation]),
  broadcast: ([x], { shape, inputs }, { axes }) => {
    const source = inputs[0]!.shape;
    return tf.reshape(x!, shape.map((_, axis) => axes.includes(axis) ? source[axes.indexOf(axis)]! : 1));
  },
  concatenate: (parts, _, { axis }) => tf.concat([...parts], axis),
  slice: ([x], { shape }, { axis, start }) => tf.slice(x!, shape.map((_, i) => i === axis ? start : 0), [...shape]),
  pad: ([x], { shape }, { axis, before, after }) =>
    tf.pad(x!, shape.map((_, i): [number, number] => i === axis ? [before, after] : [0, 0])),

  // One axis after the other, last first: shorter chains of float32 sums, hence more exact.
  sum: ([x], { dtype }, { axes }) => wrapped(axes.reduceRight((rest, axis) => tf.sum(rest, axis), x!), dtype),
  max: ([x], { dtype }, { axes }) => ordered(tf.max(ordered(x!, dtype), [...axes]), dtype),

  matmul: ([a, b], _, { transposeA, transposeB }) => product(a!, b!, transposeA, transposeB),
  softmax: ([x]) => tf.softmax(x!),
  layer_norm: ([x, scale, shift], _, { epsilon }) => {
    const centred = tf.sub(x!, tf.mean(x!, -1, true));
    const deviation = tf.sqrt(tf.add(tf.mean(tf.square(centred), -1, true), epsilon));
    return tf.add(tf.mul(tf.div(centred, deviation), scale!), shift!);
  },

  gather_rows: ([x, index], { shape, inputs }) => {
    const [batch, rows, width] = inputs[0]!.shape as [number, number, number];
    return tf.reshape(tf.gather(tf.reshape(x!, [batch * rows, width]), flatRows(index!, rows)), [...shape]);
  },
  scatter_rows: ([x, index], { shape }, { rows }) => {
    const [batch, , width] = shape as [number, number, number];
    const at = tf.expandDims(flatRows(index!, rows), 1);
    const scattered = tf.scatterND(at, tf.reshape(x!, [index!.size, width]), [batch * rows, width]);
    return tf.reshape(scattered, [...shape]);
  },

  custom_gradient: ([x]) => x!,
  stop_gradient: ([x]) => x!,
  barrier: ([x]) => x!,
};

/** Rows `[B, K]` counted within samples of `rows` rows, as `[B * K]` counted over all samples. */
function flatRows(index: tf.Tensor, rows: number): tf.Tensor1D {
  const [batch] = index.shape as [number, number];
  const starts = tf.tensor2d(Int32Array.from({ length: batch }, (_, b) => b * rows), [batch, 1], "int32");
  return tf.reshape(tf.add(index, starts), [index.size]);
}

/** Integers and bools back in the range of their type where TensorFlow.js holds them in a wider one. */
function wrapped(x: tf.Tensor, dtype: DType): tf.Tensor {
  if (dtype === "u8") return tf.mod(x, tf.scalar(256, "int32"));
  return dtype === "bool" ? truth(x) : x;
}

/** Whether each number is not 0; the wasm backend's own conversion to bool keeps the low byte. */
function truth(x: tf.Tensor): tf.Tensor {
  return tf.notEqual(x, tf.zeros([], x.dtype as "float32"));
}

/** float32 rounded to one of the 16-bit floats, still held as float32. */
function narrowed(x: tf.Tensor, dtype: DType): tf.Tensor {
  if (dtype === "bf16") return tf.tensor(bfloatToFloat(floatToBfloat(x.dataSync())), x.shape, "float32");
  if (dtype === "f16") return tf.tensor(halfToFloat(floatToHalf(x.dataSync())), x.shape, "float32");
  return x;
}

/**
 * To and from the int32 that stands among its like as a u32 does among u32: 2^31 below it. Other types stand as they are.
 */
function ordered(x: tf.Tensor, dtype: DType): tf.Tensor {
  return dtype === "u32" ? tf.add(x, tf.scalar(-(2 ** 31), "int32")) : x;
}

/** Number by number in JavaScript, for what TensorFlow.js has no operation for. */
function mapped(x: tf.Tensor, f: (value: number) => number, dtype: "float32" | "int32"): tf.Tensor {
  const values = dtype === "int32" ? new Int32Array(x.size) : new Float32Array(x.size);
  x.dataSync().forEach((value, i) => values[i] = f(value));
  return tf.tensor(values, x.shape, dtype);
}

/** Integer division towards zero; TensorFlow.js has the one towards minus infinity. */
function truncatingDivide(a: tf.Tensor, b: tf.Tensor, dtype: DType): tf.Tensor {
  if (dtype === "u32") {
    const shape = tf.broadcast_util.assertAndGetBroadcastShape(a.shape, b.shape);
    const divisors = tf.broadcastTo(b, shape).dataSync();
    const quotients = tf.broadcastTo(a, shape).dataSync().map((value, i) => (value >>> 0) / (divisors[i]! >>> 0));
    return tf.tensor(quotients, shape, "int32");
  }
  const floor = tf.floorDiv(a, b);
  const inexact = tf.notEqual(tf.mul(floor, b), a);
  return tf.add(floor, tf.cast(tf.logicalAnd(tf.less(floor, tf.scalar(0, "int32")), inexact), "int32"));
}

/**
 * Matrix products. The wasm backend is quick (XNNPACK) only at one product of two untransposed matrices: others are
 * turned into such.
 */
function product(a: tf.Tensor, b: tf.Tensor, transposeA: boolean, transposeB: boolean): tf.Tensor {
  if (tf.getBackend() !== "wasm") return tf.matMul(a, b, transposeA, transposeB);
  const left = transposeA ? swapLastTwo(a) : a, right = transposeB ? swapLastTwo(b) : b;
  const [m, k] = left.shape.slice(-2) as [number, number], n = right.shape.at(-1)!;
  if (a.rank === 2 || m * k * n < SMALL_PRODUCT) return tf.matMul(left, right);
  const lefts = tf.unstack(tf.reshape(left, [-1, m, k])), rights = tf.unstack(tf.reshape(right, [-1, k, n]));
  const products = tf.stack(lefts.map((matrix, i) => tf.matMul(matrix as tf.Tensor2D, rights[i] as tf.Tensor2D)));
  return tf.reshape(products, [...left.shape.slice(0, -1), n]);
}

function swapLastTwo(x: tf.Tensor): tf.Tensor {
  const axes = x.shape.map((_, axis) => axis);
  return tf.transpose(x, [...axes.slice(0, -2), axes.length - 1, axes.length - 2]);
}
