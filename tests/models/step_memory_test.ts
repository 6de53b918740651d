/** Steps that need less memory for more time, by recomputing blocks or by micro-batches, are the steps they stand for. */
import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import { amdStep } from "../../models/amd.ts";
import { blocks } from "../../models/block.ts";
import { classifierStep } from "../../models/classifier.ts";
import { Parameters } from "../../models/parameters.ts";
import type { Engine, HostArray } from "../../models/runtime/engine.ts";
import { hostArray } from "../../models/runtime/engine.ts";
import type { ReferenceBuffer } from "../../models/runtime/reference.ts";
import { stableHlo } from "../../models/runtime/stablehlo.ts";
import {
  gradients,
  input,
  matmulFlop,
  mean,
  type Program,
  program,
  square,
  type Tensor,
} from "../../models/tensor/mod.ts";
import { type TrainStep, trainStep } from "../../models/train_step.ts";
import { videoMaeStep } from "../../models/videomae.ts";
import { referenceEngine, xlaEngine } from "./_engines.ts";

const BATCH = 4;
const encoder = { width: 16, depth: 2, heads: 2 };
const clips = { grid: { slots: 2, rows: 2, columns: 4 }, cube: { tubelet: 2, patch: 2 } };
const optimizer = { beta1: 0.9, beta2: 0.95, eps: 1e-3, weightDecay: 0.05, clipNorm: 0.5 };
const common = { batch: BATCH, compute: "f32", optimizer } as const;
const shape = { ...clips, encoder, decoder: { width: 8, depth: 1, heads: 2 } };

/** Ways to save memory. */
interface Savings {
  accumulate?: number;
  remat?: boolean;
}

const STEPS: Readonly<Record<string, (savings: Savings) => TrainStep>> = {
  "VideoMAE": (savings) => videoMaeStep({ shape, visible: 4, ...common, ...savings }),
  "AMD with the teacher inside": (savings) =>
    amdStep({
      shape,
      teacherWidth: 24,
      teacher: { shape: { width: 24, depth: 1, heads: 3 }, layers: [1] },
      studentLayers: [1],
      generatorDepth: 1,
      generatorTokens: "trained",
      normalizeTargets: true,
      weights: { pixel: 1, direct: 1, generation: 1 },
      visible: 4,
      teacherVisible: 8,
      ...common,
      ...savings,
    }),
  "a classifier with drop path and augmentation": (savings) =>
    classifierStep({
      ...clips,
      encoder,
      classes: 3,
      dropPath: 0.5,
      augmentation: { randAugment: 1, crop: true, erase: true, mixup: true, cutmix: true },
      ...common,
      ...savings,
    }),
};

/** Made-up inputs: lists of rows ascend, all else has no pattern. */
function madeUp(name: string, dtype: Tensor["dtype"], size: number): HostArray {
  const data = hostArray(dtype, size);
  for (let i = 0; i < size; i++) {
    const draw = (Math.imul(i + 7 * name.length + 1, 2654435761) >>> 8) / 2 ** 24;
    data[i] = dtype === "i32"
      ? i % (size / BATCH)
      : dtype === "u8"
      ? draw * 256
      : dtype === "u32"
      ? draw * 2 ** 32
      : draw;
  }
  return data;
}

/** All outputs of one step in float64. */
async function outputsOf({ program }: TrainStep): Promise<Map<string, Float64Array>> {
  const engine = referenceEngine();
  using executable = await engine.compile(program);
  const inputs = new Map(program.inputs.map(({ name, tensor: { shape, dtype, size } }) => {
    return [name, engine.upload(madeUp(name, dtype, size), shape, dtype)];
  }));
  const found = await executable.run(inputs);
  return new Map([...found].map(([name, buffer]) => [name, (buffer as ReferenceBuffer).values]));
}

/** The largest difference of two results, as a share of the largest number. */
function distance(a: Float64Array, b: Float64Array): number {
  const largest = (x: Float64Array) => x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return largest(a.map((value, i) => value - b[i]!)) / Math.max(largest(a), 1e-12);
}

async function temporaryBytes(engine: Engine, program: Program): Promise<number> {
  using executable = await engine.compile(program);
  return executable.memory!.temporaryBytes;
}

for (const [name, build] of Object.entries(STEPS)) {
  Deno.test(`a step of ${name} with recomputed blocks is the same up to the order of sums`, async () => {
    const [plain, again] = [build({}), build({ remat: true })];
    assert(matmulFlop(again.program) > matmulFlop(plain.program), "Nothing is computed again");
    const expected = await outputsOf(plain);
    for (const [output, values] of await outputsOf(again)) {
      assertLess(distance(expected.get(output)!, values), 1e-12, output);
    }
  });

  Deno.test(`a step of ${name} in micro-batches is that of the whole batch`, async () => {
    const expected = await outputsOf(build({}));
    for (const accumulate of [2, BATCH]) {
      for (const [output, values] of await outputsOf(build({ accumulate, remat: accumulate === BATCH }))) {
        assertLess(distance(expected.get(output)!, values), 1e-9, `${output} in ${accumulate} micro-batches`);
      }
    }
  });

  Deno.test(`a step of ${name} in micro-batches is shared out over devices as the whole batch is`, () => {
    const gathers = (savings: Savings) =>
      stableHlo(build(savings).program, { devices: 2 }).split("stablehlo.all_gather").length;
    assertEquals(gathers({ accumulate: 2, remat: true }), gathers({}));
  });
}

Deno.test("micro-batches must divide the batch", () => {
  assertThrows(
    () => STEPS["VideoMAE"]!({ accumulate: 3 }),
    RangeError,
    "3 micro-batches do not divide a batch of 4 clips",
  );
});

/** Loss of some blocks over tokens `[B, N, D]`. */
function stack(parameters: Parameters, tokens: Tensor, depth: number, remat: boolean): Tensor {
  return mean(square(blocks(parameters, tokens, { depth, heads: 4, compute: "f32", remat }).at(-1)!));
}

Deno.test("XLA needs a fraction of the memory with recomputed blocks", async () => {
  const engine = await xlaEngine();
  if (!engine) return;
  const need = (remat: boolean) => {
    const parameters = new Parameters();
    const loss = stack(parameters, input("x", [1, 128, 32]), 4, remat);
    const found = gradients(loss, parameters.tensors);
    return temporaryBytes(engine, program("stack", Object.fromEntries(found.map((gradient, i) => [`${i}`, gradient]))));
  };
  assertLess(await need(true), 0.5 * await need(false));
});

Deno.test("XLA needs less than half the memory for four micro-batches", async () => {
  const engine = await xlaEngine();
  if (!engine) return;
  const need = (accumulate: number) => {
    const parameters = new Parameters(), tokens = input("tokens", [4, 128, 32]);
    const metrics = (rows: (batch: Tensor) => Tensor) => ({ total: stack(parameters, rows(tokens), 1, false) });
    const frozen = new Parameters({ role: "frozen" });
    const step = trainStep({ name: "step", parameters, frozen, data: [tokens], metrics, optimizer, accumulate });
    return temporaryBytes(engine, step.program);
  };
  assertLess(await need(4), 0.5 * await need(1));
});
