/** Layer normalisation with the official epsilon, 1e-6, everywhere. */
import type { Parameters } from "./parameters.ts";
import { type DType, layerNorm, type Tensor } from "./tensor/mod.ts";

export const EPSILON = 1e-6;

/** Normalises the last axis of `x` with the scope's `weight` and `bias`; statistics in f32. */
export function norm(parameters: Parameters, x: Tensor, output: DType): Tensor {
  const width = x.shape.at(-1)!;
  return layerNorm(x, parameters.vector("weight", width, 1), parameters.vector("bias", width), EPSILON, output);
}
