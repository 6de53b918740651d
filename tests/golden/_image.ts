/** The golden cases of images: their sizes, weights and batches. */
import { existsSync } from "node:fs";
import { assertEquals } from "@std/assert";
import type { AmdShape } from "../../models/amd.ts";
import { loadParameters, type TensorSource } from "../../models/checkpoints/official_names.ts";
import { SafetensorsFile } from "../../models/checkpoints/safetensors.ts";
import { initialParameters, type Parameters, type ParameterSpec } from "../../models/parameters.ts";
import type { Engine } from "../../models/runtime/engine.ts";
import type { TransformerShape } from "../../models/shapes.ts";
import { gradients, type Tensor } from "../../models/tensor/mod.ts";
import { videoMaeStep } from "../../models/videomae.ts";
import { referenceEngine } from "../models/_engines.ts";
import { cubesOfNormalized, goldenJson, goldenPath, type GoldenTensor, goldenTensors } from "./_golden.ts";
import { engineTest, named } from "./_run.ts";

export const OPTIMIZER = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.05, clipNorm: null };

/** A test on XLA, TensorFlow.js and the reference engine, if the case is there. */
export function imageTest(name: string, fn: (engine: Engine) => Promise<void>): void {
  const ignore = !existsSync(goldenPath(`${name.split(":")[0]}.json`));
  engineTest({ name, ignore }, fn);
  Deno.test({ name: `${name}, on the reference engine`, ignore, fn: () => fn(referenceEngine()) });
}

/** Sizes that both cases have. */
interface ImageConfig {
  img: number;
  patch: number;
  batch: number;
  patches: number;
}

export function sizesOf({ img, patch, batch, patches }: ImageConfig) {
  const side = img / patch, cube = { tubelet: 1, patch };
  return { form: "mae" as const, grid: { slots: 1, rows: side, columns: side }, cube, batch, patches };
}

/** The case's images as cubes, u8. */
function cubesOf({ img, patch, batch }: ImageConfig, image: GoldenTensor): Float32Array {
  const clips = { ...image, shape: [batch, 3, 1, img, img] };
  return cubesOfNormalized({ img: [img, img], patch, frames: 1, tubelet: 1, batch }, clips);
}

/** A file of the case, read whole, its names as MAE and we have them. */
async function source(path: string): Promise<TensorSource> {
  await using file = await SafetensorsFile.open(goldenPath(path));
  const tensors = new Map<string, { shape: readonly number[]; data: Float32Array<ArrayBuffer> }>();
  for (const [name, { shape }] of file.tensors) {
    const ours = name.replace(/^mae\./, "").replace(/^projection_heads/, "encoder.projection_heads")
      .replace(/^(generators\.\d+)\.(\d+)/, "$1.blocks.$2");
    tensors.set(ours, { shape, data: await file.readFloats(name) });
  }
  return { path, tensors, readFloats: (name) => Promise.resolve(tensors.get(name)!.data) };
}

/** Parameters of a file, or their gradients; all must be there, and nothing else but what has a reason. */
export async function parameterValues(path: string, specs: readonly ParameterSpec[], besides: readonly string[] = []) {
  const { values, missing, unused } = await loadParameters(await source(path), specs);
  assertEquals([missing, unused.sort()], [[], [...besides].sort()], path);
  return values;
}

/** Gradients of a file by our names. */
export async function goldenGradients(
  path: string,
  specs: readonly ParameterSpec[],
): Promise<Map<string, GoldenTensor>> {
  const found = await parameterValues(path, specs);
  return new Map(specs.map(({ name, shape }) => [name, { shape, data: found.get(name)! }]));
}

export function addGradients(outputs: Record<string, Tensor>, total: Tensor, parameters: Parameters): void {
  const found = gradients(total, parameters.tensors);
  parameters.specs.forEach(({ name }, i) => outputs[`gradient/${name}`] = found[i]!);
}

/** `[B, N, D]` at some tokens `[B, K]`. */
export function rowsAt({ shape, data }: GoldenTensor, tokens: ArrayLike<number>): GoldenTensor {
  const [batch, rows, width] = shape as [number, number, number], count = tokens.length / batch;
  const found = new Float32Array(tokens.length * width);
  Array.from(tokens).forEach((token, i) => {
    const from = (Math.floor(i / count) * rows + token) * width;
    found.set(data.subarray(from, from + width), i * width);
  });
  return { shape: [batch, count, width], data: found };
}

export interface MaeCase {
  config: ImageConfig & TransformerShape & { decoder: TransformerShape; kept: number };
  loss_float64: number;
  grad_norm_float64: number;
}

