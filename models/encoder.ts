/**
 * The ViT encoder of student, teacher and classifier: cubes of some tokens, position code, blocks. The final norm, where a
 * network has one, is not part of it: aligned features are raw outputs of blocks.
 */
import { blocks } from "./block.ts";
import { imageToken } from "./initializers.ts";
import type { Parameters } from "./parameters.ts";
import { patchEmbed } from "./patch_embed.ts";
import { type Compute, type Form, type TokenGrid, tokensOf, type TransformerShape } from "./shapes.ts";
import { add, broadcast, concatenate, gatherRows, reshape, slice, type Tensor } from "./tensor/mod.ts";

/** Options of {@linkcode encode}. */
export interface EncodeOptions {
  grid: TokenGrid;
  shape: TransformerShape;
  compute: Compute;
  /** @default "videomae" */
  form?: Form | undefined;
  /** Which tokens are seen, i32 `[B, K]`. @default all */
  tokens?: Tensor;
  /** Stochastic depth for each block. @default none */
  branchScales?: readonly (readonly [Tensor, Tensor])[];
  /** Recompute the inside of each block for the gradients. @default false */
  remat?: boolean | undefined;
}

/**
 * Position tables are declared in `frozen`.
 *
 * @param cubes all cubes of the clips, `[B, N, P]`, levels 0 to 255, u8 or f32
 * @returns f32 `[B, K, D]`: the embedded tokens, then the output of every block; index = block counted from 1. With a class
 * token, which stands first, f32 `[B, 1 + K, D]`
 */
export function encode(parameters: Parameters, frozen: Parameters, cubes: Tensor, options: EncodeOptions): Tensor[] {
  const { grid, shape, compute, form, tokens, branchScales, remat } = options;
  const positions = positionTable(frozen, grid, shape.width, form);
  const seen = tokens ? gatherRows(cubes, tokens) : cubes;
  const code = tokens
    ? rowsOf(positions.tokens, tokens)
    : broadcast(positions.tokens, [...cubes.shape.slice(0, 2), shape.width]);
  const embedded = patchEmbed(parameters.scope("patch_embed"), seen, code, compute, form);
  const start = positions.classToken
    ? behind(add(parameters.get("cls_token", [1, 1, shape.width], imageToken), positions.classToken), embedded)
    : embedded;
  return [start, ...blocks(parameters, start, { ...shape, compute, branchScales, remat })];
}

/** Of a network's tokens those that stand for cubes: all but a class token. `[B, 1 + K, D] -> [B, K, D]` */
export function cubeTokens(x: Tensor, form?: Form): Tensor {
  return form === "mae" ? slice(x, 1, 1, x.shape[1]!) : x;
}

/** Position code at some width. */
export interface Positions {
  /** Of every token, f32 `[N, D]`. */
  tokens: Tensor;
  /** Of the class token, f32 `[1, 1, D]`; 0 but in tables of other checkpoints. None without such a token. */
  classToken?: Tensor;
}

/**
 * The table of positions at a width, kept among the frozen inputs as `positions.WIDTH`; that of a class token is row 0.
 *
 * @throws {RangeError} if clips have more than one slot of time and the form has no code for it
 */
export function positionTable(frozen: Parameters, grid: TokenGrid, width: number, form?: Form): Positions {
  const tokens = tokensOf(grid), name = `positions.${width}`, { slots, rows, columns } = grid;
  if (form !== "mae") return { tokens: frozen.get(name, [tokens, width], { kind: "sinusoid" }) };
  if (slots !== 1) throw new RangeError(`MAE's positions are those of a picture: 1 slot of time, found ${slots}`);
  const table = frozen.get(name, [1 + tokens, width], { kind: "grid-sinusoid", rows, columns });
  return { tokens: slice(table, 0, 1, 1 + tokens), classToken: reshape(slice(table, 0, 0, 1), [1, 1, width]) };
}

/** Position code of a class token, if there is one, and of some tokens: `i32[B, K] -> [B, 1 + K, D]` or `[B, K, D]`. */
export function codeOf({ tokens, classToken }: Positions, index: Tensor): Tensor {
  const rows = rowsOf(tokens, index);
  return classToken ? behind(classToken, rows) : rows;
}

/** Rows of one table for a batch of index lists: `[N, D], i32[B, K] -> [B, K, D]`. */
export function rowsOf(table: Tensor, index: Tensor): Tensor {
  const [rows, width] = table.shape as [number, number];
  const flat = gatherRows(reshape(table, [1, rows, width]), reshape(index, [1, index.size]));
  return reshape(flat, [...index.shape, width]);
}

/** Puts one row in front of those of every clip: `[1, 1, D], [B, K, D] -> [B, 1 + K, D]`. */
function behind(first: Tensor, rows: Tensor): Tensor {
  const [batch, , width] = rows.shape as [number, number, number];
  return concatenate([broadcast(first, [batch, 1, width]), rows], 1);
}
