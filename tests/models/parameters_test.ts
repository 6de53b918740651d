/** Declared parameters: counts of the published networks, first values, what decays, what a device stores. */
import { assert, assertAlmostEquals, assertEquals, assertGreater, assertLess } from "@std/assert";
import { amdStep } from "../../models/amd.ts";
import { branchScales, classifierForward, classifierStep, layerDecayScale } from "../../models/classifier.ts";
import { decays, hostParameter, initialParameters, type ParameterSpec } from "../../models/parameters.ts";
import { teacherForward } from "../../models/teacher.ts";
import { input, sizeOf } from "../../models/tensor/mod.ts";
import { maskCounts } from "../../models/tube_masks.ts";
import { videoMaeStep } from "../../models/videomae.ts";
import { referenceEngine } from "./_engines.ts";
import { run } from "./tensor/_run.ts";

const GRID = { slots: 8, rows: 14, columns: 14 };
const CUBE = { tubelet: 2, patch: 16 };
const SMALL = { width: 384, depth: 12, heads: 6 };
const LARGE = { width: 1024, depth: 24, heads: 16 };

const total = (specs: readonly ParameterSpec[]) => specs.reduce((sum, { shape }) => sum + sizeOf(shape), 0);

/** Numbers in [0, 1) that differ from name to name. */
function uniforms(count: number, name: string): Float64Array {
  let state = [...name].reduce((hash, letter) => Math.imul(hash, 31) + letter.charCodeAt(0) | 0, 5);
  return Float64Array.from({ length: count }, () => {
    state = Math.imul(state, 1664525) + 1013904223 | 0;
    return ((state ^ state >>> 15) >>> 0) / 2 ** 32;
  });
}

function realStep() {
  const counts = maskCounts(196, 0.9, 0.75);
  return amdStep({
    shape: { grid: GRID, cube: CUBE, encoder: SMALL, decoder: { width: 192, depth: 4, heads: 3 } },
    teacherWidth: LARGE.width,
    studentLayers: [6, 12],
    generatorDepth: 2,
    generatorTokens: "trained",
    normalizeTargets: false,
    weights: { pixel: 1, direct: 1, generation: 1 },
    batch: 1,
    visible: counts.studentVisible * 8,
    teacherVisible: counts.teacherVisible * 8,
    optimizer: { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.05, clipNorm: 0.02 },
    compute: "bf16",
  });
}

Deno.test("the published networks have their published numbers of parameters", () => {
  // Official count of ViT-S from ViT-L, less the generators' unused norms, plus their mask tokens.
  assertEquals(total(realStep().parameters), 75_200_704 - 2 * 2 * 1024 + 2 * 1024);
  const classifier = (encoder: typeof SMALL, classes: number) =>
    total(classifierForward({ grid: GRID, cube: CUBE, encoder, classes, batch: 1, compute: "f32" }).parameters);
  assertEquals(classifier(SMALL, 174), 21_946_926);
  assertEquals(classifier({ width: 768, depth: 12, heads: 12 }, 400), 86_534_800);
  const teacher = teacherForward({
    grid: GRID,
    cube: CUBE,
    encoder: LARGE,
    layers: [12, 24],
    batch: 1,
    visible: 392,
    compute: "f32",
  });
  // ViT-L without its final norm.
  assertEquals(total(teacher.parameters), 303_860_736 - 2 * 1024);
});

/** MAE's ViT-B on images of 224 x 224 pixels. */
const IMAGES = {
  form: "mae" as const,
  grid: { slots: 1, rows: 14, columns: 14 },
  cube: { tubelet: 1, patch: 16 },
  encoder: { width: 768, depth: 12, heads: 12 },
};

function imageStep() {
  const shape = { ...IMAGES, decoder: { width: 512, depth: 8, heads: 16 } };
  const optimizer = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.05, clipNorm: null };
  return videoMaeStep({ shape, batch: 1, visible: 49, optimizer, compute: "bf16" });
}

