/** Fine-tuning with all of the recipe on: it learns, keeps an average of its weights, and goes on bit for bit. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { join } from "node:path";
import { classifierStep } from "../../../models/classifier.ts";
import { SafetensorsFile } from "../../../models/checkpoints/safetensors.ts";
import { initialParameters } from "../../../models/parameters.ts";
import type { HostArray } from "../../../models/runtime/engine.ts";
import { CheckpointFolder } from "../../../pipeline/checkpoint_folder.ts";
import { MetricsFile, readMetrics } from "../../../pipeline/metrics.ts";
import { silentProgress } from "../../../pipeline/progress.ts";
import { uniforms } from "../../../pipeline/random.ts";
import { TrainingOrder } from "../../../pipeline/row_order.ts";
import { augmentationOf, clipDraws, mixDraws, mixedTargets } from "../../../pipeline/training/augmentation_draws.ts";
import type { BatchSource } from "../../../pipeline/training/batch_source.ts";
import { train } from "../../../pipeline/training/train.ts";
import { tfjsEngine } from "../../models/_engines.ts";

const DECAY = 0.75, BATCH = 4, CLASSES = 2, STEPS = 4;
const cube = { tubelet: 2, patch: 4 };
const recipe = {
  randAugment: "rand-m7-n1-mstd0.5-inc1",
  randomCrop: true,
  flip: 0.5,
  erasing: 0.25,
  mixup: 0.8,
  cutmix: 1,
  mixupProb: 1,
  mixupSwitch: 0.5,
};
const size = { height: 8, width: 8 };
const order = new TrainingOrder({ items: Uint32Array.of(0, 1, 2, 3), views: 1, seed: 1, copies: 2 });

const step = classifierStep({
  grid: { slots: 1, rows: 2, columns: 2 },
  cube,
  encoder: { width: 8, depth: 1, heads: 2 },
  classes: CLASSES,
  batch: BATCH,
  dropPath: 0.1,
  augmentation: augmentationOf(recipe),
  averageDecay: DECAY,
  optimizer: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.05, clipNorm: null },
  compute: "f32",
});

/** Dark clips are of class 0, bright ones of class 1. */
function pixelsOf(row: number): number[] {
  return Array.from(uniforms(4 * 96, 1, "clip", row), (u) => Math.floor(u * 100 + (row % 2) * 150));
}

function source(fromStep: number): BatchSource {
  let at = fromStep * BATCH;
  return {
    next: () => {
      const rows = Array.from({ length: BATCH }, () => {
        const position = at++;
        return { row: order.rowAt(position), epoch: order.epochOf(position), copy: order.copyOf(position) };
      });
      const { shares, inputs } = mixDraws(rows, recipe, size, 1);
      const keys = rows.flatMap(({ row, epoch, copy }) => [...uniforms(2, 1, "drop path", epoch, row, copy)]);
      return Promise.resolve({
        inputs: new Map<string, HostArray>([
          ["cubes", Uint8Array.from(rows.flatMap(({ row }) => pixelsOf(row)))],
          ["targets", mixedTargets(rows.map(({ row }) => row % 2), shares, CLASSES, 0.1)],
          ["drop_keys", Uint32Array.from(keys, (key) => key * 2 ** 32)],
          ...clipDraws(rows, recipe, size, 1),
          ...inputs,
        ]),
        epoch: rows[0]!.epoch,
        release: () => {},
      });
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Trains to the end, or until it is interrupted behind a step; gives the folder of the last checkpoint. */
async function trained(
  folder: string,
  { until, steps = STEPS, batches = source }: { until?: number; steps?: number; batches?: typeof source } = {},
) {
  const stop = new AbortController(), reason = new Error("Interrupted");
  let at = 0;
  const done = train({
    name: "finetune",
    engine: await tfjsEngine(),
    step,
    cube,
    batch: BATCH,
    schedule: { peak: 2e-2, final: 0, steps, warmupSteps: 1 },
    beta1: 0.9,
    beta2: 0.999,
    initial: () => initialParameters(step.parameters, (count, name) => uniforms(count, 1, "start", name)),
    frozen: initialParameters(step.frozen, () => []),
    batches: (from) => {
      const given = batches(from);
      at = from;
      const next = () => {
        if (until !== undefined && ++at > until) stop.abort(reason);
        return given.next();
      };
      return { ...given, next };
    },
    checkpoints: new CheckpointFolder(join(folder, "checkpoints"), 9, (message) => assert(false, message)),
    checkpointSteps: until ? 100 : 1,
    logSteps: 1,
    identity: "one",
    allowChange: false,
    metrics: (from) => new MetricsFile(join(folder, "metrics.jsonl"), { stage: "finetune", step: from }),
    signal: stop.signal,
    progress: silentProgress,
    warn: (message) => assert(false, message),
  });
  return until === undefined ? (await done).checkpoint : await done.then(() => "", () => "");
}

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function tensorsOf(path: string): Promise<Map<string, Float32Array>> {
  await using file = await SafetensorsFile.open(path);
  const found = new Map<string, Float32Array>();
  for (const name of file.tensors.keys()) found.set(name, await file.readFloats(name));
  return found;
}

Deno.test("the recipe trained, stopped and gone on with ends with the bits of one that was not stopped", async () => {
  await inFolder(async (folder) => {
    const [whole, stopped] = [join(folder, "a"), join(folder, "b")];
    await Promise.all([whole, stopped].map((path) => Deno.mkdir(path)));
    const checkpoint = await trained(whole);
    await trained(stopped, { until: 2 });
    const before = readMetrics(join(stopped, "metrics.jsonl")).length;
    assert(before > 0 && before < STEPS, `${before} steps before the stop`);
    const other = await trained(stopped);
    for (const name of ["model", "optimizer", "average"].map((name) => `${name}.safetensors`)) {
      assertEquals(await Deno.readFile(join(other, name)), await Deno.readFile(join(checkpoint, name)), name);
    }
    const losses = (path: string) => readMetrics(join(path, "metrics.jsonl")).map(({ step, loss }) => [step, loss]);
    assertEquals(losses(stopped), losses(whole));
    assertEquals(new Set(losses(whole).map(([, loss]) => loss)).size, STEPS);

    // The average begins at the first weights and takes a quarter of each step's.
    const start = initialParameters(step.parameters, (count, name) => uniforms(count, 1, "start", name));
    const name = "head.weight", average = start.get(name)!.slice();
    for (let at = 1; at <= STEPS; at++) {
      const place = join(whole, "checkpoints", `step-${String(at).padStart(8, "0")}`);
      const weights = (await tensorsOf(join(place, "model.safetensors"))).get(name)!;
      average.forEach((value, i) => average[i] = DECAY * value + (1 - DECAY) * weights[i]!);
      const kept = (await tensorsOf(join(place, "average.safetensors"))).get(name)!;
      kept.forEach((value, i) => assertAlmostEquals(value, average[i]!, 1e-6));
      // At the first step the rate is 0.
      assertEquals(kept.every((value, i) => value === weights[i]), at === 1);
    }
  });
});

Deno.test("under the whole recipe a network learns a batch that it sees again and again", async () => {
  await inFolder(async (folder) => {
    const first = { ...source(0), next: () => source(0).next() };
    await trained(folder, { steps: 8, batches: () => first });
    const losses = readMetrics(join(folder, "metrics.jsonl")).map(({ loss }) => loss);
    assert(losses.at(-1)! < 0.9 * losses[0]!, `${losses}`);
  });
});
