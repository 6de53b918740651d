/**
 * The ViT encoder of student, teacher and classifier: cubes of some tokens, position code, blocks. The final norm, where a
 * network has one, is not part of it: aligned features are raw outputs of blocks.
 */
import { blocks } from "./block.ts";
import type { Parameters } from "./parameters.ts";
import { patchEmbed } from "./patch_embed.ts";
import type { Compute, TransformerShape } from "./shapes.ts";
import { broadcast, gatherRows, reshape, type Tensor } from "./tensor/mod.ts";

/** Options of {@linkcode encode}. */
export interface EncodeOptions {
  shape: TransformerShape;
  compute: Compute;
  /** Position table of the encoder's width, f32 `[N, D]`. */
  positions: Tensor;
  /** Which tokens are seen, i32 `[B, K]`. @default all */
  tokens?: Tensor;
  /** Stochastic depth for each block. @default none */
  branchScales?: readonly (readonly [Tensor, Tensor])[];
  /** Recompute the inside of each block for the gradients. @default false */
  remat?: boolean | undefined;
}

/**
 * @param cubes all cubes of the clips, `[B, N, P]`, levels 0 to 255, u8 or f32
 * @returns f32 `[B, K, D]`: the embedded tokens, then the output of every block; index = block counted from 1
 */
export function encode(parameters: Parameters, cubes: Tensor, options: EncodeOptions): Tensor[] {
  const { shape, compute, positions, tokens, branchScales, remat } = options;
  const seen = tokens ? gatherRows(cubes, tokens) : cubes;
  const code = tokens ? rowsOf(positions, tokens) : broadcast(positions, [...cubes.shape.slice(0, 2), shape.width]);
  const embedded = patchEmbed(parameters.scope("patch_embed"), seen, code, compute);
  return [embedded, ...blocks(parameters, embedded, { ...shape, compute, branchScales, remat })];
}

/** The table of positions at a width, kept among the frozen inputs as `positions.WIDTH`. */
export function positionTable(frozen: Parameters, tokens: number, width: number): Tensor {
  return frozen.get(`positions.${width}`, [tokens, width], { kind: "sinusoid" });
}

/** Rows of one table for a batch of index lists: `[N, D], i32[B, K] -> [B, K, D]`. */
export function rowsOf(table: Tensor, index: Tensor): Tensor {
  const [rows, width] = table.shape as [number, number];
  const flat = gatherRows(reshape(table, [1, rows, width]), reshape(index, [1, index.size]));
  return reshape(flat, [...index.shape, width]);
}
