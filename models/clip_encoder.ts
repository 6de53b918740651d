/** A pre-trained encoder over whole clips: every token seen, as feature extraction does it. */
import { type ClipForm, clipInput } from "./clip_input.ts";
import { cubeTokens, encode } from "./encoder.ts";
import { norm } from "./norm.ts";
import { Parameters } from "./parameters.ts";
import {
  checkTransformer,
  type Compute,
  type CubeSize,
  type Form,
  type TokenGrid,
  type TransformerShape,
} from "./shapes.ts";
import { mean } from "./tensor/mod.ts";
import { type ForwardProgram, forwardProgram } from "./train_step.ts";

/** What an encoder program is built for. */
export interface ClipEncoderOptions {
  /** @default "videomae" */
  form?: Form | undefined;
  grid: TokenGrid;
  cube: CubeSize;
  encoder: TransformerShape;
  /** Clips of a batch, B. */
  batch: number;
  compute: Compute;
  /** Whether `last_hidden_state` is normalised by the encoder's own norm, which classifiers lack. */
  finalNorm: boolean;
  /** @default "cubes" */
  clips?: ClipForm;
}

/**
 * Encodes whole clips. Data: `cubes` u8 `[B, N, P]`, or `frames` u8 `[B, T, H, W, 3]`. Outputs, f32: `last_hidden_state`
 * `[B, N, D]`, the tokens of the last block, as `VideoMAEModel` has them, or `[B, 1 + N, D]` as `ViTModel` has them;
 * `features` `[B, D]`, their mean before the norm and without a class token, as probes take it.
 *
 * @throws {RangeError} if sizes do not fit each other
 */
export function clipEncoder(options: ClipEncoderOptions): ForwardProgram {
  const { form, grid, cube, encoder, batch, compute, finalNorm, clips = "cubes" } = options;
  checkTransformer("encoder", encoder);
  const parameters = new Parameters(), frozen = new Parameters({ role: "frozen" });
  const { data, cubes } = clipInput(clips, grid, cube, batch);
  const scope = parameters.scope("encoder");
  const tokens = encode(scope, frozen, cubes, { grid, form, shape: encoder, compute }).at(-1)!;
  const outputs = {
    last_hidden_state: finalNorm ? norm(scope.scope("norm"), tokens, "f32") : tokens,
    features: mean(cubeTokens(tokens, form), [1]),
  };
  return forwardProgram({ name: "clip_encoder", parameters, frozen, data: [data], outputs });
}
