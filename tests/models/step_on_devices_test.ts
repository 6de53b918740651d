/** A whole AMD step on several devices: the losses of one device, and parameters that are bit-identical on all of them. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { amdStep } from "../../models/amd.ts";
import { initialParameters } from "../../models/parameters.ts";
import type { DeviceBuffer, HostArray } from "../../models/runtime/engine.ts";
import type { XlaBuffer, XlaEngine } from "../../models/runtime/xla.ts";
import { sizeOf } from "../../models/tensor/mod.ts";
import { classifierStep } from "../../models/classifier.ts";
import { stableHlo } from "../../models/runtime/stablehlo.ts";
import { videoMaeStep } from "../../models/videomae.ts";
import { maskCounts } from "../../models/tube_masks.ts";
import { uniforms } from "../../pipeline/random.ts";
import { amdInputs, type MaskSizes, teacherInputs, teacherPositions } from "../../pipeline/training/mask_draws.ts";
import { devicesEngine, xlaIsHere } from "./_devices.ts";

const BATCH = 4;
const STEPS = 3;
const counts = maskCounts(16, 0.8, 0.5);
const sizes: MaskSizes = { slots: 2, positions: 16, student: counts.studentVisible, teacher: counts.teacherVisible };
const teacher = { width: 24, depth: 1, heads: 3 };

const alignment = {
  teacherWidth: teacher.width,
  teacher: { shape: teacher, layers: [1] },
  studentLayers: [1],
  generatorDepth: 1,
  generatorTokens: "trained" as const,
  normalizeTargets: false,
  weights: { pixel: 1, direct: 1, generation: 1 },
};

const step = amdStep({
  shape: {
    grid: { slots: 2, rows: 4, columns: 4 },
    cube: { tubelet: 2, patch: 4 },
    encoder: { width: 16, depth: 1, heads: 2 },
    decoder: { width: 8, depth: 1, heads: 2 },
  },
  ...alignment,
  batch: BATCH,
  visible: sizes.slots * sizes.student,
  teacherVisible: sizes.slots * sizes.teacher,
  optimizer: { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.05, clipNorm: 0.02 },
  compute: "f32",
});

/** A batch that every clip has a part of its own in. */
function batchOf(number: number): Map<string, HostArray> {
  const rows = Array.from({ length: BATCH }, (_, i) => ({ row: BATCH * number + i, epoch: 0 }));
  const masks = (row: number) => teacherPositions(sizes, 1, row);
  const cubes = Uint8Array.from(uniforms(BATCH * 32 * 96, 1, "cubes", number), (u) => Math.floor(u * 256));
  return new Map<string, HostArray>([
    ["cubes", cubes],
    ...amdInputs(rows, masks, sizes, 1),
    ...teacherInputs(rows.map(({ row }) => row), masks, sizes),
  ]);
}

/** Metrics of every step, and the parameters after the last as every device has them. */
async function train(engine: XlaEngine) {
  using executable = await engine.compile(step.program);
  const start = (count: number, name: string) => uniforms(count, 1, "start", name);
  const parameters = initialParameters(step.parameters, start);
  const state = new Map<string, DeviceBuffer>();
  for (const { name, shape } of step.parameters) {
    state.set(`parameter/${name}`, engine.upload(parameters.get(name)!, shape, "f32"));
    for (const kind of ["moment1", "moment2"]) {
      state.set(`${kind}/${name}`, engine.upload(new Float32Array(sizeOf(shape)), shape, "f32"));
    }
  }
  const frozen = initialParameters(step.frozen, start);
  for (const { name, shape } of step.frozen) {
    state.set(`frozen/${name}`, engine.upload(frozen.get(name)!, shape, "f32"));
  }
  const metrics: number[][] = [];
  for (let i = 0; i < STEPS; i++) {
    const batch = batchOf(i);
    for (const { name, shape, dtype } of step.data) {
      state.set(name, engine.upload(batch.get(name)!, shape, dtype, "rows"));
    }
    const scalars = {
      learning_rate: 1e-3,
      correction1: 1 / (1 - 0.9 ** (i + 1)),
      correction2: 1 / (1 - 0.95 ** (i + 1)),
    };
    for (const [name, value] of Object.entries(scalars)) {
      state.set(name, engine.upload(Float32Array.of(value), [], "f32"));
    }
    for (const [name, buffer] of await executable.run(state)) state.set(name, buffer);
    metrics.push([...await state.get("metrics")!.read()]);
  }
  const trained = new Map<string, HostArray[]>();
  for (const { name } of step.parameters) {
    const buffer = state.get(`parameter/${name}`) as XlaBuffer;
    trained.set(name, await Promise.all(buffer.addresses.map((_, device) => buffer.readCopy(device))));
  }
  for (const buffer of state.values()) buffer[Symbol.dispose]();
  return { metrics, trained };
}

Deno.test("every operation of every training step has a rule: nothing is gathered", () => {
  const shape = {
    grid: { slots: 2, rows: 4, columns: 4 },
    cube: { tubelet: 2, patch: 4 },
    encoder: { width: 16, depth: 2, heads: 2 },
    decoder: { width: 8, depth: 1, heads: 2 },
  };
  const images = { ...shape, form: "mae" as const, grid: { ...shape.grid, slots: 1 } };
  const optimizer = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.05, clipNorm: 0.02 };
  const common = { ...shape, batch: 8, optimizer, compute: "bf16" as const };
  const steps = [
    step,
    videoMaeStep({ ...common, shape, visible: 8 }),
    classifierStep({ ...common, classes: 5, dropPath: 0.1 }),
    videoMaeStep({ ...common, shape: images, visible: 4 }),
    amdStep({ ...common, ...alignment, shape: images, visible: 3, teacherVisible: 6 }),
    classifierStep({ ...common, ...images, pooling: "class", classes: 5, dropPath: 0.1 }),
  ];
  for (const { program, parameters } of steps) {
    const text = stableHlo(program, { devices: 2 });
    assertEquals(text.match(/all_gather|replica_id/g), null, program.name);
    const reductions = text.match(/stablehlo\.all_reduce/g)!.length;
    // One for each parameter, one for each place of a parameter in several, one for each loss.
    assert(reductions >= parameters.length && reductions < 2 * parameters.length, `${program.name}: ${reductions}`);
  }
});

Deno.test({
  name: "AMD steps on 2 and 4 devices have the losses of one, and leave the same bits on all devices",
  ignore: !xlaIsHere,
  async fn() {
    const expected = await train(await devicesEngine(1));
    for (const devices of [2, 4]) {
      const found = await train(await devicesEngine(devices));
      expected.metrics.forEach((metrics, i) =>
        metrics.forEach((value, k) => {
          // Each loss is a mean of some thousand f32 terms, summed in another order: a few roundings of 6e-8 each.
          assertAlmostEquals(found.metrics[i]![k]! / value, 1, 2e-6, `${step.metrics[k]} of step ${i} on ${devices}`);
        })
      );
      for (const [name, [first, ...others]] of found.trained) {
        assertEquals(others.length, devices - 1);
        for (const other of others) assertEquals(other, first, `${name} differs between devices`);
      }
    }
    assert(expected.metrics.at(-1)![0] !== expected.metrics[0]![0]);
  },
});
