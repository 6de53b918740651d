/** A whole AMD step: the same on every engine, the same with cached and with online teacher features, sane in bf16. */
import { assert, assertAlmostEquals, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { amdStep, type AmdStepOptions } from "../../models/amd.ts";
import type { FeatureDtype } from "../../models/feature_codec.ts";
import { initialParameters } from "../../models/parameters.ts";
import type { Engine } from "../../models/runtime/engine.ts";
import { teacherForward } from "../../models/teacher.ts";
import type { TrainStep } from "../../models/train_step.ts";
import { amdMask, maskCounts, splitPositions, tubeTokens } from "../../models/tube_masks.ts";
import { named, runOnce, train } from "../golden/_run.ts";
import { referenceEngine, tfjsEngine, xlaEngine } from "./_engines.ts";

const GRID = { slots: 2, rows: 4, columns: 4 };
const CUBE = { tubelet: 2, patch: 4 };
const POSITIONS = GRID.rows * GRID.columns;
const TEACHER = { width: 24, depth: 3, heads: 3 };
const LAYERS = [1, 2];
const BATCH = 2;
const counts = maskCounts(POSITIONS, 0.8, 0.5);

const OPTIONS: AmdStepOptions = {
  shape: {
    grid: GRID,
    cube: CUBE,
    encoder: { width: 16, depth: 2, heads: 2 },
    decoder: { width: 8, depth: 1, heads: 2 },
  },
  teacherWidth: TEACHER.width,
  studentLayers: [1, 2],
  generatorDepth: 1,
  generatorTokens: "trained",
  normalizeTargets: false,
  weights: { pixel: 1, direct: 1, generation: 1 },
  batch: BATCH,
  visible: counts.studentVisible * GRID.slots,
  teacherVisible: counts.teacherVisible * GRID.slots,
  optimizer: { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.05, clipNorm: 0.02 },
  compute: "f32",
};
const ONLINE = { ...OPTIONS, teacher: { shape: TEACHER, layers: LAYERS } };

/** A stream of numbers in [0, 1) for each name. */
function draws(count: number, name: string): Float64Array {
  let state = [...name].reduce((hash, letter) => Math.imul(hash, 31) + letter.charCodeAt(0) | 0, 11);
  return Float64Array.from({ length: count }, () => {
    state = Math.imul(state, 1664525) + 1013904223 | 0;
    return (state >>> 8) / 2 ** 24;
  });
}

function shuffled(count: number, name: string): Uint32Array {
  const keys = draws(count, name);
  return Uint32Array.from(keys.keys()).sort((a, b) => keys[a]! - keys[b]!);
}

/** Token lists of a batch, and pixels. */
function batch(): Map<string, ArrayLike<number>> {
  const lists = new Map<string, number[]>();
  const append = (name: string, values: Iterable<number>) => lists.set(name, [...lists.get(name) ?? [], ...values]);
  for (let clip = 0; clip < BATCH; clip++) {
    const [positions] = splitPositions(shuffled(POSITIONS, `teacher ${clip}`), counts.teacherVisible);
    const order = shuffled(counts.teacherVisible, `student ${clip}`);
    const mask = amdMask(positions, order, counts.studentVisible, GRID.slots, POSITIONS);
    append("student_tokens", mask.studentTokens);
    append("hidden_tokens", mask.hiddenTokens);
    append("teacher_only_tokens", mask.teacherOnlyTokens);
    append("student_rows", mask.studentRows);
    append("teacher_only_rows", mask.teacherOnlyRows);
    append("teacher_tokens", tubeTokens(positions, GRID.slots, POSITIONS));
  }
  const pixels = Array.from(draws(BATCH * GRID.slots * POSITIONS * 96, "pixels"), (u) => Math.floor(u * 256));
  return new Map<string, ArrayLike<number>>([...lists, ["cubes", pixels]]);
}

/** First values; the teacher's the same whether it runs in the step or before it. */
function firstValues(step: TrainStep) {
  return {
    parameters: initialParameters(step.parameters, draws),
    frozen: named(
      "frozen",
      initialParameters(step.frozen, (count, name) => draws(count, name.replace("teacher.", ""))),
    ),
  };
}

async function cachedFeatures(engine: Engine, featureDtype: FeatureDtype = "f16") {
  const forward = teacherForward({
    grid: GRID,
    cube: CUBE,
    encoder: TEACHER,
    layers: LAYERS,
    batch: BATCH,
    visible: OPTIONS.teacherVisible,
    featureDtype,
    compute: "f32",
  });
  assert(
    forward.parameters.every(({ name }) => !name.startsWith("blocks.2.")),
    "Blocks after the last layer are computed",
  );
  return await runOnce(
    engine,
    forward.program,
    new Map([
      ...named("parameter", initialParameters(forward.parameters, draws)),
      ...named("frozen", initialParameters(forward.frozen, draws)),
      ...batch(),
    ]),
  );
}

const traced = new Map<AmdStepOptions, TrainStep>();

async function run(engine: Engine, options: AmdStepOptions, steps: number) {
  const step = traced.get(options) ?? amdStep(options);
  traced.set(options, step);
  const { parameters, frozen } = firstValues(step);
  const features = options.teacher ? [] : await cachedFeatures(engine, options.featureDtype);
  const rates = Array.from({ length: steps }, () => 1e-3);
  return await train(engine, step, parameters, new Map([...frozen, ...batch(), ...features]), rates, [0.9, 0.95]);
}

Deno.test("a step reports its losses: the total is their weighted sum", async () => {
  const step = amdStep({ ...OPTIONS, weights: { pixel: 1, direct: 2, generation: 0.5 } });
  assertEquals(step.metrics, ["total", "pixel", "direct", "generation", "gradNorm"]);
  const { metrics: [found] } = await run(referenceEngine(), {
    ...OPTIONS,
    weights: { pixel: 1, direct: 2, generation: 0.5 },
  }, 1);
  const [total, pixel, direct, generation] = ["total", "pixel", "direct", "generation"].map((name) =>
    found!.get(name)!
  );
  assertAlmostEquals(total!, pixel! + 2 * direct! + 0.5 * generation!, 1e-5);
  assert(pixel! > 0.5 && direct! > 0 && generation! > 0);
});

Deno.test("an alignment of weight 0 costs nothing: its parts, inputs and loss are not there, the other loss is the same", async () => {
  const of = (direct: number, generation: number, arrangement: "serial" | "parallel" = "serial"): AmdStepOptions => {
    return { ...OPTIONS, weights: { pixel: 1, direct, generation }, arrangement };
  };
  const parts = (options: AmdStepOptions) => {
    const names = amdStep(options).parameters.map(({ name }) => name);
    const count = (pattern: RegExp) => names.filter((name) => pattern.test(name)).length;
    return [count(/projection_heads/), count(/^generators.*norm1\.bias/), count(/^generators.*projection/)];
  };
  assertEquals([of(1, 1), of(1, 0), of(0, 1)].map(parts), [[2, 2, 0], [2, 0, 0], [2, 2, 0]]);
  assertEquals([of(1, 1), of(1, 0), of(0, 1)].map((options) => parts({ ...options, arrangement: "parallel" })), [
    [2, 2, 2],
    [2, 0, 0],
    [0, 2, 2],
  ]);
  const step = amdStep(of(1, 0));
  assertEquals(step.metrics, ["total", "pixel", "direct", "gradNorm"]);
  assert(step.data.every(({ name }) => !name.startsWith("teacher_only")));
  assert(amdStep(of(0, 1)).data.every(({ name }) => name !== "student_rows"));
  const engine = referenceEngine();
  const { metrics: [both] } = await run(engine, of(1, 1), 1);
  for (const [options, name] of [[of(1, 0), "direct"], [of(0, 1), "generation"]] as const) {
    const { metrics: [alone] } = await run(engine, options, 1);
    assertEquals([alone!.get(name), alone!.get("pixel")], [both!.get(name), both!.get("pixel")]);
    assertAlmostEquals(alone!.get("total")!, alone!.get("pixel")! + alone!.get(name)!, 1e-5);
  }
});

Deno.test("a parallel generator starts from its own projection, which alone it learns from", async () => {
  const engine = referenceEngine();
  const { metrics: [serial] } = await run(engine, OPTIONS, 1);
  const { metrics: [parallel] } = await run(engine, { ...OPTIONS, arrangement: "parallel" }, 1);
  assertEquals(parallel!.get("direct"), serial!.get("direct"));
  assertNotEquals(parallel!.get("generation"), serial!.get("generation"));
});

Deno.test("cached and online teacher features train alike", async () => {
  const engine = referenceEngine();
  const [cached, online] = [await run(engine, OPTIONS, 3), await run(engine, ONLINE, 3)];
  // The reference engine keeps float64, so that only the cached features are rounded to f16.
  cached.metrics.forEach((metrics, i) => {
    for (const [name, value] of metrics) assertAlmostEquals(value / online.metrics[i]!.get(name)!, 1, 1e-4, name);
  });
});

for (const [name, open] of [["XLA", xlaEngine], ["TensorFlow.js", tfjsEngine]] as const) {
  Deno.test(`three AMD steps on ${name} are those of the reference, with f16 features cached and online`, async () => {
    const engine = await open();
    if (engine === undefined) return;
    const expected = await run(referenceEngine(), ONLINE, 3);
    for (const options of [OPTIONS, ONLINE]) {
      const found = await run(engine, options, 3);
      expected.metrics.forEach((metrics, i) => {
        for (const [name, value] of metrics) assertAlmostEquals(found.metrics[i]!.get(name)! / value, 1, 1e-4, name);
      });
    }
  });
}

Deno.test("cached equals online on XLA to rounding, as both pass through f16", async () => {
  const engine = await xlaEngine();
  if (engine === undefined) return;
  const [cached, online] = [await run(engine, OPTIONS, 2), await run(engine, ONLINE, 2)];
  cached.metrics.forEach((metrics, i) => {
    for (const [name, value] of metrics) assertAlmostEquals(online.metrics[i]!.get(name)! / value, 1, 2e-6, name);
  });
});

Deno.test("features kept as bytes train alike cached and online, and change losses by less than 1 %", async () => {
  const engine = await tfjsEngine();
  const [exact, cached, online] = [
    await run(engine, OPTIONS, 2),
    await run(engine, { ...OPTIONS, featureDtype: "u8" }, 2),
    await run(engine, { ...ONLINE, featureDtype: "u8" }, 2),
  ];
  cached.metrics.forEach((metrics, i) => {
    for (const [name, value] of metrics) {
      assertAlmostEquals(online.metrics[i]!.get(name)! / value, 1, 2e-5, name);
      assertAlmostEquals(exact.metrics[i]!.get(name)! / value, 1, 1e-2, name);
    }
    assertNotEquals(exact.metrics[i]!.get("direct"), metrics.get("direct"));
  });
});

Deno.test("bf16 products change losses and gradient norm by less than 1 %", async () => {
  const engine = await xlaEngine();
  if (engine === undefined) return;
  const step = amdStep({ ...OPTIONS, compute: "bf16" });
  assert(step.parameters.every(({ dtype }) => dtype === "f32"), "Master weights must stay f32");
  const [exact, rounded] = [await run(engine, OPTIONS, 2), await run(engine, { ...OPTIONS, compute: "bf16" }, 2)];
  exact.metrics.forEach((metrics, i) => {
    for (const [name, value] of metrics) assertAlmostEquals(rounded.metrics[i]!.get(name)! / value, 1, 1e-2, name);
  });
});

Deno.test("a frozen teacher's matrices are bf16 inputs in a bf16 step, its tables stay f32", () => {
  const types = new Map(amdStep({ ...ONLINE, compute: "bf16" }).frozen.map(({ name, dtype }) => [name, dtype]));
  assertEquals(types.get("teacher.blocks.0.attn.q.weight"), "bf16");
  assertEquals(types.get("teacher.blocks.0.attn.q.bias"), "f32");
  assertEquals(types.get("positions.24"), "f32");
});

Deno.test("steps over many batches bring the loss down", async () => {
  const { metrics } = await run(
    referenceEngine(),
    { ...OPTIONS, optimizer: { ...OPTIONS.optimizer, clipNorm: null } },
    12,
  );
  const totals = metrics.map((step) => step.get("total")!);
  assert(totals.at(-1)! < 0.9 * totals[0]!, `${totals[0]} came down to ${totals.at(-1)}`);
});

Deno.test("sizes that do not fit are refused before anything is traced", () => {
  const refused = (changes: Partial<AmdStepOptions>, message: string) =>
    assertThrows(() => amdStep({ ...OPTIONS, ...changes }), RangeError, message);
  refused({ studentLayers: [1, 3] }, "student layers must ascend within 1 to 2");
  refused({ teacherVisible: OPTIONS.visible }, "must see more tokens than the student's 8");
  refused({ teacher: { shape: TEACHER, layers: [1] } }, "gives 1 features 24 wide, but 2 features 24 wide");
  refused({ visible: 32 }, "must lie within 1 to 31");
  refused({ teacherWidth: 250 }, "a width that its 3 heads divide");
  refused({ batch: 0 }, "at least 1 clips, found 0");
  refused({ weights: { pixel: 1, direct: 0, generation: 0 } }, "found 0 and 0: without any the step is VideoMAE's");
  const encoder = { width: 16, depth: 2, heads: 3 };
  refused({ shape: { ...OPTIONS.shape, encoder } }, "encoder is 16 wide, which is not a multiple of its 3 heads");
});
