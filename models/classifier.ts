/**
 * Fine-tuning: the pre-trained encoder sees all tokens; their mean is normalised and classified. The encoder's own final
 * norm is dropped, `fc_norm` and `head` start fresh, as in the official code. Names carry no `encoder.` prefix. Where there
 * is a class token it may take the place of the mean, and the final norm that of `fc_norm`.
 */
import { augment, type Augmentation } from "./augmentation/augment.ts";
import { type ClipForm, clipInput } from "./clip_input.ts";
import { cubeTokens, encode } from "./encoder.ts";
import { constantly, fineTuning, truncatedNormal } from "./initializers.ts";
import { linear } from "./linear.ts";
import { accuracy, softCrossEntropy } from "./losses.ts";
import { norm } from "./norm.ts";
import { Parameters } from "./parameters.ts";
import {
  checkTransformer,
  type Compute,
  type CubeSize,
  cubeValues,
  type Form,
  type TokenGrid,
  tokensOf,
  type TransformerShape,
} from "./shapes.ts";
import {
  compare,
  divide,
  input,
  iota,
  mean,
  multiply,
  reshape,
  select,
  slice,
  subtract,
  type Tensor,
  uniform,
} from "./tensor/mod.ts";
import { type ForwardProgram, forwardProgram, type OptimizerOptions, type TrainStep, trainStep } from "./train_step.ts";

/** How the tokens of a clip become one. */
export type Pooling = "mean" | "class";

/** What a classifier is made of. */
export interface ClassifierShape {
  /** @default "videomae" */
  form?: Form | undefined;
  /**
   * What stands for a clip: the mean of the tokens, a class token left out, or the class token of form `mae`, as
   * `ViTForImageClassification` has it. @default "mean"
   */
  pooling?: Pooling | undefined;
  grid: TokenGrid;
  cube: CubeSize;
  encoder: TransformerShape;
  classes: number;
}

/** Everything on the way to the logits. */
export interface ClassifierForward {
  /** f32 `[B, N, D]`, or `[B, 1 + N, D]` with a class token: embedded tokens, then the output of every block. */
  hidden: Tensor[];
  /** Mean over the tokens, or the class token, f32 `[B, D]`. */
  pooled: Tensor;
  /** The same normalised, in the compute type, `[B, D]`. */
  normed: Tensor;
  /** f32 `[B, C]`. */
  logits: Tensor;
}

/**
 * Traces the classifier.
 *
 * @param cubes `[B, N, P]`, levels 0 to 255, u8 or f32
 * @param branchScale stochastic depth: factor of the attention and the MLP branch of each block, f32 `[B, depth, 2]`
 * @param remat recompute the inside of each block for the gradients
 */
export function classifierLogits(
  parameters: Parameters,
  frozen: Parameters,
  { grid, form, pooling, encoder, classes }: ClassifierShape,
  compute: Compute,
  cubes: Tensor,
  branchScale?: Tensor,
  remat = false,
): ClassifierForward {
  const { width, depth } = encoder;
  const factor = (block: number, branch: number) =>
    slice(slice(branchScale!, 1, block, block + 1), 2, branch, branch + 1);
  const branchScales = branchScale &&
    Array.from({ length: depth }, (_, block) => [factor(block, 0), factor(block, 1)] as const);
  const hidden = encode(parameters, frozen, cubes, {
    grid,
    form,
    shape: encoder,
    compute,
    remat,
    ...(branchScales && { branchScales }),
  });
  const pooled = pool(hidden.at(-1)!, form, pooling);
  const normed = norm(parameters.scope(pooling === "class" ? "norm" : "fc_norm"), pooled, compute);
  const weight = parameters.matrix("head.weight", classes, width, { init: truncatedNormal(0.02, 2, 0.001) });
  const bias = parameters.get("head.bias", [classes], constantly(0));
  return { hidden, pooled, normed, logits: linear(normed, weight, bias, { output: "f32" }) };
}

/** `[B, N, D] -> [B, D]` */
function pool(tokens: Tensor, form?: Form, pooling?: Pooling): Tensor {
  if (pooling !== "class") return mean(cubeTokens(tokens, form), [1]);
  const [batch, , width] = tokens.shape as [number, number, number];
  return reshape(slice(tokens, 1, 0, 1), [batch, width]);
}

/** What a classifier program is built for. */
export interface ClassifierOptions extends ClassifierShape {
  /** Clips of a batch, B. */
  batch: number;
  compute: Compute;
}

/** What a fine-tuning step is built for. */
export interface ClassifierStepOptions extends ClassifierOptions {
  /** Stochastic depth of the last block; more than 0 adds the input `drop_keys`. */
  dropPath: number;
  /** What is done to the clips; adds the inputs that it draws from. @default nothing */
  augmentation?: Augmentation;
  optimizer: OptimizerOptions;
  /** Decay of the moving average of the parameters, see {@linkcode trainStep}. @default null, no average */
  averageDecay?: number | null;
  /** Micro-batches that a batch is worked through in, see {@linkcode trainStep}. @default 1 */
  accumulate?: number;
  /** Recompute the inside of each block for the gradients. @default false */
  remat?: boolean;
}

/**
 * A fine-tuning step. Data: `cubes` u8 `[B, N, P]`; `targets` f32 `[B, C]`, shares of the classes; `drop_keys` u32 `[B, 2]`
 * with drop path, what each clip's {@linkcode branchScales} are drawn from; what {@linkcode Augmentation} asks for. Metrics:
 * `total`, `accuracy`, `gradNorm`. Targets of mixed clips are mixed by the caller.
 *
 * @throws {RangeError} if sizes do not fit each other
 */
