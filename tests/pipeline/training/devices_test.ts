/** Training on several virtual devices of the CPU: checkpoints, and going on from them on as many devices or others. */
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import type { Executable, HostArray } from "../../../models/runtime/engine.ts";
import { initialParameters } from "../../../models/parameters.ts";
import { CheckpointFolder } from "../../../pipeline/checkpoint_folder.ts";
import { MetricsFile, readMetrics } from "../../../pipeline/metrics.ts";
import { silentProgress } from "../../../pipeline/progress.ts";
import { uniforms } from "../../../pipeline/random.ts";
import { videoMaeInputs } from "../../../pipeline/training/mask_draws.ts";
import { train } from "../../../pipeline/training/train.ts";
import { devicesEngine, xlaIsHere } from "../../models/_devices.ts";
import { cube, sizes, tinyStep } from "./_tiny_step.ts";

const batch = 4;
const STEPS = 5;
const KILLED_AT = 3;

const step = tinyStep(batch);

/** A batch that depends on the step alone. */
function batchOf(at: number): Map<string, HostArray> {
  const rows = Array.from({ length: batch }, (_, i) => ({ row: batch * at + i, epoch: 0 }));
  const cubes = Uint8Array.from(uniforms(batch * 8 * 96, 1, "clips", at), (u) => Math.floor(u * 256));
  return new Map<string, HostArray>([["cubes", cubes], ...videoMaeInputs(rows, sizes, 1)]);
}

/** Compiled once for each number of devices. */
const compiled = new Map<number, Promise<Executable>>();

/** Trains in a folder from where it stands; `killedAt` interrupts after that step. */
async function trainOn(devices: number, folder: string, killedAt?: number) {
  const interrupt = new AbortController();
  const engine = await devicesEngine(devices);
  const executable = await (compiled.get(devices) ?? engine.compile(step.program));
  compiled.set(devices, Promise.resolve(executable));
  await Deno.mkdir(folder, { recursive: true });
  return await train({
    name: "pretrain",
    engine,
    step,
    executable,
    cube,
    batch,
    schedule: { peak: 1e-3, final: 0, steps: STEPS },
    beta1: 0.9,
    beta2: 0.95,
    initial: () => initialParameters(step.parameters, (count, name) => uniforms(count, 1, "start", name)),
    frozen: initialParameters(step.frozen, () => []),
    batches: (fromStep) => {
      let at = fromStep;
      return {
        next: () => {
          if (at === killedAt) interrupt.abort(new Error("killed"));
          return Promise.resolve({ inputs: batchOf(at++), epoch: 0, release: () => {} });
        },
        [Symbol.asyncDispose]: () => Promise.resolve(),
      };
    },
    checkpoints: new CheckpointFolder(join(folder, "checkpoints"), 3, () => {}),
    checkpointSteps: 2,
    logSteps: 1,
    identity: "one",
    allowChange: false,
    metrics: (from) => new MetricsFile(join(folder, "metrics.jsonl"), { stage: "pretrain", step: from }),
    signal: interrupt.signal,
    progress: silentProgress,
    warn: () => {},
  });
}

/** Losses of all steps, and the files of the last checkpoint. */
async function outcome(folder: string) {
  const last = join(folder, "checkpoints", `step-${String(STEPS).padStart(8, "0")}`);
  const files = ["model.safetensors", "optimizer.safetensors"].map((name) => Deno.readFile(join(last, name)));
  return {
    losses: readMetrics(join(folder, "metrics.jsonl")).map(({ loss }) => loss),
    files: await Promise.all(files),
  };
}

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test({
  name: "a training on two devices, killed and resumed on two, ends with the bits of one that was not killed",
  ignore: !xlaIsHere,
  async fn() {
    await inFolder(async (folder) => {
      const whole = join(folder, "whole"), killed = join(folder, "killed");
      await trainOn(2, whole);
      await assertRejects(() => trainOn(2, killed, KILLED_AT), Error, "killed");
      await trainOn(2, killed);
      assertEquals(await outcome(killed), await outcome(whole));
    });
  },
});

Deno.test({
  name: "a training goes on on another number of devices with the losses of one device",
  ignore: !xlaIsHere,
  async fn() {
    await inFolder(async (folder) => {
      const whole = join(folder, "whole"), moved = join(folder, "moved");
      await trainOn(1, whole);
      await assertRejects(() => trainOn(2, moved, KILLED_AT), Error, "killed");
      await trainOn(1, moved);
      const [expected, found] = [await outcome(whole), await outcome(moved)];
      assertEquals(found.losses.length, STEPS);
      // Sums over clips in another order: a few roundings of 6e-8.
      found.losses.forEach((loss, i) => assertAlmostEquals(loss / expected.losses[i]!, 1, 2e-6, `step ${i + 1}`));
    });
  },
});

Deno.test({
  name: "a checkpoint reads the state from one device, not from all",
  ignore: !xlaIsHere,
  async fn() {
    const { client } = await devicesEngine(2);
    const { download } = client;
    let read = 0;
    client.download = (buffer, into) => {
      read += into.byteLength;
      return download.call(client, buffer, into);
    };
    try {
      await inFolder(async (folder) => void await trainOn(2, folder));
    } finally {
      client.download = download;
    }
    const state = step.parameters.reduce((sum, { shape }) => sum + 3 * 4 * shape.reduce((a, b) => a * b, 1), 0);
    const metrics = 4 * step.metrics.length;
    // Checkpoints after steps 2, 4 and 5.
    assertEquals(read, 3 * state + STEPS * metrics);
    assert(state > 10_000);
  },
});
