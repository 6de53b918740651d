/**
 * A whole AMD step on every engine: operations interact as they do in training. The moments show the
 * gradients themselves; parameters are compared after a step with a large epsilon, since Adam's quotient is all but the
 * gradient's sign where gradients are small.
 */
import { assertAlmostEquals, assertEquals } from "@std/assert";
import { amdStep } from "../../../models/amd.ts";
import { floatToHalf } from "../../../models/runtime/_half.ts";
import { type DeviceBuffer, type Engine, type HostArray, hostArray } from "../../../models/runtime/engine.ts";
import { hostParameter, initialParameters } from "../../../models/parameters.ts";
import { sizeOf } from "../../../models/tensor/mod.ts";
import { uniforms } from "../../../pipeline/random.ts";
import { optimizingXlaEngine, referenceEngine, tfjsEngine } from "../_engines.ts";

const STUDENT_TOKENS = [0, 1, 8, 9], TEACHER_TOKENS = [0, 1, 2, 3, 8, 9, 10, 11], BATCH = 2, STEPS = 2;

const step = amdStep({
  shape: {
    grid: { slots: 2, rows: 2, columns: 4 },
    cube: { tubelet: 2, patch: 4 },
    encoder: { width: 32, depth: 2, heads: 2 },
    decoder: { width: 16, depth: 1, heads: 2 },
  },
  teacherWidth: 64,
  studentLayers: [1, 2],
  generatorDepth: 1,
  generatorTokens: "trained",
  normalizeTargets: true,
  weights: { pixel: 1, direct: 1, generation: 1 },
  batch: BATCH,
  visible: STUDENT_TOKENS.length,
  teacherVisible: TEACHER_TOKENS.length,
  optimizer: { beta1: 0.9, beta2: 0.95, eps: 0.01, weightDecay: 0.05, clipNorm: 1 },
  compute: "f32",
});

/** Everything the step takes, on the host. */
function inputs(): Map<string, HostArray> {
  const draw = (count: number, name: string) => uniforms(count, 7, "test", name);
  const all = new Map<string, HostArray>();
  for (const [role, specs] of [["parameter", step.parameters], ["frozen", step.frozen]] as const) {
    for (const [name, values] of initialParameters(specs, draw)) {
      all.set(`${role}/${name}`, hostParameter(specs.find((spec) => spec.name === name)!, values));
    }
  }
  for (const { name, shape } of step.parameters) {
    for (const moment of ["moment1", "moment2"]) all.set(`${moment}/${name}`, new Float32Array(sizeOf(shape)));
  }
  const lists: Record<string, number[]> = {
    student_tokens: STUDENT_TOKENS,
    hidden_tokens: Array.from({ length: 16 }, (_, token) => token).filter((token) => !STUDENT_TOKENS.includes(token)),
    teacher_only_tokens: TEACHER_TOKENS.filter((token) => !STUDENT_TOKENS.includes(token)),
    student_rows: STUDENT_TOKENS.map((token) => TEACHER_TOKENS.indexOf(token)),
    teacher_only_rows: [2, 3, 6, 7],
  };
  for (const { name, shape, dtype } of step.data) {
    const data = hostArray(dtype, sizeOf(shape));
    if (name === "cubes") data.set([...draw(data.length, name)].map((u) => Math.floor(256 * u)));
    else if (dtype === "f16") data.set(floatToHalf(draw(data.length, name)));
    else data.set(Array.from({ length: BATCH }, () => lists[name]!).flat());
    all.set(name, data);
  }
  return all;
}

/** Outputs after some steps on one batch. */
async function train(engine: Engine): Promise<Map<string, HostArray>> {
  using executable = await engine.compile(step.program);
  const host = inputs();
  const device = new Map<string, DeviceBuffer>();
  const results = new Map<string, HostArray>();
  for (let t = 1; t <= STEPS; t++) {
    const scalars = { learning_rate: 1e-2, correction1: 1 / (1 - 0.9 ** t), correction2: 1 / (1 - 0.95 ** t) };
    for (const [name, value] of Object.entries(scalars)) host.set(name, Float32Array.of(value));
    for (const { name, tensor } of step.program.inputs) {
      if (!device.has(name) || name in scalars) {
        device.get(name)?.[Symbol.dispose]();
        device.set(name, engine.upload(host.get(name)!, tensor.shape, tensor.dtype));
      }
    }
    for (const [name, buffer] of await executable.run(device)) {
      if (name === "metrics") results.set(`metrics of step ${t}`, await buffer.read());
      device.set(name, buffer);
    }
  }
  for (const [name, buffer] of device) {
    if (/^(?:parameter|moment)/.test(name)) results.set(name, await buffer.read());
    buffer[Symbol.dispose]();
  }
  return results;
}

async function assertAgrees(engine: Engine): Promise<void> {
  const expected = await train(referenceEngine());
  const found = await train(engine);
  assertEquals([...found.keys()].sort(), [...expected.keys()].sort());
  for (const [name, array] of expected) {
    const values = [...array];
    const scale = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1e-6);
    values.forEach((value, i) => assertAlmostEquals(found.get(name)![i]!, value, 2e-5 * scale, `${name}[${i}]`));
  }
}

Deno.test("two AMD steps on TensorFlow.js equal those of the reference", async () => {
  await assertAgrees(await tfjsEngine());
});

Deno.test("two AMD steps on XLA equal those of the reference", async () => {
  const engine = await optimizingXlaEngine();
  if (engine) await assertAgrees(engine);
});
