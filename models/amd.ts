/**
 * Asymmetric masked distillation (AMD, arXiv 2311.03149): a VideoMAE student that sees few tokens learns from a frozen
 * teacher that sees more. At some levels the student's features, projected to the teacher's width, must equal the teacher's
 * where both see (direct alignment), and a small generator must make the teacher's features where only the teacher sees
 * (generation alignment).
 *
 * Numbers follow the official code: all losses are means over layers, tokens and channels; one projection serves both
 * alignments of a level ("serial" alignment); generators have no final norm. On purpose different: the generators' mask
 * tokens are trained, as the paper has them, unless `generatorTokens` is `frozen` (the released code forgets to register
 * them). An alignment of weight 0 is no part of the program.
 */
import { blocks } from "./block.ts";
import { cubeTokens, positionTable, rowsOf } from "./encoder.ts";
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
import { type Metrics, type OptimizerOptions, type TrainStep, trainStep } from "./train_step.ts";
import { checkVideoMae, type VideoMaeBatch, type VideoMaeForward, videoMaeForward } from "./videomae.ts";

/** Channels of one attention head of a generator. */
const GENERATOR_HEAD = 64;
/** Epsilon of the optional normalisation of targets. */
const TARGET_EPSILON = 1e-5;

/** How the two alignments of a level stand to each other. */
export type Arrangement = "serial" | "parallel";

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
  /** Its attention heads. @default one for 64 channels, rounded down, as published */
  generatorHeads?: number | undefined;
  generatorTokens: "trained" | "frozen";
  /** Whether every teacher token is normalised (no scale, no shift) before it is a target. */
  normalizeTargets: boolean;
  /**
   * What generators start from: the projections of the direct alignment, as published, or projections of their own from the
   * student's features, `generators.0.projection.weight`, ... @default "serial"
   */
  arrangement?: Arrangement;
  /** Weights of the losses in the total; 1, 1, 1 as published. An alignment of weight 0 is left out. */
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
  /** For each level: projected student features, `[B, Nv, Dt]`; none without direct alignment, unless it is serial. */
  projected: Tensor[];
  /** For each level: what the generator makes, `[B, Nd, Dt]`; none without generation alignment. */
  generated: Tensor[];
  /** Scalars: `total` is the weighted sum of `pixel`, `direct` and `generation`, of which one of weight 0 is not there. */
  losses: Metrics;
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
  const { shape, studentLayers, weights } = options;
  const student = videoMaeForward(parameters, frozen, shape, compute, batch, remat);
  const levels = studentLayers.map((layer, i) => {
    const seen = convert(cubeTokens(student.hidden[layer]!, shape.form), compute);
    return alignedLevel(parameters, frozen, options, compute, batch, { i, seen, remat });
  });
  const weighted = { pixel: [student.loss], direct: [] as Tensor[], generation: [] as Tensor[] };
  for (const { direct, generation } of levels) {
    if (direct) weighted.direct.push(direct);
    if (generation) weighted.generation.push(generation);
  }
  const names = (["pixel", "direct", "generation"] as const).filter((name) => weighted[name].length > 0);
  const parts = Object.fromEntries(names.map((name) => [name, meanOf(weighted[name])]));
  const total = names.map((name) => multiply(parts[name]!, weights[name])).reduce((sum, part) => add(sum, part));
  return {
    ...student,
    projected: levels.flatMap(({ projected }) => projected ?? []),
    generated: levels.flatMap(({ generated }) => generated ?? []),
    losses: { total, ...parts },
  };
}

/** One level: what is projected and generated, and how far that is from the teacher's features. */
function alignedLevel(
  parameters: Parameters,
  frozen: Parameters,
  options: AmdShape,
  compute: Compute,
  batch: AmdBatch,
  { i, seen, remat }: { i: number; seen: Tensor; remat: boolean },
) {
  const { shape, teacherWidth, normalizeTargets, arrangement = "serial", weights } = options;
  const matrix = (scope: Parameters, name: string) => scope.matrix(name, teacherWidth, shape.encoder.width);
  const project = (weight: Tensor) => linear(seen, weight, null, { output: "f32" });
  const isShared = arrangement === "serial" && weights.generation > 0;
  const projected = weights.direct > 0 || isShared
    ? project(matrix(parameters, `encoder.projection_heads.${i}.weight`))
    : undefined;
  const scope = parameters.scope(`generators.${i}`);
  const generated = weights.generation > 0
    ? generate(parameters, frozen, options, compute, batch, {
      i,
      start: isShared ? projected! : project(matrix(scope, "projection.weight")),
      remat,
    })
    : undefined;
  const feature = convert(batch.features[i]!, "f32");
  const target = normalizeTargets ? normalized(feature) : feature;
  return {
    projected,
    generated,
    ...(weights.direct > 0 && { direct: meanSquaredError(projected!, gatherRows(target, batch.studentRows)) }),
    ...(generated && { generation: meanSquaredError(generated, gatherRows(target, batch.teacherOnlyRows)) }),
  };
}

