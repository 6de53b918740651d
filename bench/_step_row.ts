/** A row that runs a program of ours and a peer's script in turns: the faster of eager and compiled PyTorch. */
import type { Engine } from "../models/runtime/engine.ts";
import { openEngine, preferredCompute } from "../models/runtime/open_engine.ts";
import type { Compute } from "../models/shapes.ts";
import { matmulFlop } from "../models/tensor/mod.ts";
import type { ForwardProgram, TrainStep } from "../models/train_step.ts";
import { StepRunner } from "../pipeline/_step_runner.ts";
import { median } from "../pipeline/median.ts";
import type { MaskSizes } from "../pipeline/training/mask_draws.ts";
import { type BenchContext, type BenchRow, type Measured, peerValue } from "./_bench.ts";

/** About this much work of ours is timed in a round. */
const ROUND_SECONDS = 8;
const MIN_STEPS = 4;
const WARM_UP_STEPS = 3;

/** What is run, and what stands against it. */
export interface StepWork {
  readonly name: string;
  /** Clips of a step. */
  readonly batch: number;
  readonly compute: Compute;
  readonly build: () => TrainStep | ForwardProgram;
  /** Script and arguments of the peer. */
  readonly script: string;
  readonly args: readonly string[];
}

/** The same with what all rows of a benchmark share. */
export interface StepRow extends StepWork {
  /** Of the tokens that the networks see. */
  readonly sizes: MaskSizes;
  readonly unit: string;
  /** Path of the script, by the folder of the peers' scripts; null where there is none. */
  readonly peer: (peers: string | null) => string | null;
}

/** The row of a benchmark. */
export function stepRow(work: StepRow): BenchRow {
  return { name: work.name, unit: work.unit, measure: (context) => measure(work, context) };
}

async function measure(work: StepRow, context: BenchContext): Promise<Measured> {
  const { compute, batch, args, sizes } = work;
  await using engine: Engine = await openEngine({ engine: "xla", warn: context.say });
  const program = work.build();
  using runner = await StepRunner.open(engine, program, { sizes, seed: 0 });
  // The first steps touch memory that later ones find mapped.
  for (let step = 0; step < WARM_UP_STEPS; step++) await runner.run();
  const steps = Math.max(MIN_STEPS, Math.ceil(ROUND_SECONDS / await runner.run()));
  const script = work.peer(context.peers);
  const modes = context.python === null || script === null ? [] : [[], ["--compile"]];
  const ours: number[] = [];
  const theirs = modes.map((): number[] => []);
  for (let round = 0; round < context.rounds; round++) {
    const times: number[] = [];
    for (let step = 0; step < steps; step++) times.push(await runner.run());
    ours.push(batch / median(times));
    for (const [i, mode] of modes.entries()) {
      const all = [...args, "--batch", String(batch), "--dtype", compute, "--steps", String(steps), ...mode];
      theirs[i]!.push(await peerValue(context.python!, script!, all));
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
