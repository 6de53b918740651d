/**
 * VideoMAE pre-training (arXiv 2203.12602): an encoder sees the visible tokens, a light decoder reconstructs the pixels of
 * the hidden ones. Numbers follow the official code: mean of squares over all hidden values. MAE on images (arXiv
 * 2111.06377) is the same with another {@linkcode Form}.
 */
import { blocks } from "./block.ts";
import { codeOf, encode, positionTable, rowsOf } from "./encoder.ts";
import { imageToken, maskToken, uniformly } from "./initializers.ts";
import { linear } from "./linear.ts";
import { meanSquaredError } from "./losses.ts";
import { norm } from "./norm.ts";
import { Parameters } from "./parameters.ts";
import { pixelTarget } from "./patch_embed.ts";
import { checkTransformer, type Compute, cubeValues, tokensOf, type VideoMaeShape } from "./shapes.ts";
import { add, broadcast, concatenate, gatherRows, input, type Tensor } from "./tensor/mod.ts";
import { type ForwardProgram, forwardProgram, type OptimizerOptions, type TrainStep, trainStep } from "./train_step.ts";

/** A batch of clips with the tokens the student sees and those it does not, ascending. */
export interface VideoMaeBatch {
  /** All cubes, `[B, N, P]`, levels 0 to 255, u8 or f32. */
  cubes: Tensor;
  /** i32 `[B, Nv]`. */
  visibleTokens: Tensor;
  /** i32 `[B, N - Nv]`. */
  hiddenTokens: Tensor;
}

/** Everything on the way to the loss; f32 but for `latent`. */
export interface VideoMaeForward {
  /** `[B, Nv, D]`, or `[B, 1 + Nv, D]` with a class token: embedded, then the output of every block, counted from 1. */
  hidden: Tensor[];
  /** The encoder's output after its final norm, in the compute type, as wide and long as that. */
  latent: Tensor;
  /** Normalised pixels, `[B, N - Nv, P]`. */
  prediction: Tensor;
  target: Tensor;
  /** Mean squared error of the two. */
  loss: Tensor;
}

/**
 * Traces encoder, decoder and loss. Position tables are declared in `frozen`.
 *
 * @param remat recompute the inside of each block for the gradients
 */
export function videoMaeForward(
  parameters: Parameters,
  frozen: Parameters,
  { form, grid, cube, encoder, decoder }: VideoMaeShape,
  compute: Compute,
  { cubes, visibleTokens, hiddenTokens }: VideoMaeBatch,
  remat = false,
): VideoMaeForward {
  const scope = parameters.scope("encoder");
  const options = { grid, form, shape: encoder, compute, tokens: visibleTokens, remat };
  const hidden = encode(scope, frozen, cubes, options);
  const final = hidden.at(-1)!;
  const latent = norm(scope.scope("norm"), final, compute);

  const code = positionTable(frozen, grid, decoder.width, form);
  const isMae = form === "mae";
  const narrow = parameters.matrix("encoder_to_decoder.weight", decoder.width, encoder.width, {
    ...(!isMae && { init: uniformly(1 / Math.sqrt(encoder.width)) }),
  });
  const bias = isMae ? parameters.vector("encoder_to_decoder.bias", decoder.width) : null;
  const seen = linear(latent, narrow, bias, { output: "f32", residual: codeOf(code, visibleTokens) });
  const token = parameters.get("mask_token", [1, 1, decoder.width], isMae ? imageToken : maskToken);
  const masked = add(broadcast(token, [...hiddenTokens.shape, decoder.width]), rowsOf(code.tokens, hiddenTokens));
  const scopeDecoder = parameters.scope("decoder");
  const rest = blocks(scopeDecoder, concatenate([seen, masked], 1), {
    ...decoder,
    compute,
    remat,
    wanted: hiddenTokens.shape[1]!,
  }).at(-1)!;
  const values = cubeValues(cube);
  const prediction = linear(
    norm(scopeDecoder.scope("norm"), rest, compute),
    scopeDecoder.matrix("head.weight", values, decoder.width),
    scopeDecoder.vector("head.bias", values),
    { output: "f32" },
  );
  const target = pixelTarget(gatherRows(cubes, hiddenTokens), form);
  return { hidden, latent, prediction, target, loss: meanSquaredError(prediction, target) };
}

