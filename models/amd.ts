/**
 * Asymmetric masked distillation (AMD, arXiv 2311.03149): a VideoMAE student that sees few tokens learns from a frozen
 * teacher that sees more. At some levels the student's features, projected to the teacher's width, must equal the teacher's
 * where both see (direct alignment), and a small generator must make the teacher's features where only the teacher sees
 * (generation alignment).
 *
 * Numbers follow the official code: all losses are means over layers, tokens and channels; one projection serves both
 * alignments of a level; generators have no final norm. On purpose different: the generators' mask tokens are trained, as
 * the paper has them, unless `generatorTokens` is `frozen` (the released code forgets to register them).
 */
import { blocks } from "./block.ts";
import { positionTable, rowsOf } from "./encoder.ts";
import { coded, codedInputs, decoded, type FeatureDtype } from "./feature_codec.ts";
import { maskToken } from "./initializers.ts";
import { linear } from "./linear.ts";
import { meanOf, meanSquaredError } from "./losses.ts";
import { Parameters } from "./parameters.ts";
import { checkLayers, type Compute, cubeValues, tokensOf, type VideoMaeShape } from "./shapes.ts";
import { checkTeacher, teacherFeatures, type TeacherShape } from "./teacher.ts";
import {
  add,
  broadcast,
  concatenate,
  constant,
  convert,
  gatherRows,
  input,
  layerNorm,
  multiply,
  type Tensor,
} from "./tensor/mod.ts";
import { type OptimizerOptions, type TrainStep, trainStep } from "./train_step.ts";
import { checkVideoMae, type VideoMaeBatch, type VideoMaeForward, videoMaeForward } from "./videomae.ts";

/** Channels of one attention head of a generator. */
const GENERATOR_HEAD = 64;
/** Epsilon of the optional normalisation of targets. */
const TARGET_EPSILON = 1e-5;

/** What an AMD network is made of. */
export interface AmdShape {
  /** The student. */
  shape: VideoMaeShape;
  /** Channels of the teacher's features, Dt. */
  teacherWidth: number;
  /** Blocks of the student that are aligned, counted from 1, ascending; one for each feature. */
  studentLayers: readonly number[];
  /** Blocks of a generator. */
  generatorDepth: number;
  generatorTokens: "trained" | "frozen";
  /** Whether every teacher token is normalised (no scale, no shift) before it is a target. */
  normalizeTargets: boolean;
  /** Weights of the losses in the total; 1, 1, 1 as published. */
  weights: { readonly pixel: number; readonly direct: number; readonly generation: number };
}

/** A batch of clips with three classes of tokens, each list ascending. */
export interface AmdBatch extends VideoMaeBatch {
  /** Tokens that the teacher sees and the student does not, i32 `[B, Nd]`. */
  teacherOnlyTokens: Tensor;
  /** Where the student's tokens stand among the teacher's, i32 `[B, Nv]`. */
  studentRows: Tensor;
  /** Where the teacher-only tokens stand among the teacher's, i32 `[B, Nd]`. */
  teacherOnlyRows: Tensor;
  /** The teacher's features for each level, f16 or f32 `[B, Nt, Dt]`, `Nt = Nv + Nd`. */
  features: readonly Tensor[];
}

/** Everything on the way to the loss; f32. */
export interface AmdForward extends VideoMaeForward {
  /** For each level: projected student features, `[B, Nv, Dt]`. */
  projected: Tensor[];
  /** For each level: what the generator makes, `[B, Nd, Dt]`. */
  generated: Tensor[];
  /** Scalars; `total` is their weighted sum. */
  losses: { total: Tensor; pixel: Tensor; direct: Tensor; generation: Tensor };
}

/**
 * Traces student, projections, generators and losses. Tables and frozen mask tokens are declared in `frozen`.
 *
 * @param remat recompute the inside of each block for the gradients
 */
