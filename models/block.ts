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
import { add, broadcast, multiply, remat, slice, type Tensor } from "./tensor/mod.ts";

const MLP_RATIO = 4;

/** Options of {@linkcode block}. */
export interface BlockOptions {
  heads: number;
  compute: Compute;
  /** Stochastic depth: factors of the attention and the MLP branch for each sample, f32 `[B, 1, 1]`. @default 1 */
  branchScales?: readonly [Tensor, Tensor] | undefined;
  /** How many of the last tokens are wanted, M; only these are computed, from all N. @default all */
  wanted?: number | undefined;
}

/**
 * @param x the residual stream, f32 `[B, N, D]`
 * @returns the residual stream of the wanted tokens after the block, f32 `[B, M, D]`
 */
export function block(parameters: Parameters, x: Tensor, options: BlockOptions): Tensor {
  const { heads, compute, branchScales, wanted = x.shape[1]! } = options;
  const last = (tokens: Tensor) => slice(tokens, 1, x.shape[1]! - wanted, x.shape[1]!);
  const branch = (index: 0 | 1, from: Tensor, compute: (residual?: Tensor) => Tensor) =>
    branchScales === undefined
      ? compute(from)
      : add(from, multiply(compute(), broadcast(branchScales[index], from.shape)));
  const seen = norm(parameters.scope("norm1"), x, compute);
  const attended = branch(
    0,
    last(x),
    (residual) => attention(parameters.scope("attn"), seen, last(seen), heads, residual),
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

/** Options of {@linkcode blocks}. */
export interface BlocksOptions extends Omit<TransformerShape, "width"> {
  compute: Compute;
  /** Stochastic depth for each block, see {@linkcode BlockOptions}. @default none */
  branchScales?: readonly (readonly [Tensor, Tensor])[] | undefined;
  /** How many of the last tokens of the last block are wanted. @default all */
  wanted?: number;
  /** Of each block keep only the input, and compute the rest again for the gradients. @default false */
  remat?: boolean | undefined;
}

/**
 * A stack of blocks under the names `blocks.0`, `blocks.1`, ...
 *
 * @returns the output of every block, in order
 */
export function blocks(parameters: Parameters, x: Tensor, options: BlocksOptions): Tensor[] {
  const { depth, heads, compute, branchScales, wanted } = options;
  const outputs: Tensor[] = [];
  for (let i = 0; i < depth; i++) {
    const through = (from: Tensor) =>
      block(parameters.scope(`blocks.${i}`), from, {
        heads,
        compute,
        branchScales: branchScales?.[i],
        ...(i === depth - 1 && { wanted }),
      });
    const from = outputs.at(-1) ?? x;
    outputs.push(options.remat ? remat(through, from) : through(from));
  }
  return outputs;
}
