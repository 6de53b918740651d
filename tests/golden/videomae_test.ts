/** VideoMAE pre-training against the official code, from weights under the official and under the hub's names. */
import { assert, assertEquals } from "@std/assert";
import { hubTensors, loadParameters, officialTensors } from "../../models/checkpoints/official_names.ts";
import { SafetensorsFile } from "../../models/checkpoints/safetensors.ts";
import { initialParameters, Parameters } from "../../models/parameters.ts";
import { cubeValues, tokensOf } from "../../models/shapes.ts";
import { gradients, input, program, type Tensor } from "../../models/tensor/mod.ts";
import { reconstruction, videoMaeForward, videoMaeStep } from "../../models/videomae.ts";
import {
  assertFeature,
  assertGradients,
  assertRelative,
  type ClipConfig,
  cubesOfNormalized,
  goldenCases,
  goldenJson,
  goldenPath,
  goldenTensors,
  gridOf,
  LIMITS,
  OTHER_GOLDEN,
  tokensWhere,
} from "./_golden.ts";
import { engineTest, named, runOnce, train } from "./_run.ts";

interface VideoMaeCase {
  config: ClipConfig & {
    width: number;
    depth: number;
    heads: number;
    decoder: { width: number; depth: number; heads: number };
    visible: number;
  };
  loss_float64: number;
  grad_norm_float64: number;
  files: Record<string, unknown>;
}

const names = await goldenCases<VideoMaeCase>(
  "videomae-",
  ({ config, files }) => config?.decoder !== undefined && files !== undefined,
);

for (const name of names) {
  const golden = await goldenJson<VideoMaeCase>(`${name}.json`);
  const { config } = golden;
  const { width, depth, heads, decoder, visible, batch } = config;
  const shape = { ...gridOf(config), encoder: { width, depth, heads }, decoder };
  const tokens = tokensOf(shape.grid);

  const numbers = async (file: string) => {
    const step = videoMaeStep({ shape, batch, visible, compute: "f32", optimizer });
    await using source = await SafetensorsFile.open(goldenPath(file));
    const loaded = await loadParameters(source, step.parameters);
    const data = await goldenTensors(`${name}-data.safetensors`);
    const mask = data.get("mask")!.data;
    const isHidden = (row: number, token: number) => mask[row * tokens + token] === 1;
    const inputs = new Map<string, ArrayLike<number>>([
      ["cubes", cubesOfNormalized(config, data.get("clip")!)],
      ["visible_tokens", tokensWhere(batch, (row, token) => !isHidden(row, token), tokens)],
      ["hidden_tokens", tokensWhere(batch, isHidden, tokens)],
      ...named("frozen", initialParameters(step.frozen, () => [])),
    ]);
    return { step, loaded, data, inputs, stored: source.tensors };
  };
  const optimizer = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.05, clipNorm: null };

  engineTest(`${name}: loss, features and all gradients are those of the official code`, async (engine) => {
    const { loaded, data, inputs, step } = await numbers(`${name}-official.safetensors`);
    assertEquals(loaded.missing, []);
    const parameters = new Parameters();
    const frozen = new Parameters({ role: "frozen" });
    const batchInputs = {
      cubes: input("cubes", [batch, tokens, cubeValues(shape.cube)], "u8"),
      visibleTokens: input("visible_tokens", [batch, visible], "i32"),
      hiddenTokens: input("hidden_tokens", [batch, tokens - visible], "i32"),
    };
    const forward = videoMaeForward(parameters, frozen, shape, "f32", batchInputs);
    const outputs: Record<string, Tensor> = {
      loss: forward.loss,
      latent: forward.latent,
      logits: forward.prediction,
      target: forward.target,
    };
    forward.hidden.forEach((x, block) => outputs[`hidden.${block}`] = x);
    const found = gradients(forward.loss, parameters.tensors);
    parameters.specs.forEach(({ name }, i) => outputs[`gradient/${name}`] = found[i]!);
    const results = await runOnce(
      engine,
      program("videomae", outputs),
      new Map([...named("parameter", loaded.values), ...inputs]),
    );
    assertRelative(results.get("loss")![0]!, golden.loss_float64, LIMITS.loss, "loss");
    const compared = [...data].filter(([key]) => key !== "clip" && key !== "mask");
    assertEquals(compared.length, depth + 4);
    for (const [key, tensor] of compared) assertFeature(results.get(key), tensor, key);
    const official = officialTensors(
      step.parameters.map(({ name, shape }) => ({
        name,
        shape,
        data: results.get(`gradient/${name}`) as Float32Array,
      })),
      shape.cube,
    );
    const expected = await goldenTensors(`${name}-grads.safetensors`);
    assertEquals(official.map((tensor) => tensor.name).sort(), [...expected.keys()].sort());
    assertGradients(new Map(official.map(({ name, data }) => [name, data as Float32Array])), expected);
  });

  engineTest(`${name}: the step reports the official loss and gradient norm`, async (engine) => {
    const { step, loaded, inputs } = await numbers(`${name}-official.safetensors`);
    const { metrics: [metrics] } = await train(engine, step, loaded.values, inputs, [1e-3], [0.9, 0.95]);
    assertRelative(metrics!.get("total")!, golden.loss_float64, LIMITS.loss, "total");
    assertRelative(metrics!.get("pixel")!, golden.loss_float64, LIMITS.loss, "pixel");
    assertRelative(metrics!.get("gradNorm")!, golden.grad_norm_float64, LIMITS.norm, "gradient norm");
  });

  engineTest(`${name}: the hub's file holds the same network, and reconstructs the same pixels`, async (engine) => {
    const official = await numbers(`${name}-official.safetensors`);
    const hub = await numbers(`${name}-hf.safetensors`);
    assertEquals(hub.loaded.missing, []);
    assertEquals(hub.loaded.values, official.loaded.values);
    const forward = reconstruction({ shape, batch, visible, compute: "f32" });
    const results = await runOnce(
      engine,
      forward.program,
      new Map([...named("parameter", hub.loaded.values), ...hub.inputs]),
    );
    assertFeature(results.get("prediction"), hub.data.get("logits")!, "prediction");
    assertFeature(results.get("target"), hub.data.get("target")!, "target");
  });

  Deno.test(`${name}: parameters are exported under the names and shapes they came from`, async () => {
    for (const [file, exported] of [[`${name}-official`, officialTensors], [`${name}-hf`, hubTensors]] as const) {
      const { step, loaded } = await numbers(`${file}.safetensors`);
      const expected = await goldenTensors(`${file}.safetensors`);
      const tensors = exported(
        step.parameters.map(({ name, shape }) => ({ name, shape, data: loaded.values.get(name)! })),
        shape.cube,
      );
      assertEquals(
        new Map(tensors.map(({ name, shape, data }) => [name, { shape, data }]).sort() as []),
        new Map([...expected].sort()),
      );
    }
  });
}

Deno.test({ name: "a VideoMAE golden case is there", ignore: OTHER_GOLDEN, fn: () => assert(names.length > 0) });