export function amdForward(
  parameters: Parameters,
  frozen: Parameters,
  options: AmdShape,
  compute: Compute,
  batch: AmdBatch,
  remat = false,
): AmdForward {
  const { shape, teacherWidth, studentLayers, generatorDepth, normalizeTargets, weights } = options;
  const student = videoMaeForward(parameters, frozen, shape, compute, batch, remat);
  const code = positionTable(frozen, tokensOf(shape.grid), teacherWidth);
  const heads = Math.max(1, Math.floor(teacherWidth / GENERATOR_HEAD));
  const tokenOwner = options.generatorTokens === "trained" ? parameters : frozen;
  const levels = studentLayers.map((layer, i) => {
    const weight = parameters.matrix(`encoder.projection_heads.${i}.weight`, teacherWidth, shape.encoder.width);
    const projected = linear(convert(student.hidden[layer]!, compute), weight, null, { output: "f32" });
    const token = tokenOwner.get(`generator_mask_tokens.${i}`, [1, 1, teacherWidth], maskToken);
    const known = add(projected, rowsOf(code, batch.visibleTokens));
    const unknown = add(
      broadcast(token, [...batch.teacherOnlyTokens.shape, teacherWidth]),
      rowsOf(code, batch.teacherOnlyTokens),
    );
    const start = concatenate([known, unknown], 1);
    const generated = blocks(parameters.scope(`generators.${i}`), start, {
      depth: generatorDepth,
      heads,
      compute,
      remat,
      wanted: unknown.shape[1]!,
    }).at(-1)!;
    const feature = convert(batch.features[i]!, "f32");
    const target = normalizeTargets ? normalized(feature) : feature;
    return {
      projected,
      generated,
      direct: meanSquaredError(projected, gatherRows(target, batch.studentRows)),
      generation: meanSquaredError(generated, gatherRows(target, batch.teacherOnlyRows)),
    };
  });
  const pixel = student.loss;
  const direct = meanOf(levels.map((level) => level.direct));
  const generation = meanOf(levels.map((level) => level.generation));
  const total = add(
    add(multiply(pixel, weights.pixel), multiply(direct, weights.direct)),
    multiply(generation, weights.generation),
  );
  return {
    ...student,
    projected: levels.map((level) => level.projected),
    generated: levels.map((level) => level.generated),
    losses: { total, pixel, direct, generation },
  };
}

/** What an AMD step is built for. */
export interface AmdStepOptions extends AmdShape {
  /** Clips of a batch, B. */
  batch: number;
  /** Tokens of a clip that the student sees, Nv. */
  visible: number;
  /** Tokens of a clip that the teacher sees, Nt, more than the student. */
  teacherVisible: number;
  /** Runs this teacher inside the step; its layers pair with the student's. @default features are inputs */
  teacher?: TeacherShape;
  /** How cached features are kept; those of a teacher inside the step are coded and decoded alike. @default "f16" */
  featureDtype?: FeatureDtype;
  optimizer: OptimizerOptions;
  /** Micro-batches that a batch is worked through in, see {@linkcode trainStep}. @default 1 */
  accumulate?: number;
  /** Recompute the inside of each block for the gradients. @default false */
  remat?: boolean;
  compute: Compute;
}

/**
 * A step of AMD pre-training. Data: `cubes` u8 `[B, N, P]`, `student_tokens` i32 `[B, Nv]`, `hidden_tokens` i32
 * `[B, N - Nv]`, `teacher_only_tokens` i32 `[B, Nd]`, `student_rows` i32 `[B, Nv]`, `teacher_only_rows` i32 `[B, Nd]`
 * (rows among the teacher's ascending tokens), and `features/0`, ... f16 `[B, Nt, Dt]`, or u8 with `feature_scales/0`, ...
 * f32 `[B, Nt, 2]`.
 *
 * With `teacher`, `teacher_tokens` i32 `[B, Nt]` takes the features' place and the teacher's parameters are inputs
 * `frozen/teacher.NAME`; its features are coded and decoded as cached ones are, so that both ways train alike.
 *
 * Metrics: `total`, `pixel`, `direct`, `generation`, `gradNorm`.
 *
 * @throws {RangeError} if sizes do not fit each other
 */
