/** Steps of a compiled program on made-up numbers, timed: how fast this machine's engine is on just this program. */
import type { DeviceBuffer, Engine, HostArray } from "../models/runtime/engine.ts";
import { hostArray } from "../models/runtime/engine.ts";
import type { ForwardProgram, TrainStep } from "../models/train_step.ts";
import { type DType, type Program, sizeOf } from "../models/tensor/mod.ts";
import type { PlannedWork } from "./_plan_networks.ts";
import { median } from "./median.ts";
import type { Progress } from "./progress.ts";
import { uniforms } from "./random.ts";
import type { Settings } from "./settings.ts";
import { maskSizes } from "./stages/stage_context.ts";
import { amdInputs, type MaskSizes, teacherInputs, teacherPositions, videoMaeInputs } from "./training/mask_draws.ts";
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
interface MeasureOptions {
  readonly sizes: MaskSizes;
  readonly seed: number;
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
/** Drawn numbers; larger arrays repeat them. A prime, so that rows differ. */
const DRAWN = 4093;

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
  { program, data }: TrainStep | ForwardProgram,
  options: MeasureOptions,
): Promise<MeasuredStep> {
  const { steps, signal, now, onStep } = options;
  const compiling = now();
  using executable = await engine.compile(program);
  const compileSeconds = (now() - compiling) / 1000;
  const batch = madeUpBatch(program, options);
  const state = new Map<string, DeviceBuffer>();
  const upload = (name: string) => {
    const { shape, dtype } = program.inputs.find((input) => input.name === name)!.tensor;
    state.get(name)?.[Symbol.dispose]();
    state.set(name, engine.upload(batch.get(name)!, shape, dtype, program.batch.has(name) ? "rows" : "copies"));
  };
  try {
    for (const { name } of program.inputs) upload(name);
    const seconds: number[] = [];
    for (let step = -WARM_UP; step < steps; step++) {
      signal.throwIfAborted();
      const started = now();
      for (const { name } of data) upload(name);
      await runOnce(program, await executable.run(state), state);
      if (step >= 0) onStep(seconds.push((now() - started) / 1000));
    }
    const { memory } = executable;
    return {
      stepSeconds: median(seconds),
      compileSeconds,
      memoryBytes: memory && memory.argumentBytes + memory.outputBytes - memory.aliasBytes + memory.temporaryBytes,
    };
  } finally {
    for (const buffer of state.values()) buffer[Symbol.dispose]();
  }
}

/** Waits for the results; those that took the place of inputs become the inputs of the next step. */
async function runOnce(
  { donations }: Program,
  outputs: ReadonlyMap<string, DeviceBuffer>,
  state: Map<string, DeviceBuffer>,
): Promise<void> {
  const inputOf = new Map([...donations].map(([input, output]) => [output, input]));
  for (const [name, buffer] of outputs) {
    const input = inputOf.get(name);
    if (input !== undefined) {
      state.set(input, buffer);
      continue;
    }
    using result = buffer;
    await result.read();
  }
}

/** Every input of a program: real draws of tokens, numbers of an ordinary size for all else, moments of zero. */
function madeUpBatch({ inputs }: Program, { sizes, seed }: MeasureOptions): Map<string, HostArray> {
  const drawn = uniforms(DRAWN, seed, "plan");
  const clips = inputs.find(({ name }) => name === "cubes")!.tensor.shape[0]!;
  const rows = Array.from({ length: clips }, (_, row) => ({ row, epoch: 0 }));
  const masks = (row: number) => teacherPositions(sizes, seed, row);
  const tokens = new Map<string, HostArray>([
    ...videoMaeInputs(rows, sizes, seed),
    ...amdInputs(rows, masks, sizes, seed),
    ...teacherInputs(rows.map(({ row }) => row), masks, sizes),
  ]);
  return new Map(inputs.map(({ name, tensor: { shape, dtype } }) => {
    const given = tokens.get(name);
    if (given) return [name, given];
    const values = hostArray(dtype, sizeOf(shape));
    if (!name.startsWith("moment")) {
      for (let i = 0; i < values.length; i++) values[i] = ordinary(dtype, drawn[i % DRAWN]!);
    }
    return [name, values];
  }));
}

/** A number from a draw in [0, 1): pixels of all levels, and others below 0.05, floats of 16 bits by their bits. */
function ordinary(dtype: DType, draw: number): number {
  if (dtype === "f32") return draw * 0.05;
  if (dtype === "f16") return 0x2000 + Math.floor(draw * 0x800);
  if (dtype === "bf16") return 0x3c00 + Math.floor(draw * 0x100);
  return Math.floor(draw * 256);
}
