/**
 * From cubes of pixels to tokens, and the pixel target of reconstruction; both inside the program, so that the host moves
 * nothing but uint8 pixels.
 *
 * The official Conv3d has kernel = stride and is a matrix product over cubes; here only the tokens that a network sees are
 * multiplied.
 */
import { uniformly, xavier } from "./initializers.ts";
import { linear } from "./linear.ts";
import type { Parameters } from "./parameters.ts";
import { CHANNELS, type Compute, type Form } from "./shapes.ts";
import {
  add,
  broadcast,
  concatenate,
  constant,
  convert,
  divide,
  mean,
  multiply,
  reshape,
  sqrt,
  square,
  subtract,
  sum,
  type Tensor,
} from "./tensor/mod.ts";

/** ImageNet statistics of pixels in [0, 1], for red, green and blue. */
export const PIXEL_MEAN = [0.485, 0.456, 0.406] as const;
export const PIXEL_DEVIATION = [0.229, 0.224, 0.225] as const;

const WHITE = 255;
/** Added to a cube's standard deviation on the scale [0, 1]; with MAE to its variance as networks see it. */
const TARGET_EPSILON = 1e-6;

/**
 * Pixels as networks see them: `(x / 255 - mean) / deviation` of the channel.
 *
 * @param cubes `[B, K, P]`, levels 0 to 255, u8 or f32
 * @returns f32 `[B, K, P]`
 */
export function normalizedPixels(cubes: Tensor): Tensor {
  const x = byChannel(cubes);
  const perChannel = (value: (channel: 0 | 1 | 2) => number) => {
    const parts = ([0, 1, 2] as const).map((channel) => constant(value(channel), [1]));
    return broadcast(concatenate(parts, 0), x.shape);
  };
  const factor = perChannel((c) => 1 / (WHITE * PIXEL_DEVIATION[c]));
  const shift = perChannel((c) => -PIXEL_MEAN[c] / PIXEL_DEVIATION[c]);
  return reshape(add(multiply(x, factor), shift), cubes.shape);
}

/**
 * What the student reconstructs: pixels normalised in each cube and channel, `(x - mean) / (deviation + 1e-6)` on the
 * scale [0, 1], deviation unbiased, epsilon outside the root. Sums of levels are exact in f32, so cubes of one colour give
 * exactly 0. MAE takes all values of a cube as one, as networks see them: `(x - mean) / sqrt(variance + 1e-6)`.
 *
 * @param cubes `[B, K, P]`, levels 0 to 255, u8 or f32
 * @returns f32 `[B, K, P]`
 */
export function pixelTarget(cubes: Tensor, form?: Form): Tensor {
  if (form === "mae") {
    const pixels = normalizedPixels(cubes), values = pixels.shape[2]!;
    const centred = subtract(pixels, mean(pixels, [2], { keepAxes: true }));
    const variance = divide(sum(square(centred), [2], { keepAxes: true }), values - 1);
    return divide(centred, sqrt(add(variance, TARGET_EPSILON)));
  }
  const x = byChannel(cubes);
  const count = x.shape[2]!;
  const centred = subtract(x, divide(sum(x, [2], { keepAxes: true }), count));
  const deviation = sqrt(divide(sum(square(centred), [2], { keepAxes: true }), count - 1));
  return reshape(divide(centred, add(deviation, TARGET_EPSILON * WHITE)), cubes.shape);
}

/**
 * Tokens of cubes.
 *
 * @param cubes `[B, K, P]`, levels 0 to 255, u8 or f32
 * @param positions position code of each token, f32 `[B, K, D]`
 * @returns f32 `[B, K, D]`
 */
export function patchEmbed(
  parameters: Parameters,
  cubes: Tensor,
  positions: Tensor,
  compute: Compute,
  form?: Form,
): Tensor {
  const values = cubes.shape[2]!;
  const width = positions.shape[2]!;
  // A convolution keeps the framework's own first values: uniform in +-1 / sqrt(inputs), bias too; MAE draws the matrix.
  const init = uniformly(1 / Math.sqrt(values));
  const weight = parameters.matrix("proj.weight", width, values, {
    init: form === "mae" ? xavier(width, values) : init,
  });
  const bias = parameters.get("proj.bias", [width], init);
  return linear(convert(normalizedPixels(cubes), compute), weight, bias, { output: "f32", residual: positions });
}

/** `[B, K, P]` as f32 `[B, K, P / 3, 3]`: channels vary fastest. */
function byChannel(cubes: Tensor): Tensor {
  const [batch, tokens, values] = cubes.shape as [number, number, number];
  return reshape(convert(cubes, "f32"), [batch, tokens, values / CHANNELS, CHANNELS]);
}
