/**
 * Multi-head self-attention with its own gradient. Scores are f32 before the softmax; probabilities are kept in the compute
 * type for the gradient, so that nothing of size tokens x tokens is computed twice.
 *
 * Query and value have biases, keys have none: a key bias adds the same number to all scores of a query and changes nothing.
 */
import { linear } from "./linear.ts";
import type { Parameters } from "./parameters.ts";
import {
  convert,
  customGradient,
  matmul,
  multiply,
  reshape,
  softmax,
  subtract,
  sum,
  type Tensor,
  transpose,
} from "./tensor/mod.ts";

/**
 * Scaled dot-product attention over heads.
 *
 * @param query `[B, M, D]`, already times 1 / sqrt(D / heads)
 * @param key `[B, N, D]`
 * @param value `[B, N, D]`
 * @returns `[B, M, D]`, in the type of the operands
 */
export function attend(query: Tensor, key: Tensor, value: Tensor, heads: number): Tensor {
  const [batch, asking, width] = query.shape as [number, number, number];
  const size = width / heads;
  const split = (x: Tensor) => transpose(reshape(x, [batch, x.shape[1]!, heads, size]), [0, 2, 1, 3]);
  const join = (x: Tensor) => reshape(transpose(x, [0, 2, 1, 3]), [batch, x.shape[2]!, width]);
  const [q, k, v] = [split(query), split(key), split(value)];
  const probabilities = softmax(matmul(q, k, { transposeB: true, output: "f32" }), query.dtype);
  const y = join(matmul(probabilities, v));
  return customGradient([query, key, value], y, (gradient) => {
    const g = split(gradient);
    // Row sums of P * dP, found as the product of output and its gradient: no second pass over the scores.
    const inner = sum(
      reshape(multiply(convert(gradient, "f32"), convert(y, "f32")), [batch, asking, heads, size]),
      [3],
    );
    const rowSums = reshape(transpose(inner, [0, 2, 1]), [batch, heads, asking, 1]);
    const dProbabilities = convert(matmul(g, v, { transposeB: true }), "f32");
    const dScores = convert(
      multiply(convert(probabilities, "f32"), subtract(dProbabilities, rowSums)),
      query.dtype,
    );
    return [
      join(matmul(dScores, k)),
      join(matmul(dScores, q, { transposeA: true })),
      join(matmul(probabilities, g, { transposeA: true })),
    ];
  });
}

/**
 * The attention branch of a block: `proj(attend(q, k, v))`.
 *
 * @param x normalised tokens, `[B, N, D]`, in the compute type
 * @param asking those of the tokens whose results are wanted, `[B, M, D]`; all see all N
 * @param residual f32 `[B, M, D]`, added to the result
 * @returns f32 `[B, M, D]`
 */
export function attention(
  parameters: Parameters,
  x: Tensor,
  asking: Tensor,
  heads: number,
  residual?: Tensor,
): Tensor {
  const width = x.shape[2]!;
  // The official code draws query, key and value as one matrix of 3 x width outputs.
  const matrix = (name: string) => parameters.matrix(`${name}.weight`, width, width, { fan: 3 * width });
  const query = linear(asking, matrix("q"), parameters.vector("q.bias", width), {
    scale: 1 / Math.sqrt(width / heads),
  });
  const key = linear(x, matrix("k"), null);
  const value = linear(x, matrix("v"), parameters.vector("v.bias", width));
  const weight = parameters.matrix("proj.weight", width, width);
  const bias = parameters.vector("proj.bias", width);
  return linear(attend(query, key, value, heads), weight, bias, { output: "f32", ...(residual && { residual }) });
}
