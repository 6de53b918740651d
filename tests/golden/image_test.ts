/**
 * MAE's form of the networks, an image being a clip of one frame: MAE against the official code; AMD on images against a
 * reference of our own on the official networks, since no official code exists. Tokens of MAE stand in the order of its
 * shuffle.
 */
import { assert, assertAlmostEquals, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { amdForward, amdStep } from "../../models/amd.ts";
import { classifierForward, classifierStep, pooledFeatures } from "../../models/classifier.ts";
import { clipEncoder } from "../../models/clip_encoder.ts";
import { initialParameters, Parameters } from "../../models/parameters.ts";
import { gridSinusoid } from "../../models/positions.ts";
import { cubeValues } from "../../models/shapes.ts";
import { teacherFeatures, teacherForward } from "../../models/teacher.ts";
import { concatenate, gatherRows, input, program, type Tensor } from "../../models/tensor/mod.ts";
import { videoMaeForward } from "../../models/videomae.ts";
import { uniforms } from "../../pipeline/random.ts";
import {
  assertFeature,
  assertGradients,
  assertRelative,
  goldenJson,
  goldenTensors,
  goldenTest,
  LIMITS,
} from "./_golden.ts";
import {
  addGradients,
  amdImages,
  frozenInputs,
  goldenGradients,
  imageTest,
  type MaeCase,
  maeImages,
  OPTIMIZER,
  rowsAt,
  sizesOf,
  studentWeights,
  teacherWeights,
} from "./_image.ts";
import { named, runOnce, train } from "./_run.ts";

const BETAS = [0.9, 0.95] as const;
/** Limit of losses whose targets pass through float16. */
const HALF = 1e-3;

imageTest("image-mae: loss, features and all gradients are those of the official code", async (engine) => {
  const { golden, config, shape, batch, patches, data, hidden, inputs, weights } = await maeImages();
  const parameters = new Parameters(), frozen = new Parameters({ role: "frozen" });
  const forward = videoMaeForward(parameters, frozen, shape, "f32", {
    cubes: input("cubes", [batch, patches, cubeValues(shape.cube)], "u8"),
    visibleTokens: input("visible_tokens", [batch, config.kept], "i32"),
    hiddenTokens: input("hidden_tokens", [batch, patches - config.kept], "i32"),
  });
  const { loss, latent, prediction, target } = forward;
  const outputs: Record<string, Tensor> = { loss, latent, prediction, target };
  forward.hidden.forEach((x, block) => outputs[`hidden.${block}`] = x);
  addGradients(outputs, loss, parameters);
  const found = await runOnce(engine, program("mae", outputs), new Map([...named("parameter", weights), ...inputs]));
  assertRelative(found.get("loss")![0]!, golden.loss_float64, LIMITS.loss, "loss");
  assertEquals(forward.hidden.length, config.depth + 1);
  for (const name of ["latent", ...forward.hidden.map((_, block) => `hidden.${block}`)]) {
    assertFeature(found.get(name), data.get(name)!, name);
  }
  assertFeature(found.get("prediction"), rowsAt(data.get("pred")!, hidden), "prediction");
  const wanted = rowsAt(data.get("target")!, hidden);
  assertFeature(found.get("target"), wanted, "target");
  wanted.data.forEach((value, i) => assertAlmostEquals(found.get("target")![i]!, value, 1e-5));
  const expected = await goldenGradients("image-mae-grads.safetensors", parameters.specs);
  const actual = parameters.specs.map(({ name }) => [name, found.get(`gradient/${name}`)!] as const);
  assertGradients(new Map(actual), expected);
});

imageTest("image-mae: the step reports the official loss and gradient norm", async (engine) => {
  const { golden, step, weights, inputs } = await maeImages();
  const { metrics: [metrics] } = await train(engine, step, weights, inputs, [1e-3], BETAS);
  assertRelative(metrics!.get("total")!, golden.loss_float64, LIMITS.loss, "total");
  assertRelative(metrics!.get("gradNorm")!, golden.grad_norm_float64, LIMITS.norm, "gradient norm");
});

goldenTest("biases of keys have no gradient in the official network", ["image-mae-grads.safetensors"], async () => {
  const grads = await goldenTensors("image-mae-grads.safetensors");
  const packed = [...grads].filter(([name]) => name.endsWith("attn.qkv.bias"));
  assert(packed.length > 0);
  for (const [name, { data }] of packed) {
    const width = data.length / 3, largest = (part: ArrayLike<number>) => Math.max(...Array.from(part, Math.abs));
    assert(largest(data.subarray(width, 2 * width)) < 1e-12 * largest(data), name);
  }
});

const POSITION_FILES = ["image-mae.json", "image-mae-pos.safetensors", "image-mae-official.safetensors"];
goldenTest("position tables of images are MAE's", POSITION_FILES, async () => {
  interface Tables {
    pos_tables: Record<string, { rows: number; sum: number; sum_sq: number; weighted_sum: number }>;
  }
  const assertTable = (found: ArrayLike<number>, expected: ArrayLike<number>) => {
    assertEquals(found.length, expected.length);
    for (let i = 0; i < found.length; i++) assertAlmostEquals(found[i]!, expected[i]!, 1e-6);
  };
  const { config } = await goldenJson<MaeCase>("image-mae.json"), { grid: { rows, columns } } = sizesOf(config);
  const official = await goldenTensors("image-mae-official.safetensors");
  assertTable(gridSinusoid(rows, columns, config.width), official.get("pos_embed")!.data);
  assertTable(gridSinusoid(rows, columns, config.decoder.width), official.get("decoder_pos_embed")!.data);

  const { pos_tables } = await goldenJson<Tables>("image-mae.json");
  const stored = await goldenTensors("image-mae-pos.safetensors");
  for (const [name, expected] of Object.entries(pos_tables)) {
    const [, side, width] = /^grid(\d+)_d(\d+)$/.exec(name)!.map(Number) as [number, number, number];
    const table = gridSinusoid(side, side, width);
    let [sum, squares, weighted] = [0, 0, 0];
    table.forEach((value, i) => {
      sum += value;
      squares += value * value;
      weighted += value * (Math.floor(i / width) + 1);
    });
    assertEquals(table.length, expected.rows * width);
    assertAlmostEquals(sum, expected.sum, 1e-6 * squares);
    assertAlmostEquals(squares, expected.sum_sq, 1e-6 * squares);
    assertAlmostEquals(weighted, expected.weighted_sum, 1e-6 * Math.abs(expected.weighted_sum));
    assertTable(table.subarray(0, 3 * width), stored.get(`${name}.rows_0_1_2`)!.data);
    assertTable(table.subarray(-3 * width), stored.get(`${name}.last3`)!.data);
  }
});

imageTest("image-amd: losses, features and all gradients are those of the reference", async (engine) => {
  const { golden, config, shape, batch, patches, data, hidden, inputs } = await amdImages();
  const { keep_student: kept, keep_teacher: seen } = config;
  const parameters = new Parameters(), frozen = new Parameters({ role: "frozen" });
  const list = (name: string, length: number) => input(name, [batch, length], "i32");
  const cubes = input("cubes", [batch, patches, cubeValues(shape.shape.cube)], "u8");
  const teacher = { shape: config.teacher, layers: config.teacher_layers };
  const features = teacherFeatures(frozen.scope("teacher"), frozen, teacher, "f32", {
    ...shape.shape,
    cubes,
    tokens: list("teacher_tokens", seen),
  });
  const studentRows = list("student_rows", kept), teacherOnlyRows = list("teacher_only_rows", seen - kept);
  const forward = amdForward(parameters, frozen, shape, "f32", {
    cubes,
    visibleTokens: list("student_tokens", kept),
    hiddenTokens: list("hidden_tokens", patches - kept),
    teacherOnlyTokens: list("teacher_only_tokens", seen - kept),
    studentRows,
    teacherOnlyRows,
    features,
  });
  const outputs: Record<string, Tensor> = {
    ...forward.losses,
    latent: forward.latent,
    prediction: forward.prediction,
  };
  features.forEach((feature, i) => {
    outputs[`student.aligned.${i}`] = forward.hidden[config.student_layers[i]!]!;
    outputs[`teacher.${i}`] = concatenate([gatherRows(feature, studentRows), gatherRows(feature, teacherOnlyRows)], 1);
    outputs[`projected.${i}`] = forward.projected[i]!;
    outputs[`generated.${i}`] = forward.generated[i]!;
  });
  addGradients(outputs, forward.losses.total, parameters);
  const weights = await studentWeights(parameters.specs);
  const found = await runOnce(
    engine,
    program("amd_images", outputs),
    new Map([...named("parameter", weights), ...await frozenInputs(frozen.specs), ...inputs]),
  );
  for (const [name, loss] of Object.entries(golden.losses_float64)) {
    assertRelative(found.get(name.slice("loss_".length))![0]!, loss, LIMITS.loss, name);
  }
  assertFeature(found.get("latent"), data.get("latent")!, "latent");
  assertFeature(found.get("prediction"), rowsAt(data.get("pred")!, hidden), "prediction");
  for (const i of features.keys()) {
    for (const part of ["student.aligned", "projected", "generated"]) {
      assertFeature(found.get(`${part}.${i}`), data.get(`${part}.${i}`)!, `${part}.${i}`);
    }
    // The reference keeps the class token, which is no target, in front.
    const rows = Array.from({ length: batch * seen }, (_, row) => 1 + row % seen);
    assertFeature(found.get(`teacher.${i}`), rowsAt(data.get(`teacher.aligned.${i}`)!, rows), `teacher.${i}`);
  }
  const expected = await goldenGradients("image-amd-grads.safetensors", parameters.specs);
  const actual = parameters.specs.map(({ name }) => [name, found.get(`gradient/${name}`)!] as const);
  assertGradients(new Map(actual), expected);
});

imageTest("image-amd: cached features and a teacher in the step train alike", async (engine) => {
  const { golden, config, shape, batch, inputs } = await amdImages();
  const { keep_student: visible, keep_teacher: teacherVisible, teacher_layers: layers } = config;
  const common = { ...shape, batch, visible, teacherVisible, optimizer: OPTIMIZER, compute: "f32" as const };
  const online = amdStep({ ...common, teacher: { shape: config.teacher, layers } });
  const cached = amdStep(common);
  const { form, grid, cube } = shape.shape;
  const forward = teacherForward({
    form,
    grid,
    cube,
    encoder: config.teacher,
    layers,
    batch,
    visible: teacherVisible,
    compute: "f32",
  });
  const weights = await teacherWeights(forward.parameters);
  const features = await runOnce(
    engine,
    forward.program,
    new Map([
      ...named("parameter", weights),
      ...named("frozen", initialParameters(forward.frozen, () => [])),
      ...inputs,
    ]),
  );
  const metrics = [];
  for (const step of [online, cached]) {
    const start = await studentWeights(step.parameters);
    const all = new Map([...inputs, ...features, ...await frozenInputs(step.frozen)]);
    metrics.push((await train(engine, step, start, all, [1e-3], BETAS)).metrics[0]!);
  }
  const { losses_float64: losses, grad_norm_float64: gradNorm } = golden;
  for (const found of metrics) {
    assertRelative(found.get("pixel")!, losses.loss_pixel, LIMITS.loss, "pixel");
    assertRelative(found.get("direct")!, losses.loss_direct, HALF, "direct");
    assertRelative(found.get("generation")!, losses.loss_generation, HALF, "generation");
    assertRelative(found.get("gradNorm")!, gradNorm, HALF, "gradient norm");
  }
  // The reference engine rounds to float16 only what it gives out, not the features inside a step.
  for (const [name, value] of metrics[0]!) assertRelative(metrics[1]!.get(name)!, value, HALF / 10, name);
});

imageTest(
  "image-mae: an image is its patches' mean, or its class token, normalised by fc_norm or by norm",
  async (engine) => {
    const { config, shape, batch, patches, inputs, weights } = await maeImages();
    const { width } = config, common = { ...shape, batch, classes: 3, compute: "f32" as const };
    // The encoder's weights serve all; what classifiers have besides is drawn, class scores large enough to compare.
    const encoder = clipEncoder({ ...common, finalNorm: true });
    const run = async (forward: typeof encoder) => {
      const drawn = initialParameters(
        forward.parameters,
        (count, name) => uniforms(count, 1, "weights of a test", name),
      );
      const values = forward.parameters.map(({ name }) =>
        [
          name,
          weights.get(name) ?? weights.get(`encoder.${name}`) ?? drawn.get(name)!.map((x) => 1000 * x),
        ] as const
      );
      const all = new Map([
        ...named("parameter", new Map(values)),
        ...named("frozen", initialParameters(forward.frozen, () => [])),
        ...inputs,
      ]);
      return { values: new Map(values), outputs: await runOnce(engine, forward.program, all) };
    };
    const whole = (await run(encoder)).outputs, last = whole.get("last_hidden_state")!;
    assertEquals(last.length, batch * (1 + patches) * width);
    const pooledMean = (await run(pooledFeatures(common))).outputs.get("features")!;
    assertFeature(
      pooledMean,
      { shape: [batch, width], data: whole.get("features") as Float32Array },
      "mean of the patches",
    );
    const classToken = await run(pooledFeatures({ ...common, pooling: "class" }));
    assertNotEquals([...classToken.outputs.get("features")!], [...pooledMean]);

    const { values, outputs } = await run(classifierForward({ ...common, pooling: "class" }));
    const head = values.get("head.weight")!, bias = values.get("head.bias")!;
    const logits = Float32Array.from({ length: batch * 3 }, (_, i) => {
      const image = Math.floor(i / 3),
        row = i % 3,
        token = last.subarray(image * (1 + patches) * width) as Float32Array;
      return bias[row]! + head.subarray(row * width, (row + 1) * width).reduce((sum, w, k) => sum + w * token[k]!, 0);
    });
    assertFeature(outputs.get("logits"), { shape: [batch, 3], data: logits }, "logits of the class token");

    for (const pooling of ["mean", "class"] as const) {
      const step = classifierStep({ ...common, pooling, dropPath: 0, optimizer: OPTIMIZER });
      const drawn = initialParameters(step.parameters, (count, name) => uniforms(count, 1, "weights of a test", name));
      const start = new Map([
        ...drawn,
        ...step.parameters.flatMap(({ name }) => {
          const known = weights.get(name) ?? weights.get(`encoder.${name}`);
          return known ? [[name, known] as const] : [];
        }),
      ]);
      const all = new Map<string, ArrayLike<number>>([...inputs, ["targets", [1, 0, 0, 0, 1, 0]]]);
      for (const [name, table] of named("frozen", initialParameters(step.frozen, () => []))) all.set(name, table);
      const { metrics, parameters } = await train(engine, step, start, all, [1e-3, 1e-3], BETAS);
      assert(
        metrics[1]!.get("total")! < metrics[0]!.get("total")!,
        `${pooling}: ${[...metrics.map((m) => m.get("total"))]}`,
      );
      for (const [name, before] of start) assertNotEquals(parameters.at(-1)!.get(name)!, before, `${pooling}: ${name}`);
    }
  },
);

Deno.test("a clip with time has no place in MAE's form, and a video's network has no class token", () => {
  const common = { cube: { tubelet: 1, patch: 2 }, encoder: { width: 8, depth: 1, heads: 1 }, batch: 1, classes: 2 };
  const options = { ...common, compute: "f32" as const, grid: { slots: 2, rows: 2, columns: 2 } };
  assertThrows(() => classifierForward({ ...options, form: "mae" }), RangeError, "1 slot of time, found 2");
  assertThrows(() => classifierForward({ ...options, pooling: "class" }), RangeError, "class token");
  assertThrows(() => gridSinusoid(2, 2, 6), RangeError, "found 6");
});
