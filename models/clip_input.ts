/**
 * The two forms in which programs take clips: cubes in token order, as frame shards store them, and plain frames, as other
 * programs have them.
 */
import { CHANNELS, type CubeSize, cubeValues, type TokenGrid, tokensOf } from "./shapes.ts";
import { input, reshape, type Tensor, transpose } from "./tensor/mod.ts";

/** `cubes`: u8 `[B, N, P]`. `frames`: u8 `[B, T, H, W, 3]`, RGB. */
export type ClipForm = "cubes" | "frames";

/** A batch of clips. */
export interface ClipInput {
  /** The program's input, named as its form. */
  data: Tensor;
  /** `[B, N, P]`, u8. */
  cubes: Tensor;
}

/** Declares a batch of clips. */
export function clipInput(form: ClipForm, grid: TokenGrid, cube: CubeSize, batch: number): ClipInput {
  const shape = [batch, tokensOf(grid), cubeValues(cube)];
  if (form === "cubes") {
    const cubes = input("cubes", shape, "u8");
    return { data: cubes, cubes };
  }
  const { slots, rows, columns } = grid, { tubelet, patch } = cube;
  const data = input("frames", [batch, slots * tubelet, rows * patch, columns * patch, CHANNELS], "u8");
  const parts = reshape(data, [batch, slots, tubelet, rows, patch, columns, patch, CHANNELS]);
  return { data, cubes: reshape(transpose(parts, [0, 1, 3, 5, 2, 4, 6, 7]), shape) };
}
