/**
 * Fine-tuning: the pre-trained encoder sees all tokens; their mean is normalised and classified. The encoder's own final
 * norm is dropped, `fc_norm` and `head` start fresh, as in the official code. Names carry no `encoder.` prefix.
 */
import { type ClipForm, clipInput } from "./clip_input.ts";
import { encode, positionTable } from "./encoder.ts";
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
  type TokenGrid,
  tokensOf,
  type TransformerShape,
} from "./shapes.ts";
import {
  add,
  compare,
  convert,
  divide,
  gatherRows,
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

/** What a classifier is made of. */
export interface ClassifierShape {
  grid: TokenGrid;
  cube: CubeSize;
  encoder: TransformerShape;
  classes: number;
}

/** Everything on the way to the logits. */
export interface ClassifierForward {
  /** f32 `[B, N, D]`: embedded tokens, then the output of every block. */
  hidden: Tensor[];
  /** Mean over the tokens, f32 `[B, D]`. */
  pooled: Tensor;
  /** The mean normalised, in the compute type, `[B, D]`. */
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
  { encoder, classes }: ClassifierShape,
  compute: Compute,
  cubes: Tensor,
  branchScale?: Tensor,
  remat = false,
): ClassifierForward {
  const { width, depth } = encoder;
  const positions = positionTable(frozen, cubes.shape[1]!, width);
  const factor = (block: number, branch: number) =>
    slice(slice(branchScale!, 1, block, block + 1), 2, branch, branch + 1);
  const branchScales = branchScale &&
    Array.from({ length: depth }, (_, block) => [factor(block, 0), factor(block, 1)] as const);
  const hidden = encode(parameters, cubes, {
    shape: encoder,
    compute,
    positions,
    remat,
    ...(branchScales && { branchScales }),
  });
  const pooled = mean(hidden.at(-1)!, [1]);
  const normed = norm(parameters.scope("fc_norm"), pooled, compute);
  const weight = parameters.matrix("head.weight", classes, width, { init: truncatedNormal(0.02, 2, 0.001) });
  const bias = parameters.get("head.bias", [classes], constantly(0));
  return { hidden, pooled, normed, logits: linear(normed, weight, bias, { output: "f32" }) };
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
  /** Adds the input `mix` and mixes each clip with its partner, the batch in reverse. @default false */
  mixup?: boolean;
  optimizer: OptimizerOptions;
  /** Micro-batches that a batch is worked through in, see {@linkcode trainStep}. @default 1 */
  accumulate?: number;
  /** Recompute the inside of each block for the gradients. @default false */
  remat?: boolean;
}

/**
 * A fine-tuning step. Data: `cubes` u8 `[B, N, P]`; `targets` f32 `[B, C]`, shares of the classes; `drop_keys` u32 `[B, 2]`
 * with drop path, what each clip's {@linkcode branchScales} are drawn from; `mix` f32 `[B]` with mixup, the share of the clip
 * itself (1 leaves it alone). Metrics: `total`, `accuracy`, `gradNorm`.
 *
 * @throws {RangeError} if sizes do not fit each other
 */
export function classifierStep(options: ClassifierStepOptions): TrainStep {
  checkClassifier(options);
  const { grid, cube, encoder, classes, batch, dropPath, mixup = false, compute, optimizer, accumulate, remat } =
    options;
  const parameters = new Parameters({ matrices: fineTuning });
  const frozen = new Parameters({ role: "frozen" });
  const cubes = input("cubes", [batch, tokensOf(grid), cubeValues(cube)], "u8");
  const targets = input("targets", [batch, classes]);
  const dropKeys = dropPath > 0 ? input("drop_keys", [batch, 2], "u32") : undefined;
  const mix = mixup ? input("mix", [batch]) : undefined;
  const seen = mix ? mixedWithReverse(cubes, mix) : cubes;
  const metrics = (rows: (batch: Tensor) => Tensor) => {
    const scales = dropKeys && branchScales(rows(dropKeys), encoder.depth, dropPath);
    const { logits } = classifierLogits(parameters, frozen, options, compute, rows(seen), scales, remat);
    const wanted = rows(targets);
    return { total: softCrossEntropy(logits, wanted), accuracy: accuracy(logits, wanted) };
  };
  return trainStep({
    name: "classifier_step",
    parameters,
    frozen,
    data: [cubes, targets, ...(dropKeys ? [dropKeys] : []), ...(mix ? [mix] : [])],
    metrics,
    optimizer,
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
 * of the last block's tokens. Parameters are those of the classifier without `fc_norm` and `head`.
 */
export function pooledFeatures(options: Omit<ClassifierOptions, "classes">): ForwardProgram {
  checkClassifier({ ...options, classes: 2 });
  const { parameters, frozen, cubes } = sources(options);
  const positions = positionTable(frozen, cubes.shape[1]!, options.encoder.width);
  const hidden = encode(parameters, cubes, { shape: options.encoder, compute: options.compute, positions });
  const outputs = { features: mean(hidden.at(-1)!, [1]) };
  return forwardProgram({ name: "pooled_features", parameters, frozen, data: [cubes], outputs });
}

function sources({ grid, cube, batch }: Omit<ClassifierOptions, "classes">, clips: ClipForm = "cubes") {
  return {
    parameters: new Parameters({ matrices: fineTuning }),
    frozen: new Parameters({ role: "frozen" }),
    ...clipInput(clips, grid, cube, batch),
  };
}

/** `mix * clip + (1 - mix) * partner`, the partner being the clip at the same place from the end. f32 levels. */
function mixedWithReverse(cubes: Tensor, mix: Tensor): Tensor {
  const [batch] = cubes.shape as [number];
  const rows = reshape(convert(cubes, "f32"), [1, batch, cubes.size / batch]);
  const reverse = gatherRows(rows, subtract(batch - 1, iota([1, batch], 1)));
  const share = reshape(mix, [1, batch, 1]);
  return reshape(add(multiply(rows, share), multiply(reverse, subtract(1, share))), cubes.shape);
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
 * Layer-wise decay of the learning rate: `factor^(depth + 1 - id)`, id 0 for the patch embedding, k + 1 for block k, depth +
 * 1 for `fc_norm` and `head`.
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
    const id = block !== undefined ? Number(block) + 1 : name.startsWith("patch_embed.") ? 0 : depth + 1;
    return factor ** (depth + 1 - id);
  };
}

function checkClassifier({ encoder, classes, batch }: ClassifierOptions): void {
  checkTransformer("encoder", encoder);
  for (const [name, size, least] of [["classes", classes, 2], ["clips in a batch", batch, 1]] as const) {
    if (!Number.isSafeInteger(size) || size < least) {
      throw new RangeError(`A classifier needs a whole number of at least ${least} ${name}, found ${size}`);
    }
  }
}