/** What a generator makes of projected student features where only the teacher sees, `[B, Nd, Dt]`. */
function generate(
  parameters: Parameters,
  frozen: Parameters,
  options: AmdShape,
  compute: Compute,
  { visibleTokens, teacherOnlyTokens }: AmdBatch,
  { i, start, remat }: { i: number; start: Tensor; remat: boolean },
): Tensor {
  const { shape, teacherWidth, generatorDepth, generatorTokens } = options;
  const code = positionTable(frozen, shape.grid, teacherWidth, shape.form).tokens;
  const tokenOwner = generatorTokens === "trained" ? parameters : frozen;
  const token = tokenOwner.get(`generator_mask_tokens.${i}`, [1, 1, teacherWidth], maskToken);
  const known = add(start, rowsOf(code, visibleTokens));
  const unknown = add(broadcast(token, [...teacherOnlyTokens.shape, teacherWidth]), rowsOf(code, teacherOnlyTokens));
  return blocks(parameters.scope(`generators.${i}`), concatenate([known, unknown], 1), {
    depth: generatorDepth,
    heads: headsOf(options),
    compute,
    remat,
    wanted: unknown.shape[1]!,
  }).at(-1)!;
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
 * Metrics: `total`, `pixel`, `direct`, `generation`, `gradNorm`, without an alignment of weight 0 and without its inputs.
 *
 * @throws {RangeError} if sizes do not fit each other
 */
export function amdStep(options: AmdStepOptions): TrainStep {
  checkAmd(options);
  const { shape, teacherWidth, studentLayers, batch, visible, teacherVisible, teacher, compute, weights } = options;
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
      ? teacherFeatures(frozen.scope("teacher"), frozen, teacher, compute, {
        ...shape,
        cubes: seen,
        tokens: rows(source[0]!),
      })
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
    data: [...usedInputs(inputs, weights), ...source],
    metrics,
    optimizer: options.optimizer,
    accumulate: options.accumulate,
  });
}

/** The inputs that alignments of some weight read. */
function usedInputs(inputs: Readonly<Record<string, Tensor>>, { direct, generation }: AmdShape["weights"]): Tensor[] {
  const isUnused: Readonly<Record<string, boolean>> = {
    studentRows: direct === 0,
    teacherOnlyTokens: generation === 0,
    teacherOnlyRows: generation === 0,
  };
  return Object.entries(inputs).flatMap(([name, tensor]) => isUnused[name] ? [] : [tensor]);
}

function checkAmd(options: AmdStepOptions): void {
  const { shape, teacherWidth, studentLayers, generatorDepth, batch, visible, teacherVisible, teacher } = options;
  const { direct, generation } = options.weights;
  if (!(direct >= 0 && generation >= 0 && direct + generation > 0)) {
    throw new RangeError(
      `An alignment needs a weight above 0, found ${direct} and ${generation}: without any the step is VideoMAE's`,
    );
  }
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
  const heads = headsOf(options);
  if (!Number.isSafeInteger(generatorDepth) || generatorDepth < 1 || heads < 1 || teacherWidth % heads !== 0) {
    throw new RangeError(
      `A generator needs at least 1 block and a width that its ${heads} heads divide, ` +
        `found ${generatorDepth} blocks ${teacherWidth} wide`,
    );
  }
}

function headsOf({ teacherWidth, generatorHeads }: AmdShape): number {
  return generatorHeads ?? Math.max(1, Math.floor(teacherWidth / GENERATOR_HEAD));
}

/** Each token to mean 0 and variance 1 over its channels. */
function normalized(features: Tensor): Tensor {
  const width = [features.shape.at(-1)!];
  return layerNorm(features, constant(1, width), constant(0, width), TARGET_EPSILON);
}