Deno.test("image networks have their published numbers of parameters", () => {
  // Published networks count their position tables, and biases of keys.
  const keys = 12 * 768, table = 197 * 768;
  assertEquals(total(imageStep().parameters) + keys + 8 * 512 + table + 197 * 512, 111_907_840);
  const classifier = classifierForward({ ...IMAGES, pooling: "class", classes: 1000, batch: 1, compute: "f32" });
  assertEquals(total(classifier.parameters) + keys + table, 86_567_656);
});

Deno.test("MAE draws its tokens from a normal distribution, and all matrices alike", () => {
  const wanted = [
    "encoder.cls_token",
    "mask_token",
    "encoder.patch_embed.proj.weight",
    "encoder_to_decoder.weight",
    "encoder_to_decoder.bias",
  ];
  const specs = imageStep().parameters.filter(({ name }) => wanted.includes(name));
  const values = initialParameters(specs, uniforms);
  const deviation = (name: string) => {
    const x = values.get(name)!;
    return Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length);
  };
  for (const name of ["encoder.cls_token", "mask_token"]) assertAlmostEquals(deviation(name) / 0.02, 1, 0.1);
  assertAlmostEquals(deviation("encoder.patch_embed.proj.weight"), Math.sqrt(2 / (768 + 768)), 1e-3);
  assertAlmostEquals(deviation("encoder_to_decoder.weight"), Math.sqrt(2 / (768 + 512)), 1e-3);
  assertEquals(deviation("encoder_to_decoder.bias"), 0);
  assertEquals(specs.filter(({ decay }) => decay).map(({ name }) => name), [
    "encoder.patch_embed.proj.weight",
    "encoder_to_decoder.weight",
  ]);
});

Deno.test("pre-training begins with the official distributions", () => {
  const wanted = [
    "encoder.blocks.0.attn.q.weight",
    "encoder.blocks.0.mlp.fc1.weight",
    "encoder.patch_embed.proj.weight",
    "encoder_to_decoder.weight",
    "encoder.blocks.0.norm1.weight",
    "encoder.blocks.0.attn.q.bias",
    "mask_token",
    "generator_mask_tokens.1",
  ];
  const specs = realStep().parameters.filter(({ name }) => wanted.includes(name));
  const values = initialParameters(specs, uniforms);
  const largest = (name: string) => values.get(name)!.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  const deviation = (name: string) => {
    const x = values.get(name)!;
    return Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length);
  };
  // Xavier: query, key and value are drawn as one matrix of 3 x 384 outputs.
  for (
    const [name, bound] of [
      ["encoder.blocks.0.attn.q.weight", Math.sqrt(6 / (4 * 384))],
      ["encoder.blocks.0.mlp.fc1.weight", Math.sqrt(6 / (5 * 384))],
      ["encoder.patch_embed.proj.weight", 1 / Math.sqrt(1536)],
      ["encoder_to_decoder.weight", 1 / Math.sqrt(384)],
    ] as const
  ) {
    assertLess(largest(name), bound);
    assertGreater(largest(name), 0.99 * bound);
    assertAlmostEquals(deviation(name) / bound, 1 / Math.sqrt(3), 0.01);
  }
  assert(values.get("encoder.blocks.0.norm1.weight")!.every((x) => x === 1));
  assert(values.get("encoder.blocks.0.attn.q.bias")!.every((x) => x === 0));
  for (const name of ["mask_token", "generator_mask_tokens.1"]) {
    assert(largest(name) <= Math.fround(0.02) && largest(name) > 0.018);
    // A normal cut at one deviation has the standard deviation .5396.
    assertAlmostEquals(deviation(name) / 0.02, 0.5396, 0.06);
  }
});

