/**
 * Clips in the form that augmentation works on: pixels in rows and columns, all frames and channels of a pixel side by side,
 * so that what happens to a pixel's place happens to `T * 3` neighbouring numbers at once.
 */
import { CHANNELS, type CubeSize, type TokenGrid } from "../shapes.ts";
import { reshape, type Tensor, transpose } from "../tensor/mod.ts";

/** Where clips lie: their cubes. */
export interface ClipLayout {
  readonly grid: TokenGrid;
  readonly cube: CubeSize;
}

/** Height, width and frames of clips. */
export function clipSize({ grid, cube }: ClipLayout): { height: number; width: number; frames: number } {
  return { height: grid.rows * cube.patch, width: grid.columns * cube.patch, frames: grid.slots * cube.tubelet };
}

/** `[B, N, P] -> [B, H, W, T * 3]` */
export function pixelsOfCubes(cubes: Tensor, layout: ClipLayout): Tensor {
  const { grid: { slots, rows, columns }, cube: { tubelet, patch } } = layout;
  const { height, width, frames } = clipSize(layout), batch = cubes.shape[0]!;
  const parts = reshape(cubes, [batch, slots, rows, columns, tubelet, patch, patch, CHANNELS]);
  return reshape(transpose(parts, [0, 2, 5, 3, 6, 1, 4, 7]), [batch, height, width, frames * CHANNELS]);
}

/** `[B, H, W, T * 3] -> [B, N, P]` */
export function cubesOfPixels(pixels: Tensor, layout: ClipLayout): Tensor {
  const { grid: { slots, rows, columns }, cube: { tubelet, patch } } = layout, batch = pixels.shape[0]!;
  const parts = reshape(pixels, [batch, rows, patch, columns, patch, slots, tubelet, CHANNELS]);
  return reshape(transpose(parts, [0, 5, 1, 3, 6, 2, 4, 7]), [
    batch,
    slots * rows * columns,
    tubelet * patch * patch * CHANNELS,
  ]);
}
