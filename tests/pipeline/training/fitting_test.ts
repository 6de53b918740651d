/** Programs that are too large are refused before anything is on the device, with a batch that fits. */
import { assert, assertEquals, assertLessOrEqual, assertMatch, assertRejects } from "@std/assert";
import process from "node:process";
import type { DeviceBuffer, Engine, Executable } from "../../../models/runtime/engine.ts";
import { freeHostBytes } from "../../../models/runtime/_host_memory.ts";
import {
  input,
  matmul,
  type Program,
  program,
  softmax,
  tensorBytes,
  workingBytes,
} from "../../../models/tensor/mod.ts";
import { describeFlags, resolveSettings, type Settings } from "../../../pipeline/settings.ts";
import { batchSetting } from "../../../pipeline/stages/batch_setting.ts";
import {
  classification,
  finetuneStep,
  studentStep,
  teacherFeatures,
  teacherStep,
} from "../../../pipeline/stages/programs.ts";
import {
  type BatchSetting,
  compileFitting,
  TooLittleMemoryError,
  totalBytes,
} from "../../../pipeline/training/fitting.ts";
import { Network } from "../../../pipeline/training/network.ts";
import { xlaEngine } from "../../models/_engines.ts";
import { tinyFlags } from "../_tiny_run.ts";

/** What the estimate says that a program needs. */
function estimate({ inputs, ...rest }: Program): number {
  return inputs.reduce((bytes, { tensor }) => bytes + tensorBytes(tensor), 0) + workingBytes({ inputs, ...rest });
}

