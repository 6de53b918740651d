/**
 * AMD pre-training against the official code: losses, features, gradients, parameters after AdamW steps.
 *
 * `GOLDEN_REAL=1` adds the cases of real size (75 M parameters, ViT-L teacher; several GB and minutes), on XLA only.
 */
import { assert, assertEquals } from "@std/assert";
import { decays } from "../../models/parameters.ts";
import {
  type AmdCase,
  amdCase,
  type AmdLosses,
  amdNumbers,
  amdTrainStep,
  forwardBackward,
  official,
  traceAmd,
} from "./_amd.ts";
import { assertCheckSums, type CheckSums } from "./_formula.ts";
import {
  assertFeature,
  assertGradients,
  assertRelative,
  assertUpdated,
  goldenCases,
  goldenTensors,
  LIMITS,
  OTHER_GOLDEN,
} from "./_golden.ts";
import { engineTest, named, runOnce, train } from "./_run.ts";

/** A case is real-sized if a teacher of this width or more is part of it. */
const REAL_WIDTH = 768;

type Run = { clip_norm: number | null; losses_float64: AmdLosses[] };

interface StoredCase extends AmdCase {
  variants: {
    "frozen-tokens": Record<string, Run | string>;
    "zero-tokens": Run;
    "trained-tokens": Run;
  };
}

interface FormulaCase extends AmdCase {
  losses_float64: AmdLosses | AmdLosses[];
  clip_norm?: number | null;
  features_float64: Record<string, CheckSums>;
  grads_before_clip_float64?: Record<string, CheckSums>;
  grads_float64?: Record<string, CheckSums>;
  params_after3_float64?: Record<string, CheckSums>;
}

function assertLosses(metrics: readonly Map<string, number>[], expected: readonly AmdLosses[], name: string): void {
  expected.forEach((losses, i) => {
    const step = `${name}, step ${i + 1}`;
    assertRelative(metrics[i]!.get("total")!, losses.loss_total, LIMITS.loss, `${step}: total`);
    assertRelative(metrics[i]!.get("pixel")!, losses.loss_pixel, LIMITS.loss, `${step}: pixel`);
    assertRelative(metrics[i]!.get("direct")!, losses.loss_direct, LIMITS.loss, `${step}: direct`);
    assertRelative(metrics[i]!.get("generation")!, losses.loss_generation, LIMITS.loss, `${step}: generation`);
    assertRelative(metrics[i]!.get("gradNorm")!, losses.grad_norm_before_clip, LIMITS.norm, `${step}: gradient norm`);
  });
}

const stored = await goldenCases<AmdCase>("amd-", ({ formula, files }) => formula === undefined && files !== undefined);
const formula = await goldenCases<AmdCase>("amd-", ({ formula }) => formula !== undefined);

for (const name of stored) {
  const golden = await amdCase(name) as StoredCase;
  const parts = Object.keys(golden.files!);

  engineTest(`${name}: features and all gradients are those of the official code`, async (engine) => {
    const traced = traceAmd(golden, "trained");
    const { parameters, inputs } = await amdNumbers(name, golden, traced);
    const outputs = await runOnce(
      engine,
      forwardBackward(golden, traced),
      new Map([...named("parameter", parameters), ...inputs]),
    );
    const data = await goldenTensors(`${name}-data.safetensors`);
    const compared = [...data].filter(([key]) => /^(?:student|teacher)\.|^pixel_|^projected|^generated/.test(key));
    assert(compared.length >= 4 + 3 * golden.config.student_layers.length);
    for (const [key, tensor] of compared) assertFeature(outputs.get(key), tensor, key);
    const gradients = new Map(
      traced.parameters.specs.map(({ name }) => [name, outputs.get(`gradient/${name}`) as Float32Array]),
    );
    const expected = await goldenTensors(`${name}-grads.safetensors`);
    const found = official(golden, traced.parameters.specs, gradients);
    assertEquals([...found.keys()].sort(), [...expected.keys()].sort());
    assertGradients(found, expected);
  });

  for (const [clip, run] of Object.entries(golden.variants["frozen-tokens"])) {
    if (typeof run === "string") continue;
    engineTest(`${name}: losses and parameters after AdamW steps agree (frozen tokens, ${clip})`, async (engine) => {
      const { traced, step } = amdTrainStep(name, golden, "frozen", run.clip_norm);
      const { parameters, inputs } = await amdNumbers(name, golden, traced);
      const rates = golden.optimizer!.lr_per_step;
      const trained = await train(engine, step, parameters, inputs, rates, golden.optimizer!.betas);
      assertLosses(trained.metrics, run.losses_float64, clip);
      let compared = 0;
      for (const [i, values] of trained.parameters.entries()) {
        const file = `${name}-${clip}-after${i + 1}.safetensors`;
        if (!parts.includes(file)) continue;
        const expected = await goldenTensors(file);
        for (const unused of golden.unused_parameters) expected.delete(unused);
        assertUpdated(official(golden, step.parameters, values), expected, i + 1, Math.max(...rates.slice(0, i + 1)));
        compared++;
      }
      assert(compared >= 2);
    });
  }

  engineTest(`${name}: mask tokens of zero give the official losses`, async (engine) => {
    const run = golden.variants["zero-tokens"];
    const { traced, step } = amdTrainStep(name, golden, "frozen", run.clip_norm);
    const { parameters, inputs } = await amdNumbers(name, golden, traced, 0);
    const rates = golden.optimizer!.lr_per_step.slice(0, run.losses_float64.length);
    const { metrics } = await train(engine, step, parameters, inputs, rates, golden.optimizer!.betas);
    assertLosses(metrics, run.losses_float64, "zero tokens");
  });

  engineTest(`${name}: trained mask tokens move as parameters without decay`, async (engine) => {
    const run = golden.variants["trained-tokens"];
    const { traced, step } = amdTrainStep(name, golden, "trained", run.clip_norm);
    const { parameters, inputs } = await amdNumbers(name, golden, traced);
    const rates = golden.optimizer!.lr_per_step;
    const trained = await train(engine, step, parameters, inputs, rates, golden.optimizer!.betas);
    assertLosses(trained.metrics, run.losses_float64, "trained tokens");
    const data = await goldenTensors(`${name}-data.safetensors`);
    const after = [...data].filter(([key]) => key.startsWith("trained."));
    assert(after.length > 0);
    for (const [key, tensor] of after) {
      const [, token, steps] = /^trained\.(.*)\.after(\d+)$/.exec(key)!;
      const values = trained.parameters[Number(steps) - 1]!.get(token!)!;
      assertUpdated(new Map([[key, values]]), new Map([[key, tensor]]), Number(steps), Math.max(...rates));
    }
  });

  Deno.test(`${name}: weight decay applies to the official parameters`, () => {
    const { specs } = traceAmd(golden, "trained").parameters;
    const expected = golden.optimizer!.decay;
    const shapes = official(
      golden,
      specs,
      new Map(specs.map(({ name, shape }) => [name, new Float32Array(shape.reduce((a, b) => a * b, 1))])),
    );
    const unused = new Set(golden.unused_parameters);
    for (const key of Object.keys(expected)) assert(shapes.has(key) || unused.has(key), `${key} is not declared`);
    for (const { name, decay } of specs) {
      const key = name.replace(/attn\.[qkv]\.weight$/, "attn.qkv.weight").replace(
        /attn\.([qv])\.bias$/,
        "attn.$1_bias",
      );
      assertEquals(decay, expected[key] ?? false, name);
      assertEquals(decay, decays(name, name.endsWith("bias") ? [1] : specs.find((s) => s.name === name)!.shape));
    }
  });
}

