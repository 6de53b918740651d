import { assert, assertEquals, assertRejects } from "@std/assert";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { DeviceBuffer, Engine, HostArray } from "../../../models/runtime/engine.ts";
import type { DType, Shape } from "../../../models/tensor/mod.ts";
import { initialParameters } from "../../../models/parameters.ts";
import { SafetensorsFile } from "../../../models/checkpoints/safetensors.ts";
import { CheckpointFolder } from "../../../pipeline/checkpoint_folder.ts";
import { MetricsFile, readMetrics } from "../../../pipeline/metrics.ts";
import { silentProgress } from "../../../pipeline/progress.ts";
import { uniforms } from "../../../pipeline/random.ts";
import type { BatchSource } from "../../../pipeline/training/batch_source.ts";
import { videoMaeInputs } from "../../../pipeline/training/mask_draws.ts";
import { DivergedError, train, type Training } from "../../../pipeline/training/train.ts";
import { TrainState } from "../../../pipeline/training/train_state.ts";
import type { Watch } from "../../../pipeline/training/watch.ts";
import { ReferenceEngine } from "../../../models/runtime/reference.ts";
import { referenceEngine, xlaEngine } from "../../models/_engines.ts";
import { cube, sizes, tinyStep } from "./_tiny_step.ts";

const batch = 2;

const step = tinyStep(batch);