/** An engine on which programs need `factor` times what is estimated, with so much memory free. */
function engineWith(freeBytes: number | undefined, factor = 1): Engine & { uploads: number; disposed: number } {
  const engine = {
    name: "fake",
    description: "",
    uploads: 0,
    disposed: 0,
    freeBytes: () => freeBytes,
    upload: () => (engine.uploads++, {} as DeviceBuffer),
    compile: (program: Program): Promise<Executable> =>
      Promise.resolve({
        program,
        memory: { argumentBytes: factor * estimate(program) + 7, outputBytes: 5, aliasBytes: 12, temporaryBytes: 0 },
        run: () => Promise.reject(new Error("it does not run")),
        [Symbol.dispose]: () => void engine.disposed++,
      }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return engine;
}

function programFor(batch: number): Program {
  return program("p", { y: softmax(matmul(input("x", [batch, 8]), input("w", [8, 8]))) });
}

const setting: BatchSetting = { flag: "--pretrain-batch", value: 32, devices: 1, programFor };

async function refusal(engine: Engine, setting: BatchSetting): Promise<TooLittleMemoryError> {
  return await assertRejects(
    () => compileFitting(engine, setting.programFor(setting.value), setting),
    TooLittleMemoryError,
  );
}

Deno.test("a program that needs what is free is compiled, one that needs a byte more is refused", async () => {
  const need = estimate(programFor(32));
  using executable = await compileFitting(engineWith(need), programFor(32), setting);
  assertEquals(totalBytes(executable.memory!), need);
  const engine = engineWith(need - 1);
  const { needBytes, freeBytes } = await refusal(engine, setting);
  assertEquals([needBytes, freeBytes, engine.disposed], [need, need - 1, 1]);
  for (const [silent, asked] of [[engineWith(undefined), setting], [engineWith(1), undefined]] as const) {
    (await compileFitting(silent, programFor(32), asked))[Symbol.dispose]();
  }
});

Deno.test("where memory grows with the batch as estimated, the batch named is the largest that fits", async () => {
  const linear: BatchSetting = {
    ...setting,
    programFor: (batch) => program("p", { y: softmax(input("x", [batch, 250])) }),
  };
  for (let free = 2000; free < 62_000; free += 777) {
    const { message } = await refusal(engineWith(free), { ...linear, value: 32 });
    // A clip: 250 numbers in, 250 out, 4 bytes each.
    const fits = Math.floor(free / 2000);
    assert(message.includes(`a batch of ${fits} should fit, with --pretrain-batch ${fits} instead of 32`), message);
  }
});

Deno.test("the error says by how much, and offers parts of a training batch that its devices can share", async () => {
  const linear = (batch: number) => program("step", { y: softmax(input("x", [batch, 250_000])) });
  const training = { ...setting, programFor: linear, parts: 1, devices: 2 };
  assertEquals(
    (await refusal(engineWith(21e6), training)).message,
    "Program step needs 64.0 MB of memory, 43.0 MB more than the 21.0 MB that are free: a batch of 10 should fit, with " +
      "--pretrain-batch 10 instead of 32; or work it through in more parts, with --accumulate 4",
  );
  const { message } = await refusal(engineWith(1e6), training);
  assertMatch(message, /no smaller batch fits either \(--pretrain-batch is 32\)/);
});

Deno.test("every program's error names a flag that there is, for a program of its own batch", () => {
  const { settings } = resolveSettings({ flags: { ...tinyFlags("/nowhere"), "eval-batch": "8" } });
  const flags = new Set(describeFlags().map(({ flag }) => `--${flag}`));
  const builders: [Parameters<typeof batchSetting>[1], (settings: Settings) => { program: Program }][] = [
    ["teach.trainBatch", (other) => teacherStep(other, "f32")],
    ["teach.batch", (other) => teacherFeatures(other, "f32")],
    ["pretrain.batch", (other) => studentStep(other, "f32")],
    ["finetune.batch", (other) => finetuneStep(other, 3, "f32")],
    ["finetune.evalBatch", (other) => classification(other, 3, "f32")],
  ];
  for (const [path, build] of builders) {
    const { flag, value, programFor } = batchSetting(settings, path, build);
    assert(flags.has(flag), flag);
    const clips = (batch: number) => programFor(batch).inputs.find(({ name }) => name === "cubes")!.tensor.shape[0];
    assertEquals([value, clips(8), clips(3)], [8, 8, 3]);
  }
});

Deno.test("a teacher or a classifier that does not fit is refused before its weights are on the device", async () => {
  const { settings } = resolveSettings({ flags: tinyFlags("/nowhere") });
  for (
    const [path, build, flag] of [
      ["teach.batch", (other: Settings) => teacherFeatures(other, "f32"), /--teach-batch \d instead of 8$/],
      ["finetune.evalBatch", (other: Settings) => classification(other, 3, "f32"), /--eval-batch \d instead of 8$/],
    ] as const
  ) {
    const forward = build(settings), engine = engineWith(0.8 * estimate(forward.program));
    const load = () => Network.load(engine, forward, new Map(), batchSetting(settings, path, build));
    assertMatch((await assertRejects(load, TooLittleMemoryError)).message, flag);
    assertEquals(engine.uploads, 0);
  }
});

const engine = await xlaEngine();

Deno.test({
  name: "the batch named for a network fits by what XLA says of it",
  ignore: engine === undefined,
  async fn() {
    const { settings } = resolveSettings({ flags: { ...tinyFlags("/nowhere"), "teach-batch": "64" } });
    const { flag, value, programFor } = batchSetting(settings, "teach.batch", (other) => teacherFeatures(other, "f32"));
    const compile = engine!.compile.bind(engine!);
    using whole = await compile(programFor(value));
    const free = 0.6 * totalBytes(whole.memory!);
    const limited: Engine = { ...engineWith(free), compile };
    const { message } = await refusal(limited, { flag, value, programFor, devices: 1 });
    const named = Number(/a batch of (\d+) should fit/.exec(message)![1]);
    using smaller = await compile(programFor(named));
    assertLessOrEqual(totalBytes(smaller.memory!), free);
    assertLessOrEqual(16, named);
  },
});

Deno.test("what is free on the host is what the system has, within the limit of the process's group", () => {
  const { total } = Deno.systemMemoryInfo(), none = process.constrainedMemory;
  const free = freeHostBytes(0)!;
  assert(free > 0 && free <= total);
  try {
    process.constrainedMemory = () => Deno.memoryUsage().rss + 50e6;
    assertLessOrEqual(freeHostBytes(0)!, 60e6);
    process.constrainedMemory = () => 1;
    assertEquals(freeHostBytes(1e6), 0);
  } finally {
    process.constrainedMemory = none;
  }
});