Deno.test("fine-tuning begins with a head that hardly speaks", () => {
  const step = classifierStep({
    grid: GRID,
    cube: CUBE,
    encoder: SMALL,
    classes: 174,
    batch: 1,
    dropPath: 0.1,
    compute: "f32",
    optimizer: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.05, clipNorm: null },
  });
  assertEquals(step.data.map(({ name, shape }) => [name, shape]), [
    ["cubes", [1, 1568, 1536]],
    ["targets", [1, 174]],
    ["drop_keys", [1, 2]],
  ]);
  const specs = step.parameters.filter(({ name }) => ["head.weight", "blocks.3.mlp.fc2.weight"].includes(name));
  const values = initialParameters(specs, uniforms);
  for (const [name, deviation] of [["head.weight", 0.02 * 0.001], ["blocks.3.mlp.fc2.weight", 0.02]] as const) {
    const x = values.get(name)!;
    const found = Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length);
    assertAlmostEquals(found / deviation, 1, 0.02);
    // Untruncated: some of many thousand draws lie beyond three deviations.
    assertGreater(x.reduce((most, v) => Math.max(most, Math.abs(v)), 0), 3 * deviation);
  }
});

Deno.test("extreme uniforms give finite values", () => {
  const spec = { name: "x", shape: [4], dtype: "f32", decay: false } as const;
  const draw = (cut: number) =>
    initialParameters(
      [{ ...spec, init: { kind: "truncated-normal", deviation: 0.02, cut, factor: 1 } }],
      () => [0, 1 - 2 ** -53, 0.5, 2 ** -53],
    ).get("x")!;
  const [low, high, middle] = draw(0.02);
  assertEquals([low, high], [Math.fround(-0.02), Math.fround(0.02)]);
  assertAlmostEquals(middle!, 0, 1e-9);
  assert(draw(2).every((value) => Number.isFinite(value) && Math.abs(value) < 0.2));
});

Deno.test("weight decay leaves vectors, biases and tokens alone", () => {
  assert(decays("blocks.0.attn.q.weight", [4, 4]));
  assert(decays("encoder.projection_heads.0.weight", [4, 4]));
  for (const name of ["norm.weight", "blocks.0.attn.q.bias"]) assert(!decays(name, [4]));
  for (const name of ["mask_token", "generator_mask_tokens.0"]) assert(!decays(name, [1, 1, 4]));
});

Deno.test("a device gets f32 as it is and bf16 rounded to nearest even", () => {
  const spec = { name: "x", shape: [3], init: { kind: "constant", value: 0 }, decay: false } as const;
  const values = Float32Array.of(1, 1 + 2 ** -8, -2.5);
  assertEquals(hostParameter({ ...spec, dtype: "f32" }, values), values);
  assertEquals(hostParameter({ ...spec, dtype: "bf16" }, values), Uint16Array.of(0x3f80, 0x3f80, 0xc020));
});

Deno.test("branch scales drop no first block, keep the mean, and rise linearly", async () => {
  const [batch, depth] = [2000, 3];
  const numbers = [...uniforms(batch * 2, "drop")].map((u) => Math.floor(u * 2 ** 32));
  const keys = { shape: [batch, 2], dtype: "u32", numbers } as const;
  const scalesOf = async (depth: number, dropPath: number) => {
    const scales = branchScales(input("keys", keys.shape, "u32"), depth, dropPath);
    return (await run(referenceEngine(), { scales }, { keys })).get("scales")!;
  };
  const scales = await scalesOf(depth, 0.4);
  for (const [block, rate] of [[0, 0], [1, 0.2], [2, 0.4]] as const) {
    const values = scales.filter((_, i) => Math.floor(i / 2) % depth === block);
    assert(values.every((value) => value === 0 || Math.abs(value - 1 / (1 - rate)) < 1e-12));
    assertAlmostEquals(values.filter((value) => value === 0).length / values.length, rate, 0.03);
  }
  assert((await scalesOf(1, 0.5)).every((scale) => scale === 1));
});

Deno.test("layer decay falls from the head to the patch embedding", () => {
  const scale = layerDecayScale(2, 0.5);
  const names = [
    "patch_embed.proj.bias",
    "blocks.0.norm1.weight",
    "blocks.1.mlp.fc1.bias",
    "fc_norm.weight",
    "head.bias",
  ];
  assertEquals(names.map(scale), [0.125, 0.25, 0.5, 1, 1]);
});
