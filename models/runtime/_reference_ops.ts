/** The operations of the reference engine that move or contract elements. Everything is row-major float64. */
import { type Shape, sizeOf } from "../tensor/mod.ts";

/** Distance between neighbours along each axis. */
export function strides(shape: Shape): number[] {
  return shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
}

/** For each element of `shape` in row-major order, the sum of its indices times `steps`. */
export function offsets(shape: Shape, steps: readonly number[]): Int32Array {
  let all = new Int32Array(1);
  shape.forEach((size, axis) => {
    const next = new Int32Array(all.length * size);
    all.forEach((offset, i) => {
      for (let j = 0; j < size; j++) next[i * size + j] = offset + j * steps[axis]!;
    });
    all = next;
  });
  return all;
}

/** Folds the elements that share an index outside `axes`. */
export function reduce(
  x: Float64Array,
  shape: Shape,
  axes: readonly number[],
  start: number,
  f: (a: number, b: number) => number,
): Float64Array {
  const kept = shape.map((size, axis) => axes.includes(axis) ? 1 : size);
  const to = strides(kept).map((step, axis) => axes.includes(axis) ? 0 : step);
  const result = new Float64Array(sizeOf(kept)).fill(start);
  offsets(shape, to).forEach((at, i) => result[at] = f(result[at]!, x[i]!));
  return result;
}

export function concatenate(parts: readonly Float64Array[], shapes: readonly Shape[], axis: number): Float64Array {
  const lengths = shapes.map((shape) => sizeOf(shape.slice(axis)));
  const result = new Float64Array(parts.reduce((total, part) => total + part.length, 0));
  for (let at = 0, outer = 0; at < result.length; outer++) {
    parts.forEach((part, i) => {
      result.set(part.subarray(outer * lengths[i]!, (outer + 1) * lengths[i]!), at);
      at += lengths[i]!;
    });
  }
  return result;
}

export function slice(x: Float64Array, shape: Shape, axis: number, start: number, end: number): Float64Array {
  const inner = sizeOf(shape.slice(axis + 1)), from = shape[axis]! * inner, to = (end - start) * inner;
  const result = new Float64Array(x.length / from * to);
  for (let outer = 0; outer * from < x.length; outer++) {
    result.set(x.subarray(outer * from + start * inner, outer * from + end * inner), outer * to);
  }
  return result;
}

export function pad(x: Float64Array, shape: Shape, axis: number, before: number, after: number): Float64Array {
  const inner = sizeOf(shape.slice(axis + 1)), from = shape[axis]! * inner, to = from + (before + after) * inner;
  const result = new Float64Array(x.length / from * to);
  for (let outer = 0; outer * from < x.length; outer++) {
    result.set(x.subarray(outer * from, (outer + 1) * from), outer * to + before * inner);
  }
  return result;
}

/** `[..., M, K] x [..., K, N]`, either side possibly stored transposed. */
export function matmul(
  a: Float64Array,
  shapeA: Shape,
  transposeA: boolean,
  b: Float64Array,
  shapeB: Shape,
  transposeB: boolean,
): Float64Array {
  const [m, k] = lastTwo(shapeA, transposeA), n = lastTwo(shapeB, transposeB)[1];
  // Both as rows of K contiguous numbers.
  const left = transposeA ? swapLastTwo(a, k, m) : a;
  const right = transposeB ? b : swapLastTwo(b, k, n);
  const result = new Float64Array(left.length / k * n);
  for (let row = 0; row * n < result.length; row++) {
    const batch = Math.floor(row / m);
    for (let column = 0; column < n; column++) {
      const p = row * k, q = (batch * n + column) * k;
      let sum = 0;
      for (let i = 0; i < k; i++) sum += left[p + i]! * right[q + i]!;
      result[row * n + column] = sum;
    }
  }
  return result;
}

function lastTwo(shape: Shape, transposed: boolean): [number, number] {
  const [rows, columns] = shape.slice(-2) as [number, number];
  return transposed ? [columns, rows] : [rows, columns];
}

/** `[..., rows, columns]` as `[..., columns, rows]`. */
function swapLastTwo(x: Float64Array, rows: number, columns: number): Float64Array {
  const result = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += rows * columns) {
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) result[start + j * rows + i] = x[start + i * columns + j]!;
    }
  }
  return result;
}

/** `x` is `[B, N, D]`, `index` `[B, K]`. */
export function gatherRows(x: Float64Array, shape: Shape, index: Float64Array): Float64Array {
  const [batch, rows, width] = shape as [number, number, number];
  const result = new Float64Array(index.length * width);
  index.forEach((row, i) => {
    const at = rowOffset(row, rows, Math.floor(i / (index.length / batch)), width);
    result.set(x.subarray(at, at + width), i * width);
  });
  return result;
}

/** `x` is `[B, K, D]`, `index` `[B, K]`; the result `[B, rows, D]`. */
export function scatterRows(x: Float64Array, shape: Shape, index: Float64Array, rows: number): Float64Array {
  const [batch, count, width] = shape as [number, number, number];
  const result = new Float64Array(batch * rows * width);
  index.forEach((row, i) => {
    const at = rowOffset(row, rows, Math.floor(i / count), width);
    for (let j = 0; j < width; j++) result[at + j]! += x[i * width + j]!;
  });
  return result;
}

function rowOffset(row: number, rows: number, sample: number, width: number): number {
  if (row < 0 || row >= rows) throw new RangeError(`A row index must lie in [0, ${rows}), found ${row}`);
  return (sample * rows + row) * width;
}
