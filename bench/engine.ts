/**
 * Training steps and forward passes at the published sizes, batch in host memory, against PyTorch in the same run.
 *
 *     TUBELET_PEER_PYTHON=... deno task bench engine [--filter videomae-S] [--rounds 3]
 *
 * The peer of a row is the faster of eager and compiled PyTorch; an AMD row, which reads cached features, stands against
 * PyTorch that runs the teacher in each step (`-online`), which is what others do, and against PyTorch with the features in
 * memory (`-cached`).
 */
import { openEngine, preferredCompute } from "../models/runtime/open_engine.ts";
import type { Engine } from "../models/runtime/engine.ts";
import type { Compute } from "../models/shapes.ts";
import type { ForwardProgram, TrainStep } from "../models/train_step.ts";
import { type Bench, type BenchContext, type BenchRow, type Measured, peerValue } from "./_bench.ts";
import { amd, evaluation, finetune, MASKS, teacher, videoMae } from "./_steps.ts";
import { matmulFlop } from "../models/tensor/mod.ts";
import { StepRunner } from "../pipeline/_step_runner.ts";
import { median } from "../pipeline/median.ts";

/** About this much work of ours is timed in a round. */
const ROUND_SECONDS = 8;
const MIN_STEPS = 4;
const WARM_UP_STEPS = 3;

interface Work {
  name: string;
  batch: number;
  compute: Compute;
  build: () => TrainStep | ForwardProgram;
  /** Script and arguments of the peer. */
  script: string;
  args: readonly string[];
}

const PRECISIONS: readonly Compute[] = ["f32", "bf16"];

const works: readonly Work[] = PRECISIONS.flatMap((compute): Work[] => [
  ...(["S", "B"] as const).flatMap((size) =>
    [2, 8].map((batch) => ({
      name: `videomae-${size}-${compute}-b${batch}`,
      batch,
      compute,
      build: () => videoMae(size, batch, compute),
      script: "torch_videomae_step.py",
      args: ["--student", size],
    }))
  ),
  ...(["B", "L"] as const).flatMap((size) =>
    ["online", "cached"].map((mode) => ({
      name: `amd-S-from-${size}-${compute}-${mode}`,
      batch: 2,
      compute,
      build: () => amd("S", size, 2, compute),
      script: "torch_amd_step.py",
      args: ["--student", "S", "--teacher", size, ...(mode === "cached" ? ["--cached"] : [])],
    }))
  ),
  {
    name: `finetune-S-${compute}`,
    batch: 2,
    compute,
    build: () => finetune("S", 2, compute),
    script: "torch_finetune_step.py",
    args: ["--model", "S"],
  },
  {
    name: `evaluate-S-${compute}`,
    batch: 2,
    compute,
    build: () => evaluation("S", 2, compute),
    script: "torch_eval.py",
    args: ["--model", "S", "--views", "2"],
  },
  ...(["B", "L"] as const).map((size): Work => ({
    name: `teacher-${size}-${compute}`,
    batch: 2,
    compute,
    build: () => teacher(size, 2, compute),
    script: "torch_teacher_features.py",
    args: ["--teacher", size],
  })),
]);

export const bench: Bench = {
  about: "Training steps and forward passes at the published sizes, clips a second.",
  rows: works.map((work): BenchRow => ({
    name: work.name,
    unit: "clips/s",
    measure: (context) => measure(work, context),
  })),
};

async function measure(work: Work, context: BenchContext): Promise<Measured> {
  const { compute, batch, script, args } = work;
  await using engine: Engine = await openEngine({ engine: "xla", warn: context.say });
  const program = work.build();
  using runner = await StepRunner.open(engine, program, { sizes: MASKS, seed: 0 });
  // The first steps touch memory that later ones find mapped.
  for (let step = 0; step < WARM_UP_STEPS; step++) await runner.run();
  const steps = Math.max(MIN_STEPS, Math.ceil(ROUND_SECONDS / await runner.run()));
  const modes = context.python === null || context.peers === null ? [] : [[], ["--compile"]];
  const ours: number[] = [];
  const theirs = modes.map((): number[] => []);
  for (let round = 0; round < context.rounds; round++) {
    const times: number[] = [];
    for (let step = 0; step < steps; step++) times.push(await runner.run());
    ours.push(batch / median(times));
    for (const [i, mode] of modes.entries()) {
      const all = [...args, "--batch", String(batch), "--dtype", compute, "--steps", String(steps), ...mode];
      theirs[i]!.push(await peerValue(context.python!, `${context.peers}/${script}`, all));
    }
    context.say(
      `${work.name} round ${round + 1}: ours ${ours.at(-1)!.toFixed(3)}, ${
        theirs.map((t) => t.at(-1)!.toFixed(3)).join(", ")
      }`,
    );
  }
  const [eager, compiled] = theirs.map(median);
  const spread = (values: readonly number[]) => `${Math.min(...values).toFixed(2)}-${Math.max(...values).toFixed(2)}`;
  const rate = median(ours) / batch * matmulFlop(program.program) / 1e9;
  return {
    ours: median(ours),
    peer: eager === undefined ? null : Math.max(eager, compiled!),
    peerName: eager === undefined ? null : eager >= compiled! ? "PyTorch eager" : "PyTorch compiled",
    note: [
      `batch ${batch}, ${steps} steps x ${context.rounds} rounds, ours ${spread(ours)}, ${rate.toFixed(0)} GFLOP/s`,
      ...(eager === undefined ? [] : [`eager ${eager.toFixed(3)}`, `compiled ${compiled!.toFixed(3)}`]),
      `default here ${preferredCompute(engine)}`,
      `compiling ${runner.compileSeconds.toFixed(1)} s`,
    ].join("; "),
  };
}
