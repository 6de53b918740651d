/** Fine-tuning against the official code: logits, losses, gradients, layer-wise rates, AdamW steps on a mixed batch. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { loadParameters, officialTensors } from "../../models/checkpoints/official_names.ts";
import { SafetensorsFile } from "../../models/checkpoints/safetensors.ts";
import { classifierForward, classifierLogits, classifierStep, layerDecayScale } from "../../models/classifier.ts";
import { softCrossEntropy } from "../../models/losses.ts";
import { initialParameters, Parameters, type ParameterSpec } from "../../models/parameters.ts";
import { cubeValues, tokensOf } from "../../models/shapes.ts";
import { gradients, input, program, type Tensor } from "../../models/tensor/mod.ts";
import {
  assertFeature,
  assertGradients,
  assertRelative,
  assertUpdated,
  type ClipConfig,
  cubesOfNormalized,
  goldenCases,
  goldenJson,
  goldenPath,
  goldenTensors,
  gridOf,
  LIMITS,
  OTHER_GOLDEN,
} from "./_golden.ts";
import { engineTest, named, runOnce, train } from "./_run.ts";

interface ClassifierCase {
  config: ClipConfig & { width: number; depth: number; heads: number; classes: number; layer_decay: number };
  labels: number[];
  mixup: { lam: number };
  losses_float64: Record<string, number>;
  parameter_groups: { per_parameter: Record<string, { lr_scale: number; weight_decay: number }> };
  optimizer_steps: {
    betas: [number, number];
    eps: number;
    weight_decay: number;
    base_lr_per_step: number[];
    clip_norm: number | null;
    losses_float64: number[];
    file: string;
  };
  files: Record<string, unknown>;
  [key: `layer_scales_${number}_layers`]: Record<string, number[]>;
}

const names = await goldenCases<ClassifierCase>(
  "videomae-",
  ({ config, files }) => config?.classes !== undefined && files !== undefined,
);

for (const name of names) {
  const golden = await goldenJson<ClassifierCase>(`${name}.json`);
  const { config } = golden;
  const { width, depth, heads, classes, batch } = config;
  const shape = { ...gridOf(config), encoder: { width, depth, heads }, classes };
  const tokens = tokensOf(shape.grid);

  const load = async (file: string, specs: readonly ParameterSpec[]) => {
    await using source = await SafetensorsFile.open(goldenPath(file));
    const { values, missing } = await loadParameters(source, specs);
    assertEquals(missing, []);
    return values;
  };
  /** Targets with a share of the label spread over all classes. */
  const smoothed = (smoothing: number) =>
    Float32Array.from(
      { length: batch * classes },
      (_, i) => smoothing / classes + (i % classes === golden.labels[Math.floor(i / classes)] ? 1 - smoothing : 0),
    );
  const official = (specs: readonly ParameterSpec[], values: (name: string) => Float32Array) =>
    new Map(
      officialTensors(specs.map(({ name, shape }) => ({ name, shape, data: values(name) })), shape.cube)
        .map(({ name, data }) => [name, data as Float32Array]),
    );

  engineTest(`${name}: features, logits, losses and gradients are those of the official code`, async (engine) => {
    const parameters = new Parameters();
    const frozen = new Parameters({ role: "frozen" });
    const cubes = input("cubes", [batch, tokens, cubeValues(shape.cube)]);
    const targets = input("targets", [batch, classes]);
    const { hidden, pooled, normed, logits } = classifierLogits(parameters, frozen, shape, "f32", cubes);
    const loss = softCrossEntropy(logits, targets);
    const outputs: Record<string, Tensor> = { pooled_mean: pooled, pooled_normed: normed, logits, loss };
    hidden.forEach((x, block) => outputs[`hidden.${block}`] = x);
    const found = gradients(loss, parameters.tensors);
    parameters.specs.forEach(({ name }, i) => outputs[`gradient/${name}`] = found[i]!);
    const traced = program("classifier", outputs);

    const data = await goldenTensors(`${name}-data.safetensors`);
    const fixed = new Map<string, ArrayLike<number>>([
      ...named("parameter", await load(`${name}-official.safetensors`, parameters.specs)),
      ...named("frozen", initialParameters(frozen.specs, () => [])),
    ]);
    const run = async (clip: string, targets: ArrayLike<number>) =>
      await runOnce(
        engine,
        traced,
        new Map([...fixed, ["cubes", cubesOfNormalized(config, data.get(clip)!)], ["targets", targets]]),
      );
    const losses = golden.losses_float64;
    const plain = await run("clip", smoothed(0.1));
    for (const key of ["pooled_mean", "pooled_normed", "logits", ...hidden.keys().drop(1).map((l) => `hidden.${l}`)]) {
      assertFeature(plain.get(key), data.get(key)!, key);
    }
    assertRelative(plain.get("loss")![0]!, losses["loss_label_smoothing_0.1"]!, LIMITS.loss, "smoothed loss");
    const expected = await goldenTensors(`${name}-grads-smoothing.safetensors`);
    const gradient = official(parameters.specs, (name) => plain.get(`gradient/${name}`) as Float32Array);
    assertEquals([...gradient.keys()].sort(), [...expected.keys()].sort());
    assertGradients(gradient, expected);

    const unsmoothed = await run("clip", smoothed(0));
    assertRelative(unsmoothed.get("loss")![0]!, losses["loss_plain_cross_entropy"]!, LIMITS.loss, "plain loss");
    for (const mix of ["mixup", "cutmix"]) {
      const mixed = await run(`clip_${mix}`, data.get(`targets_${mix}`)!.data);
      assertFeature(mixed.get("logits"), data.get(`logits_${mix}`)!, `logits of ${mix}`);
      assertRelative(mixed.get("loss")![0]!, losses[`loss_${mix}`]!, LIMITS.loss, `loss of ${mix}`);
    }
  });

  engineTest(`${name}: the hub's file gives the official logits`, async (engine) => {
    const forward = classifierForward({ ...shape, batch, compute: "f32" });
    const data = await goldenTensors(`${name}-data.safetensors`);
    const results = await runOnce(
      engine,
      forward.program,
      new Map<string, ArrayLike<number>>([
        ...named("parameter", await load(`${name}-hf.safetensors`, forward.parameters)),
        ...named("frozen", initialParameters(forward.frozen, () => [])),
        ["cubes", cubesOfNormalized(config, data.get("clip")!)],
      ]),
    );
    assertFeature(results.get("logits"), data.get("logits")!, "logits");
  });

  const { betas, eps, weight_decay: weightDecay, base_lr_per_step: rates, clip_norm: clipNorm } =
    golden.optimizer_steps;
  const scale = layerDecayScale(depth, config.layer_decay);
  const step = classifierStep({
    ...shape,
    batch,
    dropPath: 0,
    augmentation: { mixup: true },
    compute: "f32",
    optimizer: { beta1: betas[0], beta2: betas[1], eps, weightDecay, clipNorm, learningRateScale: scale },
  });

  engineTest(`${name}: two AdamW steps with layer decay on a batch mixed in the program agree`, async (engine) => {
    const data = await goldenTensors(`${name}-data.safetensors`);
    const inputs = new Map<string, ArrayLike<number>>([
      ...named("frozen", initialParameters(step.frozen, () => [])),
      ["cubes", cubesOfNormalized(config, data.get("clip")!)],
      ["targets", data.get("targets_mixup")!.data],
      ["mix", new Float32Array(batch).fill(golden.mixup.lam)],
    ]);
    const start = await load(`${name}-official.safetensors`, step.parameters);
    const trained = await train(engine, step, start, inputs, rates, betas);
    golden.optimizer_steps.losses_float64.forEach((loss, i) =>
      assertRelative(trained.metrics[i]!.get("total")!, loss, LIMITS.loss, `loss of step ${i + 1}`)
    );
    const found = official(step.parameters, (name) => trained.parameters.at(-1)!.get(name)!);
    const expected = await goldenTensors(golden.optimizer_steps.file);
    assertEquals([...found.keys()].sort(), [...expected.keys()].sort());
    assertUpdated(found, expected, rates.length, Math.max(...rates));
  });

  Deno.test(`${name}: every parameter has the official learning-rate scale and weight decay`, () => {
    const groups = golden.parameter_groups.per_parameter;
    const seen = new Set<string>();
    for (const { name, decay } of step.parameters) {
      const key = name.replace(/attn\.[qkv]\.weight$/, "attn.qkv.weight").replace(
        /attn\.([qv])\.bias$/,
        "attn.$1_bias",
      );
      seen.add(key);
      assertAlmostEquals(scale(name), groups[key]!.lr_scale, 1e-12, name);
      assertEquals(decay ? weightDecay : 0, groups[key]!.weight_decay, name);
    }
    assertEquals([...seen].sort(), Object.keys(groups).sort());
  });

  Deno.test(`${name}: layer decay of the real depths is the official one`, () => {
    for (const depth of [12, 24]) {
      for (const [factor, scales] of Object.entries(golden[`layer_scales_${depth}_layers`] ?? {})) {
        const scale = layerDecayScale(depth, Number(factor));
        const found = [
          "patch_embed.proj.weight",
          ...Array.from({ length: depth }, (_, i) => `blocks.${i}.x`),
          "head.bias",
        ];
        found.forEach((name, i) => assertAlmostEquals(scale(name), scales[i]!, 1e-12, `${name} of ${depth}`));
        assertEquals(found.length, scales.length);
      }
    }
  });
}

Deno.test({ name: "a classifier golden case is there", ignore: OTHER_GOLDEN, fn: () => assert(names.length > 0) });
