/**
 * The linear layer with its own gradient: operands of every product are in the layer's compute type, sums, weights and
 * their gradients in f32. Bias and residual stand right behind the product, where engines merge them into it.
 */
import {
  add,
  broadcast,
  constant,
  convert,
  customGradient,
  type DType,
  matmul,
  multiply,
  reshape,
  sum,
  type Tensor,
} from "./tensor/mod.ts";

/** Options of {@linkcode linear}. */
export interface LinearOptions {
  /** Element type of the result. @default the type of `x` */
  output?: DType;
  /** Added to the result, which then must be f32. */
  residual?: Tensor;
  /** Factor on weight and bias: folds the 1 / sqrt(d) of attention into the queries' matrix. @default 1 */
  scale?: number;
}

/**
 * `y = scale * (x W^T + b) + residual`.
 *
 * @param x `[..., inputs]`, in the compute type
 * @param weight `[outputs, inputs]`, f32, or already in the compute type where it is not trained
 * @param bias `[outputs]`, f32, or null
 * @returns `[..., outputs]`
 */
export function linear(x: Tensor, weight: Tensor, bias: Tensor | null, options: LinearOptions = {}): Tensor {
  const { output = x.dtype, residual, scale = 1 } = options;
  const compute = x.dtype;
  const [outputs, inputs] = weight.shape as [number, number];
  const rows = x.size / inputs;
  const flat = reshape(x, [rows, inputs]);
  const operand = convert(scaled(weight, scale), compute);
  let y = matmul(flat, operand, { transposeB: true, output: bias || residual ? "f32" : output });
  if (bias) y = add(y, broadcast(reshape(scaled(bias, scale), [1, outputs]), [rows, outputs]));
  if (residual) y = add(y, reshape(residual, [rows, outputs]));
  y = reshape(convert(y, output), [...x.shape.slice(0, -1), outputs]);
  const trained = [x, weight, ...(bias ? [bias] : []), ...(residual ? [residual] : [])];
  return customGradient(trained, y, (gradient) => {
    const g = convert(reshape(gradient, [rows, outputs]), compute);
    const parts = [
      reshape(matmul(g, operand), x.shape),
      scaled(matmul(g, flat, { transposeA: true, output: weight.dtype }), scale),
    ];
    if (bias) parts.push(scaled(columnSums(g), scale));
    if (residual) parts.push(gradient);
    return parts;
  });
}

/** Sums over rows, f32. In bf16 a product with a row of ones: f32 sums in one pass over what the products read anyway. */
function columnSums(x: Tensor): Tensor {
  const [rows, columns] = x.shape as [number, number];
  if (x.dtype === "f32") return sum(x, [0]);
  return reshape(matmul(constant(1, [1, rows], x.dtype), x, { output: "f32" }), [columns]);
}

function scaled(x: Tensor, factor: number): Tensor {
  return factor === 1 ? x : multiply(x, factor);
}
