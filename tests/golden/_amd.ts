/** The AMD golden cases: their sizes, weights (stored or by formula) and batches, and the program under test. */
import { amdForward, type AmdShape } from "../../models/amd.ts";
import { loadParameters, officialTensors } from "../../models/checkpoints/official_names.ts";
import { SafetensorsFile } from "../../models/checkpoints/safetensors.ts";
import { initialParameters, Parameters, type ParameterSpec } from "../../models/parameters.ts";
import { patchEmbed } from "../../models/patch_embed.ts";
import { cubeValues, tokensOf, type TransformerShape } from "../../models/shapes.ts";
import { teacherFeatures } from "../../models/teacher.ts";
import { concatenate, constant, gatherRows, gradients, input, program, type Tensor } from "../../models/tensor/mod.ts";
import { type TrainStep, trainStep } from "../../models/train_step.ts";
import { formulaClip, FormulaWeights } from "./_formula.ts";
import {
  type ClipConfig,
  cubesOf,
  cubesOfNormalized,
  goldenJson,
  goldenPath,
  goldenTensors,
  gridOf,
  tokensWhere,
} from "./_golden.ts";

export interface AmdLosses {
  loss_pixel: number;
  loss_direct: number;
  loss_generation: number;
  loss_total: number;
  grad_norm_before_clip: number;
  lr: number;
}

export interface AmdCase {
  config: ClipConfig & {
    student: TransformerShape;
    decoder: TransformerShape;
    teacher: TransformerShape;
    generator_depth: number;
    generator_heads: number;
    student_layers: number[];
    teacher_layers: number[];
    tokens: { total: number; student_visible: number; diff: number };
    loss_factors: { pixel: number; direct: number; generation: number };
  };
  optimizer?: {
    betas: [number, number];
    eps: number;
    weight_decay: number;
    lr_per_step: number[];
    decay: Record<string, boolean>;
  };
  unused_parameters: string[];
  formula?: { student_seed: number; teacher_seed: number; clip_seed: number; generator_mask_tokens_seed: number };
  masks?: { student?: number[][]; diff?: number[][]; first_slot_class_per_position?: number[][] };
  files?: Record<string, unknown>;
}

/** A traced case: AMD with the teacher inside, its features unrounded. */
export function traceAmd({ config }: AmdCase, generatorTokens: "trained" | "frozen") {
  const { grid, cube } = gridOf(config);
  const { batch } = config;
  const tokens = tokensOf(grid);
  const { student_visible: visible, diff } = config.tokens;
  const parameters = new Parameters();
  const frozen = new Parameters({ role: "frozen" });
  const list = (name: string, length: number) => input(name, [batch, length], "i32");
  const lists = {
    visibleTokens: list("student_tokens", visible),
    hiddenTokens: list("hidden_tokens", tokens - visible),
    teacherOnlyTokens: list("teacher_only_tokens", diff),
    studentRows: list("student_rows", visible),
    teacherOnlyRows: list("teacher_only_rows", diff),
  };
  const teacherTokens = list("teacher_tokens", visible + diff);
  const cubes = input("cubes", [batch, tokens, cubeValues(cube)], "u8");
  const layers = Array.from({ length: config.teacher_layers.at(-1)! }, (_, i) => i + 1);
  const teacher = { shape: config.teacher, layers };
  const teacherBlocks = teacherFeatures(frozen.scope("teacher"), frozen, teacher, "f32", {
    grid,
    cubes,
    tokens: teacherTokens,
  });
  const features = config.teacher_layers.map((layer) => teacherBlocks[layer - 1]!);
  const shape: AmdShape = {
    shape: { grid, cube, encoder: config.student, decoder: config.decoder },
    teacherWidth: config.teacher.width,
    studentLayers: config.student_layers,
    generatorDepth: config.generator_depth,
    generatorTokens,
    normalizeTargets: false,
    weights: config.loss_factors,
  };
  const forward = amdForward(parameters, frozen, shape, "f32", { cubes, ...lists, features });
  return {
    parameters,
    frozen,
    forward,
    features,
    teacherBlocks,
    lists,
    data: [cubes, ...Object.values(lists), teacherTokens],
  };
}

type Traced = ReturnType<typeof traceAmd>;