/** XLA where it is there; one compilation serves all trainings. */
let engine: Promise<Engine> | undefined;
function trainingEngine(): Promise<Engine> {
  return engine ??= (async () => {
    const opened = await xlaEngine() ?? referenceEngine();
    const { program, memory, run } = await opened.compile(step.program).then((executable) => ({
      program: executable.program,
      memory: executable.memory,
      run: executable.run.bind(executable),
    }));
    return {
      name: opened.name,
      description: opened.description,
      upload: opened.upload.bind(opened),
      compile: () => Promise.resolve({ program, memory, run, [Symbol.dispose]: () => {} }),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  })();
}

/** Random clips that depend on the step alone. */
function source(fromStep: number): BatchSource {
  let at = fromStep;
  return {
    next: () => {
      const clips = uniforms(batch * 8 * 96, 1, "clip", at);
      const inputs = new Map<string, HostArray>([
        ["cubes", Uint8Array.from(clips, (u) => Math.floor(u * 256))],
        ...videoMaeInputs([{ row: 2 * at, epoch: 0 }, { row: 2 * at + 1, epoch: 0 }], sizes, 1),
      ]);
      at++;
      return Promise.resolve({ inputs, epoch: 0, release: () => {} });
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

interface Run {
  folder: string;
  warnings: string[];
  training: (changes?: Partial<Training>) => Promise<Training>;
}

async function inRun(body: (run: Run) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  const warnings: string[] = [];
  const warn = (message: string) => void warnings.push(message);
  const training = async (changes: Partial<Training> = {}): Promise<Training> => ({
    name: "pretrain",
    engine: await trainingEngine(),
    step,
    cube,
    batch,
    schedule: { peak: 1e-3, final: 0, steps: 6, warmupSteps: 2 },
    beta1: 0.9,
    beta2: 0.95,
    initial: () => initialParameters(step.parameters, (count, name) => uniforms(count, 1, "start", name)),
    frozen: initialParameters(step.frozen, () => []),
    batches: source,
    checkpoints: new CheckpointFolder(join(folder, "checkpoints"), 3, warn),
    checkpointSteps: 2,
    logSteps: 1,
    identity: "one",
    allowChange: false,
    metrics: (from) => new MetricsFile(join(folder, "metrics.jsonl"), { stage: "pretrain", step: from }),
    signal: new AbortController().signal,
    progress: silentProgress,
    warn,
    ...changes,
  });
  try {
    await body({ folder, warnings, training });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The numbers of a run that must not depend on when it was interrupted. */
async function outcome(folder: string, checkpoint: string) {
  const metrics = readMetrics(join(folder, "metrics.jsonl")).map(({ step, loss, gradNorm, lr }) => ({
    step,
    loss,
    gradNorm,
    lr,
  }));
  const files = ["model.safetensors", "optimizer.safetensors"].map((name) => Deno.readFile(join(checkpoint, name)));
  return { metrics, files: await Promise.all(files) };
}

Deno.test("a training writes a line a step and checkpoints every other step, and its loss falls", async () => {
  await inRun(async ({ folder, training }) => {
    const options = await training({ schedule: { peak: 1e-2, final: 0, steps: 30 }, checkpointSteps: 10 });
    const { checkpoint, steps } = await train(options);
    const metrics = readMetrics(join(folder, "metrics.jsonl"));
    assertEquals(metrics.map(({ step }) => step), Array.from({ length: 30 }, (_, i) => i + 1));
    assertEquals([steps, options.checkpoints.steps()], [30, [10, 20, 30]]);
    assert(checkpoint.endsWith("step-00000030"));
    assert(metrics.at(-1)!.loss < metrics[0]!.loss);
  });
});

Deno.test("a training interrupted between checkpoints and resumed ends with the same bits as one that was not", async () => {
  let expected: Awaited<ReturnType<typeof outcome>> | undefined;
  await inRun(async ({ folder, training }) => {
    const { checkpoint } = await train(await training());
    expected = await outcome(folder, checkpoint);
  });
  for (const killAt of [1, 3, 4, 5]) {
    await inRun(async ({ folder, training }) => {
      // A kill: the source fails in the middle, no checkpoint is written for it.
      const dying = (from: number): BatchSource => {
        const inner = source(from);
        let at = from;
        return { ...inner, next: () => at++ === killAt ? Promise.reject(new Error("killed")) : inner.next() };
      };
      await assertRejects(async () => await train(await training({ batches: dying })), Error, "killed");
      const { checkpoint } = await train(await training());
      assertEquals(await outcome(folder, checkpoint), expected);
    });
  }
});

Deno.test("a training that was killed while it cleared up behind its last checkpoint is done, and nothing is left", async () => {
  await inRun(async ({ training }) => {
    const { checkpoints } = await training();
    await train(await training());
    await Deno.mkdir(join(checkpoints.path, ".tmp-step-00000001-4f1c"));
    const short = new CheckpointFolder(checkpoints.path, 2, () => {});
    const { steps } = await train(await training({ checkpoints: short }));
    const names = [...Deno.readDirSync(checkpoints.path)].map(({ name }) => name).sort();
    assertEquals([steps, names], [6, ["step-00000004", "step-00000006"]]);
  });
});

/** A buffer of an engine that computes nothing. */
function fakeBuffer(shape: Shape, dtype: DType, data?: HostArray): DeviceBuffer {
  return { shape, dtype, read: () => Promise.resolve(data ?? new Float32Array(64)), [Symbol.dispose]: () => {} };
}

Deno.test("while a step runs, the next batch and no more is copied to the device, and the last step's numbers are read", async () => {
  await inRun(async ({ folder, training }) => {
    const calls: string[] = [];
    const lines = () =>
      existsSync(join(folder, "metrics.jsonl")) ? readMetrics(join(folder, "metrics.jsonl")).length : 0;
    let uploaded = 0, started = 0;
    const engine: Engine = {
      name: "fake",
      description: "",
      upload: (data, shape, dtype) => {
        if (dtype === "u8") calls.push(`batch ${uploaded++}`);
        return fakeBuffer(shape, dtype, data.slice());
      },
      compile: (program) =>
        Promise.resolve({
          program,
          memory: null,
          run: async () => {
            const number = started++;
            calls.push(`step ${number} starts`);
            // As long as a step takes at least: whoever waits for it gets nothing done until then.
            for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve));
            calls.push(`step ${number} ends, ${lines()} written`);
            return new Map(
              program.outputs.map(({ name, tensor: { shape, dtype, size } }) => {
                return [name, fakeBuffer(shape, dtype, new Float32Array(size))];
              }),
            );
          },
          [Symbol.dispose]: () => {},
        }),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    await train(await training({ engine, schedule: { peak: 1e-3, final: 0, steps: 3 }, checkpointSteps: 3 }));
    assertEquals(calls, [
      "batch 0",
      ...["step 0 starts", "batch 1", "step 0 ends, 0 written"],
      ...["step 1 starts", "batch 2", "step 1 ends, 1 written"],
      ...["step 2 starts", "step 2 ends, 2 written"],
    ]);
  });
});

Deno.test("an abort finishes the step, writes a checkpoint and throws the signal's reason", async () => {
  await inRun(async ({ training }) => {
    const controller = new AbortController();
    const aborting = (from: number): BatchSource => {
      const inner = source(from);
      let at = from;
      return {
        ...inner,
        next: () => {
          if (at++ === 2) controller.abort(new DOMException("stop", "AbortError"));
          return inner.next();
        },
      };
    };
    const options = await training({ batches: aborting, signal: controller.signal, checkpointSteps: 100 });
    await assertRejects(() => train(options), DOMException, "stop");
    // The third batch is asked for while the second step runs.
    assertEquals(options.checkpoints.steps(), [2]);
  });
});

/** Notes which networks it saw, by their mask token; `act` is called at every look, before it is noted. */
function watching(every: number, seen: Map<number, number[]>, act: (step: number) => void = () => {}): Watch {
  return {
    begin: (from) => [...seen.keys()].filter((step) => step > from).forEach((step) => seen.delete(step)),
    wants: (step) => step % every === 0 && !seen.has(step),
    look: (step, parameters) => {
      act(step);
      seen.set(step, [...parameters.get("mask_token")!]);
      return Promise.resolve();
    },
  };
}

Deno.test("looks between steps change nothing, and one that is cut off is taken again at the same network", async () => {
  const expected = new Map<number, number[]>();
  let plain: Awaited<ReturnType<typeof outcome>> | undefined;
  await inRun(async ({ folder, training }) => {
    plain = await outcome(folder, (await train(await training())).checkpoint);
  });
  await inRun(async ({ folder, training }) => {
    const { checkpoint } = await train(await training({ watch: watching(1, expected) }));
    assertEquals(await outcome(folder, checkpoint), plain);
    assertEquals([...expected.keys()], [1, 2, 3, 4, 5, 6]);
    assert(new Set([...expected.values()].map(String)).size > 4, "the networks do not differ");
  });
  // Between checkpoints, at one, and at the last.
  for (const killAt of [3, 4, 6]) {
    await inRun(async ({ folder, training }) => {
      const seen = new Map<number, number[]>();
      const dying = watching(1, seen, (step) => {
        if (step === killAt) throw new Error("killed");
      });
      await assertRejects(async () => await train(await training({ watch: dying })), Error, "killed");
      assertEquals(seen.has(killAt), false);
      const { checkpoint } = await train(await training({ watch: watching(1, seen) }));
      assertEquals([await outcome(folder, checkpoint), seen], [plain, expected]);
    });
  }
});

Deno.test("an interruption in the middle of a look keeps the step, and the time of looks is told aside", async () => {
  await inRun(async ({ training }) => {
    const controller = new AbortController(), seen = new Map<number, number[]>();
    const told: number[] = [];
    const stop = (step: number) => {
      if (step !== 3) return;
      controller.abort(new DOMException("stop", "AbortError"));
      controller.signal.throwIfAborted();
    };
    const options = await training({
      watch: watching(1, seen, stop),
      signal: controller.signal,
      checkpointSteps: 100,
      progress: {
        begin: () => ({
          update: (_done, extra) => void (extra?.asideMs !== undefined && told.push(extra.asideMs)),
          [Symbol.dispose]: () => {},
        }),
      },
    });
    await assertRejects(() => train(options), DOMException, "stop");
    assertEquals([options.checkpoints.steps(), told.length], [[3], 2]);
    const steps: number[] = [];
    await train(await training({ watch: watching(1, seen, (step) => void steps.push(step)) }));
    assertEquals(steps, [3, 4, 5, 6]);
  });
});

Deno.test("checkpoints of another identity are set aside with a warning, or gone on from where that is allowed", async () => {
  await inRun(async ({ folder, warnings, training }) => {
    await train(await training({ schedule: { peak: 1e-3, final: 0, steps: 2 } }));
    await train(await training({ identity: "two", allowChange: true }));
    assertEquals(warnings, []);
    const anew = await training({ identity: "three" });
    await train(anew);
    assert(warnings[0]!.includes("moved to"), warnings[0]);
    assertEquals(anew.checkpoints.steps(), [2, 4, 6]);
    assert((await Deno.stat(join(folder, "checkpoints.old-1", "step-00000006"))).isDirectory);
  });
});

Deno.test("a loss that is not finite stops the training and names the step", async () => {
  await inRun(async ({ training }) => {
    const broken = async () => {
      const start = initialParameters(step.parameters, (count, name) => uniforms(count, 1, "start", name));
      start.get("mask_token")!.fill(NaN);
      return await train(await training({ initial: () => start }));
    };
    const error = await assertRejects(broken, DivergedError, "Step 1 of pretrain is not finite");
    assertEquals(error.step, 1);
  });
});

Deno.test("of a step that is not finite batch, state, seed and first tensor are kept, and it can be run again", async () => {
  // Its own engine, since the watching program takes compilers long.
  const engine = new ReferenceEngine({ round: true });
  for (const checkpointSteps of [2, 100]) {
    await inRun(async ({ folder, warnings, training }) => {
      const options = await training({
        engine,
        // The rate is 0 in the first step; after the second the parameters are too large for layer norm's squares.
        schedule: { peak: 1e22, final: 0, steps: 6, warmupSteps: 2 },
        checkpointSteps,
        evidence: { folder: join(folder, "diverged ü"), seed: 7 },
      });
      const error = await assertRejects(() => train(options), DivergedError, "Step 3 of pretrain is not finite");
      const kept = join(folder, "diverged ü", "pretrain-step-00000003");
      assertEquals([error.step, error.evidence?.folder], [3, kept]);
      assert(error.message.includes(`the first tensor that is not is a `), error.message);
      assert(error.message.includes(`batch, state and seed are kept in ${kept}`), error.message);
      assert(warnings[0]!.includes(`steps ${checkpointSteps === 2 ? 3 : 1} to 3 are run again`), warnings[0]);

      const replay = JSON.parse(await Deno.readTextFile(join(kept, "replay.json")));
      assertEquals([replay.step, replay.seed, replay.first], [3, 7, error.evidence!.first]);
      const inputs = (await source(2).next()).inputs;
      await using batchFile = await SafetensorsFile.open(join(kept, "batch.safetensors"));
      for (const [name, values] of inputs) {
        assertEquals(await batchFile.readBytes(name), new Uint8Array(values.buffer), name);
      }

      using executable = await engine.compile(step.program);
      using state = await TrainState.load(engine, step, kept);
      state.freeze(options.frozen!);
      const { numbers } = await state.advance(executable, state.upload(inputs), replay.scalars);
      const again = Object.fromEntries([...await numbers].map(([name, value]) => [name, String(value)]));
      assertEquals(again, replay.metrics);
    });
  }
});