export function classifierStep(options: ClassifierStepOptions): TrainStep {
  checkClassifier(options);
  const { grid, cube, encoder, classes, batch, dropPath, augmentation = {}, compute, optimizer, accumulate, remat } =
    options;
  const parameters = new Parameters({ matrices: fineTuning });
  const frozen = new Parameters({ role: "frozen" });
  const cubes = input("cubes", [batch, tokensOf(grid), cubeValues(cube)], "u8");
  const targets = input("targets", [batch, classes]);
  const dropKeys = dropPath > 0 ? input("drop_keys", [batch, 2], "u32") : undefined;
  const { seen, inputs } = augment(cubes, augmentation, { grid, cube }, compute, accumulate);
  const metrics = (rows: (batch: Tensor) => Tensor) => {
    const scales = dropKeys && branchScales(rows(dropKeys), encoder.depth, dropPath);
    const { logits } = classifierLogits(parameters, frozen, options, compute, seen(rows), scales, remat);
    const wanted = rows(targets);
    return { total: softCrossEntropy(logits, wanted), accuracy: accuracy(logits, wanted) };
  };
  return trainStep({
    name: "classifier_step",
    parameters,
    frozen,
    data: [cubes, targets, ...(dropKeys ? [dropKeys] : []), ...inputs],
    metrics,
    optimizer,
    averageDecay: options.averageDecay,
    accumulate,
  });
}

/**
 * Classifies. Data: `cubes` u8 `[B, N, P]`, or `frames` u8 `[B, T, H, W, 3]`; output `logits` f32 `[B, C]`.
 *
 * @param clips The form of the clips.
 */
export function classifierForward(options: ClassifierOptions, clips: ClipForm = "cubes"): ForwardProgram {
  checkClassifier(options);
  const { parameters, frozen, cubes, data } = sources(options, clips);
  const { logits } = classifierLogits(parameters, frozen, options, options.compute, cubes);
  return forwardProgram({ name: "classifier_forward", parameters, frozen, data: [data], outputs: { logits } });
}

/**
 * What an encoder makes of whole clips, for probes. Data: `cubes` u8 `[B, N, P]`; output `features` f32 `[B, D]`, the mean
 * of the last block's tokens, or its class token. Parameters are those of the classifier without norm and head.
 */
export function pooledFeatures(options: Omit<ClassifierOptions, "classes">): ForwardProgram {
  checkClassifier({ ...options, classes: 2 });
  const { parameters, frozen, cubes } = sources(options);
  const { grid, form, pooling, encoder, compute } = options;
  const hidden = encode(parameters, frozen, cubes, { grid, form, shape: encoder, compute });
  const outputs = { features: pool(hidden.at(-1)!, form, pooling) };
  return forwardProgram({ name: "pooled_features", parameters, frozen, data: [cubes], outputs });
}

function sources({ grid, cube, batch }: Omit<ClassifierOptions, "classes">, clips: ClipForm = "cubes") {
  return {
    parameters: new Parameters({ matrices: fineTuning }),
    frozen: new Parameters({ role: "frozen" }),
    ...clipInput(clips, grid, cube, batch),
  };
}

/**
 * Factors of the branches under stochastic depth: the drop rate rises linearly from 0 at the first block to `dropPath` at
 * the last; a kept branch is divided by its keep probability, a dropped one times 0.
 *
 * Drawn in the program: the host sends two words a clip, however deep the network.
 *
 * @param keys u32 `[B, 2]`, a hash of what a clip's draw is for, such as seed, epoch and clip
 * @returns f32 `[B, depth, 2]`
 */
export function branchScales(keys: Tensor, depth: number, dropPath: number): Tensor {
  const draws = reshape(uniform(keys, depth * 2), [keys.shape[0]!, depth, 2]);
  const rise = depth === 1 ? 0 : dropPath / (depth - 1);
  const keep = subtract(1, multiply(iota([1, depth, 1], 1, "f32"), rise));
  return select(compare(draws, "less", keep), divide(1, keep), 0);
}

/**
 * Layer-wise decay of the learning rate: `factor^(depth + 1 - id)`, id 0 for the patch embedding and the class token, k + 1
 * for block k, depth + 1 for norm and head.
 *
 * @param depth blocks of the encoder
 * @returns the factor for a parameter's name
 *
 * @example
 * ```ts
 * import { layerDecayScale } from "./classifier.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const scale = layerDecayScale(12, 0.75);
 * assertEquals([scale("blocks.11.norm1.weight"), scale("head.weight")], [0.75, 1]);
 * ```
 */
export function layerDecayScale(depth: number, factor: number): (name: string) => number {
  return (name) => {
    const block = /^blocks\.(\d+)\./.exec(name)?.[1];
    const id = block !== undefined ? Number(block) + 1 : /^(?:patch_embed\.|cls_token$)/.test(name) ? 0 : depth + 1;
    return factor ** (depth + 1 - id);
  };
}

function checkClassifier({ form, pooling, encoder, classes, batch }: ClassifierOptions): void {
  checkTransformer("encoder", encoder);
  if (pooling === "class" && form !== "mae") {
    throw new RangeError('Pooling "class" needs the class token of form "mae": take the mean of the tokens');
  }
  for (const [name, size, least] of [["classes", classes, 2], ["clips in a batch", batch, 1]] as const) {
    if (!Number.isSafeInteger(size) || size < least) {
      throw new RangeError(`A classifier needs a whole number of at least ${least} ${name}, found ${size}`);
    }
  }
}
