/**
 * The operations: functions from tensors to tensors, each checking its shapes and types and naming both on a mismatch.
 *
 * Binary operations broadcast as NumPy does (shapes aligned at the right, size 1 repeated) and accept a number on either
 * side. Types are never promoted silently: convert first.
 */
import { checkAxis, checkShape, checkValue } from "./_checks.ts";
import {
  type BinaryKind,
  type Comparison,
  type DType,
  isFloat,
  type Op,
  sameShape,
  type Shape,
  sizeOf,
  Tensor,
  type UnaryKind,
} from "./tensor.ts";

/** A tensor or a plain number that takes the other operand's type. */
export type Operand = Tensor | number;

// ------------------------------------------------------------------------------------------------------ sources

/** A value given at run time under `name`: `-> [shape]`. */
export function input(name: string, shape: Shape, dtype: DType = "f32"): Tensor {
  checkShape(name, shape);
  return new Tensor({ kind: "input", name }, [], shape, dtype);
}

/** `value` in every element of `shape`. For an integer type it must be whole and within the type's range. */
export function constant(value: number, shape: Shape = [], dtype: DType = "f32"): Tensor {
  checkShape("constant", shape);
  checkValue(value, dtype);
  return new Tensor({ kind: "constant", value }, [], shape, dtype);
}

/** The index along `axis` in every element: `iota([2, 3], 1)` is `[[0, 1, 2], [0, 1, 2]]`. */
export function iota(shape: Shape, axis: number, dtype: DType = "i32"): Tensor {
  checkShape("iota", shape);
  if (dtype === "bool") throw new TypeError("iota has no bools: make integers and compare them");
  return new Tensor({ kind: "iota", axis: checkAxis("iota", axis, shape.length) }, [], shape, dtype);
}

// ------------------------------------------------------------------------------------------------------ elementwise

// Of one operand: floats of any shape to floats of that shape and type.

/** `-x`. */
export const negate = unary("negate");
/** `|x|`; its gradient at 0 is that of `x`. */
export const abs = unary("abs");
/** `e^x`. */
export const exp = unary("exp");
/** The natural logarithm. */
export const log = unary("log");
/** The square root. */
export const sqrt = unary("sqrt");
/** `1 / sqrt(x)`. */
export const rsqrt = unary("rsqrt");
/** The error function, `2 / sqrt(pi)` times the integral of `e^(-t^2)` from 0 to `x`. */
export const erf = unary("erf");
/** The hyperbolic tangent. */
export const tanh = unary("tanh");

// Of two operands: both of one type, broadcast against each other: `[B, N, D], [D] -> [B, N, D]`. Integers wrap.

/** `a + b`; of bools, or. */
export const add = binary("add");
/** `a - b`. */
export const subtract = binary("subtract");
/** `a * b`; of bools, and. */
export const multiply = binary("multiply");
/** `a / b`; of integers, towards zero. */
export const divide = binary("divide");
/** The larger of two; where they are equal the gradient is the first one's. */
export const maximum = binary("maximum");
/** The smaller of two; where they are equal the gradient is the first one's. */
export const minimum = binary("minimum");

/** `x * x`. */
export function square(x: Tensor): Tensor {
  return multiply(x, x);
}

/** Compares element by element, broadcast: `[...], [...] -> bool[...]`. */
export function compare(a: Operand, comparison: Comparison, b: Operand): Tensor {
  const [x, y] = aligned("compare", a, b);
  return new Tensor({ kind: "compare", comparison }, [x, y], x.shape, "bool");
}

/** `condition ? a : b`; the three are broadcast against each other. */
export function select(condition: Tensor, a: Operand, b: Operand): Tensor {
  if (condition.dtype !== "bool") throw new TypeError(`select needs a bool condition, found ${condition}`);
  const [x, y] = aligned("select", a, b);
  const shape = broadcastShape("select", condition, x);
  const parts = [broadcast(condition, shape), broadcast(x, shape), broadcast(y, shape)];
  return new Tensor({ kind: "select" }, parts, shape, x.dtype);
}

/** The same numbers as another element type: `[...] -> dtype[...]`. Float to integer truncates, anything but 0 is true. */
export function convert(x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x : new Tensor({ kind: "convert" }, [x], x.shape, dtype);
}

// ------------------------------------------------------------------------------------------------------ shape

