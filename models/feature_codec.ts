/**
 * Teacher features as a cache keeps them: as float16, or as a byte a value with a scale and an offset a token. Coding and
 * decoding are part of the compiled programs, so that no feature passes through JavaScript.
 *
 * A token of width D becomes `round((x - offset) / scale)`, 0 to 255, with `offset` its smallest value and `scale` its
 * range / 255: each value is off by half a scale at most. What this costs a training is in `docs/shards.md`.
 */
import {
  add,
  concatenate,
  convert,
  divide,
  input,
  max,
  maximum,
  minimum,
  multiply,
  negate,
  slice,
  subtract,
  sum,
  type Tensor,
} from "./tensor/mod.ts";

/** Number format of cached features. */
export type FeatureDtype = "f16" | "u8";

/** Largest code. */
const CODES = 255;
/** Ranges below this are taken for 0: such a token is its offset. */
const SMALLEST_RANGE = 1e-30;

/** Name of a level's features among inputs and outputs. */
export function featureName(level: number): string {
  return `features/${level}`;
}

/** Name of a level's scales and offsets, f32 `[B, Nt, 2]`. */
export function scaleName(level: number): string {
  return `feature_scales/${level}`;
}

/**
 * Codes the features of a level.
 *
 * @param features f32 `[B, Nt, Dt]`
 * @returns by name: f16 `[B, Nt, Dt]`, or u8 of that shape and scales f32 `[B, Nt, 2]`; the scales of a token with a value
 * that is not finite are not finite
 */
export function coded(level: number, features: Tensor, dtype: FeatureDtype): Record<string, Tensor> {
  if (dtype === "f16") return { [featureName(level)]: convert(features, "f16") };
  const least = negate(max(negate(features), [-1], { keepAxes: true }));
  const range = subtract(max(features, [-1], { keepAxes: true }), least);
  // Not every engine's maximum hands on what is no number; a sum does.
  const finite = multiply(sum(features, [-1], { keepAxes: true }), 0);
  const scale = divide(range, CODES);
  const steps = multiply(subtract(features, least), divide(CODES, maximum(range, SMALLEST_RANGE)));
  const codes = minimum(maximum(add(steps, 0.5), 0), CODES);
  return {
    [featureName(level)]: convert(codes, "u8"),
    [scaleName(level)]: concatenate([scale, add(least, finite)], 2),
  };
}

/** The inputs of a level, in the order that {@linkcode decoded} takes them. */
export function codedInputs(level: number, [batch, tokens, width]: [number, number, number], dtype: FeatureDtype) {
  const features = input(featureName(level), [batch, tokens, width], dtype);
  return dtype === "f16" ? [features] : [features, input(scaleName(level), [batch, tokens, 2])];
}

/** Features again, `[B, Nt, Dt]`: f16 as they are, codes as f32. */
export function decoded([features, scales]: readonly Tensor[]): Tensor {
  if (scales === undefined) return features!;
  const scale = slice(scales, 2, 0, 1), offset = slice(scales, 2, 1, 2);
  return add(multiply(convert(features!, "f32"), scale), offset);
}
