/** Steps of a compiled program on made-up numbers, timed: how fast this machine's engine is on just this program. */
import type { Engine } from "../models/runtime/engine.ts";
import type { ForwardProgram, TrainStep } from "../models/train_step.ts";
import type { PlannedWork } from "./_plan_networks.ts";
import { type MadeUp, StepRunner } from "./_step_runner.ts";
import { median } from "./median.ts";
import type { Progress } from "./progress.ts";
import type { Settings } from "./settings.ts";
import { maskSizes } from "./stages/stage_context.ts";
import { formatBytes } from "./units.ts";

/** What was measured. */
export interface MeasuredStep {
  /** Median of the steps. */
  readonly stepSeconds: number;
  readonly compileSeconds: number;
  /** What the compiler says that the program needs on the device, where it tells. */
  readonly memoryBytes: number | null;
}

/** How to measure. */
interface MeasureOptions extends MadeUp {
  /** Steps that are timed, after {@linkcode WARM_UP} that are not. */
  readonly steps: number;
  readonly signal: AbortSignal;
  /** Clock, ms. */
  readonly now: () => number;
  /** Told how many steps were timed. */
  readonly onStep: (done: number) => void;
}

/** How to measure on this machine. */
export interface MeasureHere extends Pick<MeasureOptions, "steps" | "signal" | "now"> {
  readonly engine: Engine;
  /** Memory of its device that is free, bytes; programs that are estimated to need more are not tried. */
  readonly freeBytes: number;
  readonly progress: Progress;
}

/** Steps before the clock runs: the first ones allocate. */
const WARM_UP = 2;

/** Measures the steps of a stage, or says in a sentence why it cannot. @throws the signal's reason */
export async function measureWork(
  { stage, program, trains, memory: { total } }: PlannedWork,
  settings: Settings,
  { engine, freeBytes, progress, ...options }: MeasureHere,
): Promise<MeasuredStep | string> {
  if (total > freeBytes) {
    const mend = `take a smaller batch${trains ? ", --accumulate or --remat" : ""}`;
    return `${stage} needs about ${formatBytes(total)}, ${formatBytes(freeBytes)} are free: ${mend}`;
  }
  using bar = progress.begin(`measure ${stage}`, options.steps, "steps");
  const onStep = (done: number) => bar.update(done);
  const sizes = maskSizes(settings), { seed } = settings.run;
  return await measureStep(engine, program, { ...options, sizes, seed, onStep });
}

/** Compiles and times. @throws the signal's reason */
async function measureStep(
  engine: Engine,
  program: TrainStep | ForwardProgram,
  { steps, signal, now, onStep, ...madeUp }: MeasureOptions,
): Promise<MeasuredStep> {
  using runner = await StepRunner.open(engine, program, madeUp, now);
  const seconds: number[] = [];
  for (let step = -WARM_UP; step < steps; step++) {
    signal.throwIfAborted();
    const took = await runner.run();
    if (step >= 0) onStep(seconds.push(took));
  }
  const { compileSeconds, memoryBytes } = runner;
  return { stepSeconds: median(seconds), compileSeconds, memoryBytes };
}