/** The same elements in row-major order under another shape of equal size. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  checkShape("reshape", shape);
  if (sizeOf(shape) !== x.size) {
    throw new RangeError(
      `Cannot reshape ${x} (${x.size} elements) to [${shape.join(", ")}] (${sizeOf(shape)} elements)`,
    );
  }
  return new Tensor({ kind: "reshape" }, [x], shape, x.dtype);
}

/** Axis `i` of the result is axis `permutation[i]` of `x`. */
export function transpose(x: Tensor, permutation: readonly number[]): Tensor {
  const sorted = [...permutation].sort((a, b) => a - b);
  if (sorted.length !== x.rank || sorted.some((axis, i) => axis !== i)) {
    throw new RangeError(`Cannot transpose ${x} by [${permutation.join(", ")}]: not a permutation of its axes`);
  }
  if (permutation.every((axis, i) => axis === i)) return x;
  return new Tensor({ kind: "transpose", permutation }, [x], permutation.map((axis) => x.shape[axis]!), x.dtype);
}

/** Repeats `x` to `shape`, axes aligned at the right: `[D]` to `[B, N, D]`, `[B, 1, D]` to `[B, N, D]`. */
export function broadcast(x: Tensor, shape: Shape): Tensor {
  checkShape("broadcast", shape);
  if (sameShape(x.shape, shape)) return x;
  const offset = shape.length - x.rank;
  const fits = offset >= 0 && x.shape.every((size, axis) => size === 1 || size === shape[axis + offset]);
  if (!fits) throw new RangeError(`Cannot broadcast ${x} to [${shape.join(", ")}]`);
  return new Tensor({ kind: "broadcast", axes: x.shape.map((_, axis) => axis + offset) }, [x], shape, x.dtype);
}

/** Joins tensors along `axis`: `[B, N, D], [B, M, D] -> [B, N + M, D]` along 1; all other axes must agree. */
export function concatenate(parts: readonly Tensor[], axis: number): Tensor {
  const first = parts[0];
  if (first === undefined) throw new RangeError("concatenate needs at least one tensor, found none");
  const at = checkAxis("concatenate", axis, first.rank);
  for (const part of parts) {
    const agrees = part.rank === first.rank && part.dtype === first.dtype &&
      part.shape.every((size, i) => i === at || size === first.shape[i]);
    if (!agrees) throw new RangeError(`Cannot concatenate ${first} and ${part} along axis ${axis}`);
  }
  if (parts.length === 1) return first;
  const shape = first.shape.map((size, i) => i === at ? parts.reduce((sum, part) => sum + part.shape[at]!, 0) : size);
  return new Tensor({ kind: "concatenate", axis: at }, parts, shape, first.dtype);
}

/** Elements `start` (included) to `end` (excluded) along `axis`: `[B, N, D] -> [B, end - start, D]` along 1. */
export function slice(x: Tensor, axis: number, start: number, end: number): Tensor {
  const at = checkAxis("slice", axis, x.rank);
  const size = x.shape[at]!;
  if (!(Number.isInteger(start) && Number.isInteger(end) && 0 <= start && start < end && end <= size)) {
    throw new RangeError(`Cannot slice ${start} to ${end} out of axis ${axis} of ${x}: it has ${size} elements`);
  }
  if (start === 0 && end === size) return x;
  const shape = x.shape.map((length, i) => i === at ? end - start : length);
  return new Tensor({ kind: "slice", axis: at, start, end }, [x], shape, x.dtype);
}

/** Adds `before` and `after` zeros along `axis`: `[B, N] -> [B, before + N + after]` along 1. */
export function pad(x: Tensor, axis: number, before: number, after: number): Tensor {
  const at = checkAxis("pad", axis, x.rank);
  if (![before, after].every((count) => Number.isSafeInteger(count) && count >= 0)) {
    throw new RangeError(`Cannot pad ${x} by ${before} and ${after}: both must be whole and at least 0`);
  }
  if (before === 0 && after === 0) return x;
  const shape = x.shape.map((size, i) => i === at ? before + size + after : size);
  return new Tensor({ kind: "pad", axis: at, before, after }, [x], shape, x.dtype);
}

// ------------------------------------------------------------------------------------------------------ reductions

/** Options of the reductions. */
export interface ReduceOptions {
  /**
   * Leave the reduced axes in place with size 1.
   * @default {false}
   */
  keepAxes?: boolean;
}