/** The named intermediates of GOLDEN.md; a teacher's rows as stored: first those the student sees. */
export function amdIntermediates(
  { config }: AmdCase,
  { parameters, forward, features, teacherBlocks, lists, data }: Traced,
): Record<string, Tensor> {
  const named: Record<string, Tensor> = {
    "student.latent": forward.latent,
    pixel_prediction: forward.prediction,
    pixel_target: forward.target,
  };
  const zeros = constant(0, [config.batch, config.tokens.total, config.student.width]);
  named["student.patch_embed"] = patchEmbed(parameters.scope("encoder.patch_embed"), data[0]!, zeros, "f32");
  forward.hidden.forEach((x, block) => block > 0 && (named[`student.block${block}`] = x));
  const parts = (feature: Tensor) =>
    [gatherRows(feature, lists.studentRows), gatherRows(feature, lists.teacherOnlyRows)] as const;
  teacherBlocks.forEach((feature, i) => named[`teacher.block${i + 1}`] = concatenate(parts(feature), 1));
  features.forEach((feature, i) => {
    [named[`teacher_target_direct.${i}`], named[`teacher_target_gen.${i}`]] = parts(feature);
    named[`projected.${i}`] = forward.projected[i]!;
    named[`generated.${i}`] = forward.generated[i]!;
  });
  return named;
}

/** A program whose outputs are the losses, the intermediates and `gradient/NAME` of every parameter. */
export function forwardBackward(golden: AmdCase, traced: Traced) {
  const { parameters, frozen, forward, data } = traced;
  const found = gradients(forward.losses.total, parameters.tensors);
  const outputs: Record<string, Tensor> = { ...forward.losses, ...amdIntermediates(golden, traced) };
  parameters.specs.forEach(({ name }, i) => outputs[`gradient/${name}`] = found[i]!);
  return program("amd", outputs, { inputs: [...parameters.tensors, ...frozen.tensors, ...data] });
}

const steps = new Map<string, { traced: Traced; step: TrainStep }>();

/** The step of a case; the same object for the same arguments. */
export function amdTrainStep(
  name: string,
  golden: AmdCase,
  generatorTokens: "trained" | "frozen",
  clipNorm: number | null,
): { traced: Traced; step: TrainStep } {
  const key = `${name} ${generatorTokens} ${clipNorm}`;
  const known = steps.get(key);
  if (known !== undefined) return known;
  const traced = traceAmd(golden, generatorTokens);
  const { parameters, frozen, forward, data } = traced;
  const { betas: [beta1, beta2], eps, weight_decay: weightDecay } = golden.optimizer!;
  const optimizer = { beta1, beta2, eps, weightDecay, clipNorm };
  const made = {
    traced,
    step: trainStep({ name: "amd", parameters, frozen, data, metrics: () => forward.losses, optimizer }),
  };
  steps.set(key, made);
  return made;
}

/** Weights and batch of a case, by input name without `parameter/`. */
export interface AmdNumbers {
  parameters: Map<string, Float32Array>;
  /** `frozen/NAME` and the batch. */
  inputs: Map<string, ArrayLike<number>>;
}

/**
 * @param tokenFactor factor on the generators' mask tokens: 0 for the variant with zeros
 */
export async function amdNumbers(name: string, golden: AmdCase, traced: Traced, tokenFactor = 1): Promise<AmdNumbers> {
  const { student, teacher, tokens, cubes, masks } = golden.formula
    ? formulaNumbers(golden, traced)
    : await storedNumbers(name, golden.config);
  const specs = traced.parameters.specs.filter((spec) => !spec.name.startsWith("generator_mask_tokens."));
  const loaded = await loadParameters(student, specs);
  const teacherSpecs = teacherSpecsOf(traced.frozen.specs);
  const loadedTeacher = await loadParameters(teacher, teacherSpecs);
  const missing = [...loaded.missing, ...loadedTeacher.missing];
  if (missing.length > 0) throw new Error(`The golden case ${name} lacks ${missing.join(", ")}`);
  const parameters = new Map<string, Float32Array>(loaded.values);
  const inputs = new Map<string, ArrayLike<number>>([["cubes", cubes], ...masks]);
  for (const [key, values] of loadedTeacher.values) inputs.set(`frozen/teacher.${key}`, values);
  for (
    const [key, values] of initialParameters(traced.frozen.specs.filter((s) => s.init.kind === "sinusoid"), () => [])
  ) {
    inputs.set(`frozen/${key}`, values);
  }
  for (const [key, values] of tokens) {
    const scaled = values.map((value) => value * tokenFactor);
    parameters.set(key, scaled);
    inputs.set(`frozen/${key}`, scaled);
  }
  return { parameters, inputs };
}

function teacherSpecsOf(specs: readonly ParameterSpec[]): ParameterSpec[] {
  return specs.filter(({ name }) => name.startsWith("teacher."))
    .map((spec) => ({ ...spec, name: spec.name.slice("teacher.".length) }));
}