for (const name of formula) {
  const golden = await amdCase(name) as FormulaCase;
  const isReal = golden.config.teacher.width >= REAL_WIDTH;
  const ignore = isReal && Deno.env.get("GOLDEN_REAL") !== "1";
  const note = ignore ? " (skipped: it needs several GB and minutes; set GOLDEN_REAL=1)" : "";
  const normLimit = isReal ? 1e-4 : LIMITS.norm;

  engineTest(
    { name: `${name}: features and gradients are those of the official code${note}`, ignore },
    async (engine) => {
      if (isReal && engine.name !== "xla") {
        return console.log(`(${name} is skipped: it needs XLA, set TUBELET_PJRT_PLUGIN)`);
      }
      const traced = traceAmd(golden, "trained");
      const { parameters, inputs } = await amdNumbers(name, golden, traced);
      const outputs = await runOnce(
        engine,
        forwardBackward(golden, traced),
        new Map([...named("parameter", parameters), ...inputs]),
      );
      const [losses] = [golden.losses_float64].flat() as [AmdLosses];
      assertRelative(outputs.get("total")![0]!, losses.loss_total, LIMITS.loss, "total");
      for (const [key, sums] of Object.entries(golden.features_float64)) {
        assertCheckSums(outputs.get(key), sums, LIMITS.feature, key);
      }
      const gradients = new Map(
        traced.parameters.specs.map(({ name }) => [name, outputs.get(`gradient/${name}`) as Float32Array]),
      );
      const found = official(golden, traced.parameters.specs, gradients);
      const expected = golden.grads_before_clip_float64 ?? golden.grads_float64!;
      for (const [key, sums] of Object.entries(expected)) assertCheckSums(found.get(key), sums, LIMITS.gradient, key);
      // The official code does not register the generators' tokens: they are no part of its norm.
      const registered = [...found].filter(([key]) => !key.startsWith("generator_mask_tokens."));
      const norm = Math.sqrt(registered.reduce((sum, [, g]) => sum + g.reduce((s, x) => s + x * x, 0), 0));
      assertRelative(norm, losses.grad_norm_before_clip, normLimit, "gradient norm");
    },
  );

  if (golden.params_after3_float64 === undefined) continue;
  engineTest(`${name}: three AdamW steps agree`, async (engine) => {
    const { traced, step } = amdTrainStep(name, golden, "frozen", golden.clip_norm ?? null);
    const { parameters, inputs } = await amdNumbers(name, golden, traced);
    const { betas, lr_per_step: rates } = golden.optimizer!;
    const trained = await train(engine, step, parameters, inputs, rates, betas);
    assertLosses(trained.metrics, [golden.losses_float64].flat(), name);
    const found = official(golden, step.parameters, trained.parameters.at(-1)!);
    for (const [key, sums] of Object.entries(golden.params_after3_float64!)) {
      if (!golden.unused_parameters.includes(key)) assertCheckSums(found.get(key), sums, LIMITS.feature, key);
    }
  });
}

Deno.test({
  name: "an AMD golden case is there",
  ignore: OTHER_GOLDEN,
  fn: () => assert(stored.length + formula.length > 0),
});