/** Sum over `axes`, by default over all: `[B, N, D] -> [B, D]` over axis 1. Short floats are summed in f32. */
export function sum(x: Tensor, axes: readonly number[] = allAxes(x), options: ReduceOptions = {}): Tensor {
  if (x.dtype === "bool") throw new TypeError(`sum has no bools: convert ${x} to i32 first`);
  return reduce("sum", x, axes, options);
}

/** Largest element over `axes`, by default over all: `[B, C] -> [B]` over axis 1. Equals share the gradient. */
export function max(x: Tensor, axes: readonly number[] = allAxes(x), options: ReduceOptions = {}): Tensor {
  return reduce("max", x, axes, options);
}

/** Mean over `axes`, by default over all; shapes as for {@linkcode sum}. */
export function mean(x: Tensor, axes: readonly number[] = allAxes(x), options: ReduceOptions = {}): Tensor {
  if (!isFloat(x.dtype)) throw new TypeError(`mean needs floats, found ${x}`);
  const total = sum(x, axes, options);
  return multiply(total, total.size / x.size);
}

// ------------------------------------------------------------------------------------------------------ contractions

/** Options of {@linkcode matmul}. */
export interface MatmulOptions {
  /** `a` is stored as `[..., K, M]`. @default {false} */
  transposeA?: boolean;
  /** `b` is stored as `[..., N, K]`. @default {false} */
  transposeB?: boolean;
  /** Element type of the result; sums are always f32. @default the operands' type */
  output?: DType;
}

/** Matrix products over equal leading axes: `[..., M, K] x [..., K, N] -> [..., M, N]`. */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { transposeA = false, transposeB = false, output = a.dtype } = options;
  const rank = a.rank;
  const fits = rank >= 2 && rank === b.rank && a.dtype === b.dtype && isFloat(a.dtype) && isFloat(output) &&
    a.shape.slice(0, -2).every((size, axis) => size === b.shape[axis]);
  const m = a.shape[transposeA ? rank - 1 : rank - 2];
  const k = a.shape[transposeA ? rank - 2 : rank - 1];
  const n = b.shape[transposeB ? rank - 2 : rank - 1];
  if (!fits || k !== b.shape[transposeB ? rank - 1 : rank - 2]) {
    const mark = (transposed: boolean) => transposed ? " transposed" : "";
    throw new RangeError(
      `Cannot multiply ${a}${mark(transposeA)} by ${b}${mark(transposeB)}: ` +
        "ranks, types, leading axes and the contracted axis must agree",
    );
  }
  const shape = [...a.shape.slice(0, -2), m!, n!];
  return new Tensor({ kind: "matmul", transposeA, transposeB }, [a, b], shape, output);
}

/** Softmax over the last axis, computed in f32: `[..., N] -> [..., N]`. `output` is the element type of the result. */
export function softmax(x: Tensor, output: DType = x.dtype): Tensor {
  if (x.rank < 1 || !isFloat(x.dtype) || !isFloat(output)) {
    throw new TypeError(`softmax to ${output} needs floats with at least one axis, found ${x}`);
  }
  return new Tensor({ kind: "softmax" }, [x], x.shape, output);
}

/**
 * `(x - mean) / sqrt(variance + epsilon) * scale + shift` over the last axis, biased variance.
 *
 * @param x `[..., D]`
 * @param scale `[D]`, f32
 * @param shift `[D]`, f32
 * @param output element type of the result
 */
export function layerNorm(x: Tensor, scale: Tensor, shift: Tensor, epsilon: number, output: DType = x.dtype): Tensor {
  const width = x.shape.at(-1);
  if (!isFloat(x.dtype) || !isFloat(output)) throw new TypeError(`layerNorm to ${output} needs floats, found ${x}`);
  for (const part of [scale, shift]) {
    if (width === undefined || part.dtype !== "f32" || !sameShape(part.shape, [width])) {
      throw new RangeError(`layerNorm of ${x} needs f32 scale and shift of its last axis, found ${scale} and ${shift}`);
    }
  }
  return new Tensor({ kind: "layer_norm", epsilon }, [x, scale, shift], x.shape, output);
}

// ------------------------------------------------------------------------------------------------------ rows

/** Row `index[b, k]` of sample `b`: `[B, N, D], i32[B, K] -> [B, K, D]`. Indices must lie in `[0, N)`. */
export function gatherRows(x: Tensor, index: Tensor): Tensor {
  if (x.rank !== 3 || index.rank !== 2 || index.dtype !== "i32" || x.shape[0] !== index.shape[0]) {
    throw new RangeError(`gatherRows needs [B, N, D] and i32[B, K] with one B, found ${x} and ${index}`);
  }
  return new Tensor({ kind: "gather_rows" }, [x, index], [x.shape[0]!, index.shape[1]!, x.shape[2]!], x.dtype);
}

