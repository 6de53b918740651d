/**
 * Sizes of clips and networks, under the names used everywhere: a grid of tokens, a cube of pixels behind each token, and
 * pre-norm transformers over them.
 */
import type { DType } from "./tensor/mod.ts";

/** Tokens of a clip along time, height and width: 8, 14, 14 for 16 frames of 224 x 224. Token = (slot, row, column). */
export interface TokenGrid {
  readonly slots: number;
  readonly rows: number;
  readonly columns: number;
}

/** Pixels behind one token: `tubelet` frames of `patch` x `patch` pixels, 3 channels. */
export interface CubeSize {
  readonly tubelet: number;
  readonly patch: number;
}

/** A stack of `depth` blocks of `width` channels with `heads` attention heads. */
export interface TransformerShape {
  readonly width: number;
  readonly depth: number;
  readonly heads: number;
}

/**
 * The published network that is followed to the letter.
 *
 * | | `videomae` | `mae`, for images |
 * |---|---|---|
 * | first token | none | a class token, which no mask hides, nothing is aligned with and no target stands for |
 * | positions | sines over the token number | sines over column and row |
 * | first values of the patch embedding | the framework's | Xavier |
 * | encoder to decoder | no bias | a bias |
 * | pixel target | normalised in each channel | all channels as one |
 *
 * An image is a clip of one frame under `mae`; MAE's biases of keys, which have no effect and no gradient, are not there.
 */
export type Form = "videomae" | "mae";

/** An encoder over the visible tokens and a lighter decoder over all of them. */
export interface VideoMaeShape {
  /** @default "videomae" */
  readonly form?: Form | undefined;
  readonly grid: TokenGrid;
  readonly cube: CubeSize;
  readonly encoder: TransformerShape;
  readonly decoder: TransformerShape;
}

/**
 * Element type of what matrix products read. Master weights, the residual stream, statistics, attention scores and losses
 * are f32 with both.
 */
export type Compute = Extract<DType, "f32" | "bf16">;

/** Colour channels of a pixel. */
export const CHANNELS = 3;

/** Tokens of a clip, N. */
export function tokensOf({ slots, rows, columns }: TokenGrid): number {
  return slots * rows * columns;
}

/** Values of a cube, P, in the order (frame, row, column, channel). */
export function cubeValues({ tubelet, patch }: CubeSize): number {
  return tubelet * patch * patch * CHANNELS;
}

/**
 * Checks the sizes of a transformer.
 *
 * @param name what the message calls it, such as `encoder`
 * @throws {RangeError} if a size is not a whole number of at least 1, or the width is not a multiple of the heads
 */
export function checkTransformer(name: string, { width, depth, heads }: TransformerShape): void {
  for (const [part, size] of Object.entries({ width, depth, heads })) {
    if (!Number.isSafeInteger(size) || size < 1) {
      throw new RangeError(`The ${part} of the ${name} must be a whole number of at least 1, found ${size}`);
    }
  }
  if (width % heads !== 0) {
    throw new RangeError(`The ${name} is ${width} wide, which is not a multiple of its ${heads} heads`);
  }
}

/**
 * Checks block numbers, counted from 1.
 *
 * @throws {RangeError} if there are none, they do not ascend, or one lies beyond the depth
 */
export function checkLayers(name: string, layers: readonly number[], depth: number): void {
  const fits = layers.length > 0 &&
    layers.every((layer, i) => Number.isSafeInteger(layer) && layer > (layers[i - 1] ?? 0));
  if (!fits || layers.at(-1)! > depth) {
    throw new RangeError(
      `The ${name} layers must ascend within 1 to ${depth}, the blocks there are: found [${layers.join(", ")}]`,
    );
  }
}
