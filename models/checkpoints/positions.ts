/**
 * Position tables that checkpoints keep: learned ones, and MAE's sines and cosines. A table of another grid is interpolated
 * as MAE's and VideoMAE's fine-tuning scripts do: bicubic over rows and columns (PyTorch's, aligned at the pixels' edges); a
 * picture's table is repeated over time; the row of a class token in front is kept or taken off. Tables of square grids only.
 */
import { type TokenGrid, tokensOf } from "../shapes.ts";
import type { Shape } from "../tensor/mod.ts";

/** Names under which encoders keep their table. */
export const POSITION_NAMES: readonly string[] = [
  ...["", "encoder.", "backbone.", "module.", "module.encoder."].map((prefix) => `${prefix}pos_embed`),
  "vit.embeddings.position_embeddings",
  "embeddings.position_embeddings",
];

/** Options of {@linkcode fitPositions}. */
export interface FitPositionsOptions {
  /** Whether the row of a class token, 0 where the table has none, stands in front. @default false */
  readonly classToken?: boolean;
}

/**
 * A stored table for a grid.
 *
 * @param table Row-major.
 * @param shape `[1, N, D]` or `[N, D]`, N the tokens of a square grid of as many slots as wanted, or of one.
 * @returns `[tokens, D]`, or `[1 + tokens, D]` with a class token
 * @throws {TypeError} if N is of no such grid
 *
 * @example
 * ```ts
 * import { fitPositions } from "./positions.ts";
 * import { assertEquals } from "@std/assert";
 *
 * // One token of a still picture, seen in two slots of time.
 * assertEquals(fitPositions(Float32Array.of(3, 4), [1, 1, 2], { slots: 2, rows: 1, columns: 1 }), Float32Array.of(3, 4, 3, 4));
 * ```
 */
export function fitPositions(
  table: Float32Array,
  shape: Shape,
  grid: TokenGrid,
  { classToken = false }: FitPositionsOptions = {},
): Float32Array<ArrayBuffer> {
  const [stored, width] = shape.slice(-2) as [number, number];
  const from = gridOf(stored, grid) ?? gridOf(stored - 1, grid);
  if (shape.length < 2 || from === undefined) {
    throw new TypeError(
      `A position table [${shape.join(", ")}] is of no square grid with ${grid.slots} slots or one, ` +
        `as ${grid.slots} x ${grid.rows} x ${grid.columns} tokens need it`,
    );
  }
  const before = (stored - tokensOf(from)) * width;
  let values: Float32Array<ArrayBuffer> = table.slice(before);
  const { slots, rows, columns } = from;
  values = resized(values, rows, grid.rows, columns * width);
  values = resized(values, columns, grid.columns, width);
  const repeats = grid.slots / slots, first = classToken ? width : 0;
  if (repeats === 1 && first === 0) return values;
  const whole = new Float32Array(first + repeats * values.length);
  whole.set(table.subarray(0, Math.min(first, before)));
  for (let i = 0; i < repeats; i++) whole.set(values, first + i * values.length);
  return whole;
}

/** The square grid of so many tokens: with the slots wanted, else with one. */
function gridOf(tokens: number, { slots }: TokenGrid): TokenGrid | undefined {
  return [slots, 1].map((slots) => ({ slots, rows: Math.sqrt(tokens / slots), columns: Math.sqrt(tokens / slots) }))
    .find(({ rows }) => Number.isInteger(rows) && rows > 0);
}

/** Share of a neighbour by its distance: Keys' kernel with PyTorch's a = -0.75. */
function cubic(x: number): number {
  return x < 1 ? (1.25 * x - 2.25) * x * x + 1 : ((-0.75 * x + 3.75) * x - 6) * x + 3;
}

/** Resizes the middle axis of `[outer, from, inner]`; outer follows from the length. */
function resized(
  values: Float32Array<ArrayBuffer>,
  from: number,
  to: number,
  inner: number,
): Float32Array<ArrayBuffer> {
  if (from === to) return values;
  const outer = values.length / from / inner;
  const result = new Float32Array(outer * to * inner);
  for (let place = 0; place < to; place++) {
    const centre = (place + 0.5) * from / to - 0.5;
    for (let near = Math.floor(centre) - 1; near <= Math.floor(centre) + 2; near++) {
      const share = cubic(Math.abs(centre - near));
      const source = Math.min(Math.max(near, 0), from - 1);
      for (let o = 0; o < outer; o++) {
        for (let i = 0; i < inner; i++) {
          result[(o * to + place) * inner + i]! += share * values[(o * from + source) * inner + i]!;
        }
      }
    }
  }
  return result;
}