/** The transpose of {@linkcode gatherRows}: `[B, K, D], i32[B, K] -> [B, rows, D]`; rows that meet are added, others are 0. */
export function scatterRows(x: Tensor, index: Tensor, rows: number): Tensor {
  if (x.rank !== 3 || index.dtype !== "i32" || !sameShape(index.shape, x.shape.slice(0, 2))) {
    throw new RangeError(`scatterRows needs [B, K, D] and i32[B, K], found ${x} and ${index}`);
  }
  return new Tensor({ kind: "scatter_rows", rows }, [x, index], [x.shape[0]!, rows, x.shape[2]!], x.dtype);
}

// ------------------------------------------------------------------------------------------------------ gradient control

/**
 * `output` with a gradient rule of one's own.
 *
 * @param inputs what `output` depends on
 * @param backward from the gradient of `output` to one gradient, or null, for each of `inputs`
 */
export function customGradient(
  inputs: readonly Tensor[],
  output: Tensor,
  backward: (gradient: Tensor) => (Tensor | null)[],
): Tensor {
  return new Tensor({ kind: "custom_gradient", backward }, [output, ...inputs], output.shape, output.dtype);
}

/** `x`, but a constant as far as gradients are concerned: `[...] -> [...]`. */
export function stopGradient(x: Tensor): Tensor {
  return new Tensor({ kind: "stop_gradient" }, [x], x.shape, x.dtype);
}

/**
 * `x`, but what is computed from it is not shared with what is computed from `x` itself, and not before `after` are there.
 *
 * @param after any tensors that do not depend on the result
 */
export function barrier(x: Tensor, ...after: readonly Tensor[]): Tensor {
  return new Tensor({ kind: "barrier" }, [x, ...after], x.shape, x.dtype);
}

// ------------------------------------------------------------------------------------------------------ helpers

function unary(kind: UnaryKind): (x: Tensor) => Tensor {
  return (x) => {
    if (!isFloat(x.dtype)) throw new TypeError(`${kind} needs floats, found ${x}`);
    return new Tensor({ kind }, [x], x.shape, x.dtype);
  };
}

function binary(kind: BinaryKind): (a: Operand, b: Operand) => Tensor {
  return (a, b) => {
    const [x, y] = aligned(kind, a, b);
    return new Tensor({ kind }, [x, y], x.shape, x.dtype);
  };
}

function aligned(name: string, a: Operand, b: Operand): [Tensor, Tensor] {
  if (typeof a === "number") {
    if (typeof b === "number") throw new TypeError(`${name} needs at least one tensor, found two numbers`);
    return [constant(a, b.shape, b.dtype), b];
  }
  if (typeof b === "number") return [a, constant(b, a.shape, a.dtype)];
  if (a.dtype !== b.dtype) throw new TypeError(`Cannot ${name} ${a} and ${b}: convert one of them first`);
  const shape = broadcastShape(name, a, b);
  return [broadcast(a, shape), broadcast(b, shape)];
}

function broadcastShape(name: string, a: Tensor, b: Tensor): Shape {
  const rank = Math.max(a.rank, b.rank);
  return Array.from({ length: rank }, (_, axis) => {
    const x = a.shape[axis - rank + a.rank] ?? 1;
    const y = b.shape[axis - rank + b.rank] ?? 1;
    if (x !== y && x !== 1 && y !== 1) throw new RangeError(`Cannot ${name} ${a} and ${b}: shapes do not broadcast`);
    return Math.max(x, y);
  });
}

function reduce(kind: "sum" | "max", x: Tensor, axes: readonly number[], { keepAxes = false }: ReduceOptions): Tensor {
  const over = [...new Set(axes.map((axis) => checkAxis(kind, axis, x.rank)))].sort((a, b) => a - b);
  if (over.length === 0) return x;
  const op: Op = { kind, axes: over };
  const reduced = new Tensor(op, [x], x.shape.filter((_, axis) => !over.includes(axis)), x.dtype);
  return keepAxes ? reshape(reduced, x.shape.map((size, axis) => over.includes(axis) ? 1 : size)) : reduced;
}

function allAxes(x: Tensor): number[] {
  return x.shape.map((_, axis) => axis);
}