export function amdStep(options: AmdStepOptions): TrainStep {
  checkAmd(options);
  const { shape, teacherWidth, studentLayers, batch, visible, teacherVisible, teacher, compute } = options;
  const { featureDtype = "f16" } = options;
  const tokens = tokensOf(shape.grid);
  const only = teacherVisible - visible;
  const parameters = new Parameters();
  const frozen = new Parameters({ role: "frozen", matrixType: compute });
  const list = (name: string, length: number) => input(name, [batch, length], "i32");
  const inputs = {
    cubes: input("cubes", [batch, tokens, cubeValues(shape.cube)], "u8"),
    visibleTokens: list("student_tokens", visible),
    hiddenTokens: list("hidden_tokens", tokens - visible),
    teacherOnlyTokens: list("teacher_only_tokens", only),
    studentRows: list("student_rows", visible),
    teacherOnlyRows: list("teacher_only_rows", only),
  };
  const levels = studentLayers.map((_, i) => codedInputs(i, [batch, teacherVisible, teacherWidth], featureDtype));
  const source = teacher ? [list("teacher_tokens", teacherVisible)] : levels.flat();
  const metrics = (rows: (batch: Tensor) => Tensor) => {
    const { cubes, visibleTokens, hiddenTokens, teacherOnlyTokens, studentRows, teacherOnlyRows } = inputs;
    const seen = rows(cubes);
    const features = teacher
      ? teacherFeatures(frozen.scope("teacher"), frozen, teacher, compute, seen, rows(source[0]!))
        .map((feature, i) => decoded(Object.values(coded(i, feature, featureDtype))))
      : levels.map((level) => decoded(level.map(rows)));
    const part = {
      cubes: seen,
      visibleTokens: rows(visibleTokens),
      hiddenTokens: rows(hiddenTokens),
      teacherOnlyTokens: rows(teacherOnlyTokens),
      studentRows: rows(studentRows),
      teacherOnlyRows: rows(teacherOnlyRows),
      features,
    };
    return amdForward(parameters, frozen, options, compute, part, options.remat).losses;
  };
  return trainStep({
    name: "amd_step",
    parameters,
    frozen,
    data: [...Object.values(inputs), ...source],
    metrics,
    optimizer: options.optimizer,
    accumulate: options.accumulate,
  });
}

function checkAmd(options: AmdStepOptions): void {
  const { shape, teacherWidth, studentLayers, generatorDepth, batch, visible, teacherVisible, teacher } = options;
  checkVideoMae(shape, batch, visible);
  checkLayers("student", studentLayers, shape.encoder.depth);
  checkTeacher(
    teacher ?? { shape: { width: teacherWidth, depth: 1, heads: 1 }, layers: [1] },
    teacherVisible,
    tokensOf(shape.grid),
  );
  if (teacherVisible <= visible) {
    throw new RangeError(`The teacher must see more tokens than the student's ${visible}, found ${teacherVisible}`);
  }
  if (teacher && (teacher.shape.width !== teacherWidth || teacher.layers.length !== studentLayers.length)) {
    throw new RangeError(
      `The teacher gives ${teacher.layers.length} features ${teacher.shape.width} wide, ` +
        `but ${studentLayers.length} features ${teacherWidth} wide are aligned`,
    );
  }
  const heads = Math.max(1, Math.floor(teacherWidth / GENERATOR_HEAD));
  if (!Number.isSafeInteger(generatorDepth) || generatorDepth < 1 || teacherWidth % heads !== 0) {
    throw new RangeError(
      `A generator needs at least 1 block and a width that its ${heads} heads divide, ` +
        `found ${generatorDepth} blocks ${teacherWidth} wide`,
    );
  }
}

/** Each token to mean 0 and variance 1 over its channels. */
function normalized(features: Tensor): Tensor {
  const width = [features.shape.at(-1)!];
  return layerNorm(features, constant(1, width), constant(0, width), TARGET_EPSILON);
}
