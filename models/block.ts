/**
 * The one transformer block of encoder, decoder, generators and teacher: pre-norm, attention and MLP with residuals
 * (`x + Attn(LN x)`, then `x + MLP(LN x)`), four times as wide inside the MLP. No dropout, no layer scale.
 */
import { attention } from "./attention.ts";
import { gelu } from "./gelu.ts";
import { linear } from "./linear.ts";
import { norm } from "./norm.ts";
import type { Parameters } from "./parameters.ts";
import type { Compute, TransformerShape } from "./shapes.ts";
import { add, broadcast, multiply, type Tensor } from "./tensor/mod.ts";

const MLP_RATIO = 4;

/** Options of {@linkcode block}. */
export interface BlockOptions {
  heads: number;
  compute: Compute;
  /** Stochastic depth: factors of the attention and the MLP branch for each sample, f32 `[B, 1, 1]`. @default 1 */
  branchScales?: readonly [Tensor, Tensor] | undefined;
}

/**
 * @param x the residual stream, f32 `[B, N, D]`
 * @returns the residual stream after the block, f32 `[B, N, D]`
 */
export function block(parameters: Parameters, x: Tensor, { heads, compute, branchScales }: BlockOptions): Tensor {
  const branch = (index: 0 | 1, from: Tensor, compute: (residual?: Tensor) => Tensor) =>
    branchScales === undefined
      ? compute(from)
      : add(from, multiply(compute(), broadcast(branchScales[index], from.shape)));
  const attended = branch(
    0,
    x,
    (residual) => attention(parameters.scope("attn"), norm(parameters.scope("norm1"), x, compute), heads, residual),
  );
  return branch(
    1,
    attended,
    (residual) => mlp(parameters.scope("mlp"), norm(parameters.scope("norm2"), attended, compute), residual),
  );
}

function mlp(parameters: Parameters, x: Tensor, residual?: Tensor): Tensor {
  const width = x.shape.at(-1)!;
  const inner = MLP_RATIO * width;
  const hidden = linear(x, parameters.matrix("fc1.weight", inner, width), parameters.vector("fc1.bias", inner));
  return linear(gelu(hidden), parameters.matrix("fc2.weight", width, inner), parameters.vector("fc2.bias", width), {
    output: "f32",
    ...(residual && { residual }),
  });
}

/**
 * A stack of blocks under the names `blocks.0`, `blocks.1`, ...
 *
 * @param branchScales stochastic depth for each block, see {@linkcode BlockOptions}
 * @returns the output of every block, in order
 */
export function blocks(
  parameters: Parameters,
  x: Tensor,
  { depth, heads }: Omit<TransformerShape, "width">,
  compute: Compute,
  branchScales?: readonly (readonly [Tensor, Tensor])[],
): Tensor[] {
  const outputs: Tensor[] = [];
  for (let i = 0; i < depth; i++) {
    const scope = parameters.scope(`blocks.${i}`);
    outputs.push(block(scope, outputs.at(-1) ?? x, { heads, compute, branchScales: branchScales?.[i] }));
  }
  return outputs;
}
