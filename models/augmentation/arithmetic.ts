/** Arithmetic on levels, whole numbers from 0 to 255 in f32, and on numbers that belong to a clip. */
import { convert, maximum, minimum, reshape, slice, type Tensor } from "../tensor/mod.ts";

export const WHITE = 255;

/** The whole part of numbers that are not negative. */
export function wholePart(x: Tensor): Tensor {
  return convert(convert(x, "i32"), "f32");
}

/** Numbers cut to levels: below 0 is 0, above 255 is 255. */
export function clamped(x: Tensor): Tensor {
  return minimum(maximum(x, 0), WHITE);
}

/** Column `i` of numbers of clips, to be broadcast over values of rank `rank`: `[B, K] -> [B, 1, ..., 1]`. */
export function column(table: Tensor, i: number, rank: number): Tensor {
  return reshape(slice(table, 1, i, i + 1), [table.shape[0]!, ...new Array<number>(rank - 1).fill(1)]);
}