async function storedNumbers(name: string, config: AmdCase["config"]) {
  const data = await goldenTensors(`${name}-data.safetensors`);
  const tokens = config.tokens.total;
  const mask = (key: string) => (row: number, token: number) => data.get(key)!.data[row * tokens + token] === 1;
  return {
    student: await wholeFile(`${name}-student.safetensors`),
    teacher: await wholeFile(`${name}-teacher.safetensors`),
    tokens: new Map(
      [...data].filter(([key]) => key.startsWith("generator_mask_tokens.")).map(([key, { data }]) =>
        [key, data as Float32Array] as const
      ),
    ),
    cubes: cubesOfNormalized(config, data.get("clip")!),
    masks: maskInputs(config, mask("mask_student"), mask("mask_diff")),
  };
}

/** A file read whole, so that nothing stays open. */
async function wholeFile(name: string) {
  await using file = await SafetensorsFile.open(goldenPath(name));
  const values = new Map<string, Float32Array<ArrayBuffer>>();
  for (const key of file.tensors.keys()) values.set(key, await file.readFloats(key));
  return { path: name, tensors: file.tensors, readFloats: (key: string) => Promise.resolve(values.get(key)!) };
}

function formulaNumbers({ config, formula, masks }: AmdCase, { parameters, frozen }: Traced) {
  const { cube } = gridOf(config);
  const seeds = formula!;
  const tokens = new FormulaWeights(parameters.specs, seeds.generator_mask_tokens_seed, cube);
  const { frames, img: [height, width] } = config;
  const clip = formulaClip(seeds.clip_seed, config.batch * frames * height * width * 3);
  const positions = config.tokens.total / (frames / config.tubelet);
  const classes = masks!.first_slot_class_per_position;
  const student = (row: number, token: number) =>
    classes ? classes[row]![token % positions]! >= 1 : masks!.student![row]![token] === 1;
  const diff = (row: number, token: number) =>
    classes ? classes[row]![token % positions] === 1 : masks!.diff![row]![token] === 1;
  return {
    student: new FormulaWeights(parameters.specs, seeds.student_seed, cube),
    teacher: new FormulaWeights(teacherSpecsOf(frozen.specs), seeds.teacher_seed, cube),
    tokens: new Map(
      config.student_layers.map((_, i) => {
        const name = `generator_mask_tokens.${i}`;
        return [name, tokens.values(name, [1, 1, config.teacher.width])] as const;
      }),
    ),
    cubes: cubesOf(config, (b, t, y, x, c) => clip[(((b * frames + t) * height + y) * width + x) * 3 + c]!),
    masks: maskInputs(config, student, diff),
  };
}

function maskInputs(
  { batch, tokens: { total } }: AmdCase["config"],
  isHidden: (row: number, token: number) => boolean,
  isTeacherOnly: (row: number, token: number) => boolean,
): [string, Int32Array][] {
  const isTeachers = (row: number, token: number) => !isHidden(row, token) || isTeacherOnly(row, token);
  const ranks = Array.from({ length: batch }, (_, row) => {
    let rank = 0;
    return Array.from({ length: total }, (_, token) => isTeachers(row, token) ? rank++ : -1);
  });
  const rows = (wanted: (row: number, token: number) => boolean) =>
    Int32Array.from(ranks.flatMap((rank, row) => rank.filter((_, token) => wanted(row, token))));
  const isSeen = (row: number, token: number) => !isHidden(row, token);
  return [
    ["student_tokens", tokensWhere(batch, isSeen, total)],
    ["hidden_tokens", tokensWhere(batch, isHidden, total)],
    ["teacher_only_tokens", tokensWhere(batch, isTeacherOnly, total)],
    ["teacher_tokens", tokensWhere(batch, isTeachers, total)],
    ["student_rows", rows(isSeen)],
    ["teacher_only_rows", rows(isTeacherOnly)],
  ];
}

/** Values by our names as tensors by official names. */
export function official(
  { config }: AmdCase,
  specs: readonly ParameterSpec[],
  values: ReadonlyMap<string, Float32Array>,
): Map<string, Float32Array> {
  const tensors = officialTensors(
    specs.map(({ name, shape }) => ({ name, shape, data: values.get(name)! })),
    gridOf(config).cube,
  );
  return new Map(tensors.map(({ name, data }) => [name, data as Float32Array]));
}

/** All AMD cases whose files are there. */
export async function amdCase(name: string): Promise<AmdCase> {
  return await goldenJson<AmdCase>(`${name}.json`);
}