/** What a VideoMAE program is built for. */
export interface VideoMaeOptions {
  shape: VideoMaeShape;
  /** Clips of a batch, B. */
  batch: number;
  /** Visible tokens of a clip, Nv. */
  visible: number;
  compute: Compute;
}

/** What a pre-training step is built for. */
export interface VideoMaeStepOptions extends VideoMaeOptions {
  optimizer: OptimizerOptions;
  /** Micro-batches that a batch is worked through in, see {@linkcode trainStep}. @default 1 */
  accumulate?: number;
  /** Recompute the inside of each block for the gradients. @default false */
  remat?: boolean;
}

/**
 * A pre-training step. Data: `cubes` u8 `[B, N, P]`, `visible_tokens` i32 `[B, Nv]`, `hidden_tokens` i32 `[B, N - Nv]`.
 * Metrics: `total`, `pixel`, `gradNorm`.
 *
 * @throws {RangeError} if sizes do not fit each other
 */
export function videoMaeStep(options: VideoMaeStepOptions): TrainStep {
  const { optimizer, accumulate } = options;
  const { parameters, frozen, data, forward } = sources(options);
  const metrics = (rows: (batch: Tensor) => Tensor) => {
    const { loss } = forward(rows);
    return { total: loss, pixel: loss };
  };
  return trainStep({ name: "videomae_step", parameters, frozen, data, metrics, optimizer, accumulate });
}

/**
 * What the network makes of hidden cubes, for pictures: outputs `prediction` and `target`, normalised pixels, f32
 * `[B, N - Nv, P]`. Data as in {@linkcode videoMaeStep}.
 */
export function reconstruction(options: VideoMaeOptions): ForwardProgram {
  const { parameters, frozen, data, forward } = sources(options);
  const { prediction, target } = forward((batch) => batch);
  return forwardProgram({ name: "reconstruction", parameters, frozen, data, outputs: { prediction, target } });
}

/** Inputs, and the network over some rows of them. */
function sources({ shape, batch, visible, compute, remat }: VideoMaeOptions & { remat?: boolean }) {
  checkVideoMae(shape, batch, visible);
  const parameters = new Parameters();
  const frozen = new Parameters({ role: "frozen" });
  const tokens = tokensOf(shape.grid);
  const cubes = input("cubes", [batch, tokens, cubeValues(shape.cube)], "u8");
  const visibleTokens = input("visible_tokens", [batch, visible], "i32");
  const hiddenTokens = input("hidden_tokens", [batch, tokens - visible], "i32");
  const forward = (rows: (batch: Tensor) => Tensor) =>
    videoMaeForward(
      parameters,
      frozen,
      shape,
      compute,
      { cubes: rows(cubes), visibleTokens: rows(visibleTokens), hiddenTokens: rows(hiddenTokens) },
      remat,
    );
  return { parameters, frozen, data: [cubes, visibleTokens, hiddenTokens], forward };
}

/** Checks the sizes of a masked auto-encoder and of its batches. */
export function checkVideoMae(shape: VideoMaeShape, batch: number, visible: number): void {
  checkTransformer("encoder", shape.encoder);
  checkTransformer("decoder", shape.decoder);
  const tokens = tokensOf(shape.grid);
  if (!Number.isSafeInteger(batch) || batch < 1) {
    throw new RangeError(`A batch needs a whole number of at least 1 clips, found ${batch}`);
  }
  if (!Number.isSafeInteger(visible) || visible < 1 || visible >= tokens) {
    throw new RangeError(
      `The visible tokens must lie within 1 to ${tokens - 1}, one less than the grid has: found ${visible}`,
    );
  }
}