/** MAE's case with its numbers; tokens are seen in the order of the shuffle. */
export async function maeImages() {
  const { config, ...golden } = await goldenJson<MaeCase>("image-mae.json");
  const { width, depth, heads, decoder, kept } = config, sizes = sizesOf(config), { batch, patches } = sizes;
  const shape = { ...sizes, encoder: { width, depth, heads }, decoder };
  const data = await goldenTensors("image-mae-data.safetensors");
  const shuffle = data.get("ids_shuffle")!.data;
  const hidden = Int32Array.from(shuffle.filter((_, i) => i % patches >= kept));
  const inputs = new Map<string, ArrayLike<number>>([
    ["cubes", cubesOf(config, data.get("image")!)],
    ["visible_tokens", shuffle.filter((_, i) => i % patches < kept)],
    ["hidden_tokens", hidden],
  ]);
  const step = videoMaeStep({ shape, batch, visible: kept, compute: "f32", optimizer: OPTIMIZER });
  const tables = ["pos_embed", "decoder_pos_embed"];
  const weights = await parameterValues("image-mae-official.safetensors", step.parameters, tables);
  for (const [name, table] of named("frozen", initialParameters(step.frozen, () => []))) inputs.set(name, table);
  return { golden, config, shape, batch, patches, data, hidden, inputs, step, weights };
}

interface AmdCase {
  config: ImageConfig & {
    student: TransformerShape;
    decoder: TransformerShape;
    teacher: TransformerShape;
    generator: { depth: number; heads: number };
    student_layers: number[];
    teacher_layers: number[];
    keep_student: number;
    keep_teacher: number;
    loss_factors: AmdShape["weights"];
  };
  losses_float64: Record<"loss_pixel" | "loss_direct" | "loss_generation" | "loss_total", number>;
  grad_norm_float64: number;
}

/** AMD's case with its numbers; a teacher's tokens are those of the student and those it sees alone, ascending. */
export async function amdImages() {
  const { config, ...golden } = await goldenJson<AmdCase>("image-amd.json");
  const { form, grid, cube, batch, patches } = sizesOf(config);
  const shape: AmdShape = {
    shape: { form, grid, cube, encoder: config.student, decoder: config.decoder },
    teacherWidth: config.teacher.width,
    studentLayers: config.student_layers,
    generatorDepth: config.generator.depth,
    generatorHeads: config.generator.heads,
    generatorTokens: "trained",
    normalizeTargets: false,
    weights: config.loss_factors,
  };
  const data = await goldenTensors("image-amd-data.safetensors");
  const list = (name: string) => data.get(name)!.data as Int32Array;
  const visible = list("student_visible"), only = list("diff");
  const ofImage = (tokens: Int32Array, image: number) =>
    Array.from(tokens.subarray(image * tokens.length / batch, (image + 1) * tokens.length / batch));
  const teachers = Array.from(
    { length: batch },
    (_, image) => [...ofImage(visible, image), ...ofImage(only, image)].sort((a, b) => a - b),
  );
  // The case's own list are those hidden from both.
  const hidden = Int32Array.from(
    Array.from({ length: batch }, (_, image) => {
      const seen = ofImage(visible, image);
      return Array.from({ length: patches }, (_, token) => token).filter((token) => !seen.includes(token));
    }).flat(),
  );
  const ranks = (tokens: Int32Array) =>
    teachers.flatMap((all, image) => ofImage(tokens, image).map((token) => all.indexOf(token)));
  const inputs = new Map<string, ArrayLike<number>>([
    ["cubes", cubesOf(config, data.get("image")!)],
    ["student_tokens", visible],
    ["hidden_tokens", hidden],
    ["teacher_only_tokens", only],
    ["student_rows", ranks(visible)],
    ["teacher_only_rows", ranks(only)],
    ["teacher_tokens", teachers.flat()],
  ]);
  return { golden, config, shape, batch, patches, data, hidden, inputs };
}

/** Weights of the student by our names. */
export function studentWeights(specs: readonly ParameterSpec[]) {
  return parameterValues("image-amd-student.safetensors", specs, ["pos_embed", "decoder_pos_embed"]);
}

/** Weights of the teacher by our names. */
export function teacherWeights(specs: readonly ParameterSpec[]) {
  return parameterValues("image-amd-teacher.safetensors", specs, ["pos_embed"]);
}

/** Frozen inputs: position tables, and the weights of a teacher where one is inside. */
export async function frozenInputs(specs: readonly ParameterSpec[]): Promise<Map<string, Float32Array>> {
  const isTeachers = ({ name }: ParameterSpec) => name.startsWith("teacher.");
  const bare = specs.filter(isTeachers).map((spec) => ({ ...spec, name: spec.name.slice("teacher.".length) }));
  const found = bare.length > 0 ? await teacherWeights(bare) : new Map<string, Float32Array>();
  const weights = [...found].map(([name, data]) => [`frozen/teacher.${name}`, data] as const);
  const tables = specs.filter((spec) => !isTeachers(spec));
  return new Map([...weights, ...named("frozen", initialParameters(tables, () => []))]);
}
