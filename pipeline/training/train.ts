/**
 * The training loop: one launch a step, parameters and moments stay on the device, the next batch is read, drawn and
 * copied to the device while a step runs, and the numbers of the step before are read then too. Every step is one line of
 * metrics; checkpoints come every N steps, at the end and at an interruption, and a run goes on from the newest one bit for
 * bit, since batches, masks and rates are pure functions of the step.
 */
import type { Executable } from "../../models/runtime/engine.ts";
import type { Metric } from "../metrics.ts";
import { quiet } from "../quiet.ts";
import { scheduleValue } from "../schedule.ts";
import { DivergedError } from "./diverged_error.ts";
import { compileFitting } from "./fitting.ts";
import { TrainState, type UploadedBatch } from "./train_state.ts";
import { stepScalars, type Training } from "./training.ts";
import { checkpointParameters } from "./weights.ts";

export { DivergedError } from "./diverged_error.ts";
export type { Training } from "./training.ts";

/** A finished training. */
export interface TrainingResult {
  /** Folder of the last checkpoint. */
  readonly checkpoint: string;
  /** Steps of the whole training. */
  readonly steps: number;
  /** Mean of each metric over the last epoch's worth of steps that this process ran, at least one. */
  readonly metrics: { readonly [name: string]: number };
}

/**
 * Trains to the end of the schedule, from the newest checkpoint if there is one.
 *
 * @throws {DivergedError} if a loss is no longer finite
 * @throws the signal's reason after an interruption, with a checkpoint written
 */
export async function train(training: Training): Promise<TrainingResult> {
  const found = await resumePoint(training);
  await lookAgain(training, found);
  if (found && found.step >= training.schedule.steps) {
    return { checkpoint: found.path, steps: found.step, metrics: {} };
  }
  using compiled = training.executable
    ? undefined
    : await compileFitting(training.engine, training.step.program, training.batchSetting);
  const executable = training.executable ?? compiled!;
  try {
    return await trainFrom(training, executable, found);
  } catch (error) {
    if (!(error instanceof DivergedError) || !training.evidence || training.signal.aborted) throw error;
    const { gatherEvidence } = await import("./diverged.ts");
    const { step, values } = error;
    const evidence = await gatherEvidence(training, executable, step, values).catch((reason) => {
      training.warn(`What led to it could not be kept: ${reason instanceof Error ? reason.message : reason}`);
    });
    throw evidence ? new DivergedError(training.name, step, values, evidence) : error;
  }
}

async function trainFrom(
  training: Training,
  executable: Executable,
  found: ResumePoint | undefined,
): Promise<TrainingResult> {
  const { name, checkpoints, schedule, signal, watch } = training;
  const from = found?.step ?? 0;
  using state = found
    ? await TrainState.load(training.engine, training.step, found.path)
    : TrainState.create(training.engine, training.step, await training.initial());
  state.freeze(training.frozen ?? new Map());
  await using batches = training.batches(from);
  using metrics = training.metrics(from);
  using bar = training.progress.begin(name, schedule.steps, "steps", { from });
  const recent = new RecentMean(Math.max(1, training.logSteps));
  let saved = found ? { step: from, path: found.path } : undefined;
  let pending: PendingStep | undefined;
  /** When the numbers of the step before were there. */
  let settled = performance.now();

  const settle = async () => {
    if (!pending) return;
    const { step, lr, epoch, waitedMs, numbers } = pending;
    pending = undefined;
    const values = await numbers;
    const now = performance.now();
    const seconds = Math.max(now - settled, 1e-6) / 1000;
    settled = now;
    const waitShare = Math.min(1, waitedMs / 1000 / seconds);
    metrics.write(metricLine(training, { step, epoch, lr, values, seconds, waitShare }));
    if ([...values.values()].some((value) => !Number.isFinite(value))) throw new DivergedError(name, step, values);
    recent.add(values);
    const note = step % training.logSteps === 0 ? `loss ${recent.mean("total").toFixed(4)}` : undefined;
    bar.update(step, { waitShare, ...(note === undefined ? {} : { note }) });
  };

  const save = async (step: number) => {
    await settle();
    if (saved?.step === step) return;
    metrics.sync();
    // The losses say what the network has beside its encoder: alignments of weight 0 left nothing.
    const content = { identity: training.identity, training: name, losses: [...training.step.metrics] };
    const path = await checkpoints.save({
      step,
      state: content,
      write: (folder) => state.write(folder, training.cube),
    });
    saved = { step, path };
    // What a checkpoint takes is no part of the next step.
    settled = performance.now();
  };

  const look = async (step: number) => {
    await settle();
    const began = performance.now();
    try {
      await watch!.look(step, await state.parameters());
    } catch (error) {
      // An interruption loses the look, and no step.
      if (signal.aborted) await save(step);
      throw error;
    }
    settled = performance.now();
    bar.update(step, { asideMs: settled - began });
  };

  const prepare = async (): Promise<ReadyBatch> => {
    const batch = await batches.next();
    const uploaded = state.upload(batch.inputs);
    batch.release();
    return { epoch: batch.epoch, uploaded };
  };

  let ahead: Promise<ReadyBatch> | undefined = quiet(prepare());
  let running: Promise<{ numbers: Promise<Map<string, number>> }> | undefined;
  try {
    for (let step = from; step < schedule.steps; step++) {
      const asked = performance.now();
      const { epoch, uploaded } = await ahead!;
      const waitedMs = performance.now() - asked;
      const lr = scheduleValue(schedule, step);
      const last = step + 1 === schedule.steps;
      // An engine may return from this only when the step is done: what can be done meanwhile comes before waiting for it.
      running = quiet(state.advance(executable, uploaded, stepScalars(training, step)));
      // What fails here is met when its turn comes.
      ahead = last ? undefined : quiet(prepare());
      await settle();
      pending = { step: step + 1, lr, epoch, waitedMs, numbers: quiet((await running).numbers) };
      if (last || signal.aborted || (step + 1) % training.checkpointSteps === 0) await save(step + 1);
      if (signal.aborted && !last) throw signal.reason;
      if (watch?.wants(step + 1)) await look(step + 1);
    }
  } finally {
    await running?.catch(() => {});
    await ahead?.then(({ uploaded }) => uploaded[Symbol.dispose](), () => {});
  }
  return { checkpoint: saved!.path, steps: schedule.steps, metrics: recent.means() };
}

/** A batch on the device. */
interface ReadyBatch {
  readonly epoch: number;
  readonly uploaded: UploadedBatch;
}

/** A step whose numbers are not read yet. */
interface PendingStep {
  /** Steps done, this one included. */
  step: number;
  lr: number;
  epoch: number;
  /** How long the loop stood still for its batch. */
  waitedMs: number;
  numbers: Promise<Map<string, number>>;
}

/** A checkpoint to go on from. */
interface ResumePoint {
  readonly step: number;
  readonly path: string;
}

/** The newest checkpoint that belongs to this training; one of another identity is set aside with a warning. */
async function resumePoint(training: Training): Promise<ResumePoint | undefined> {
  // A run that was killed after its last checkpoint saves none that would clear up behind it.
  training.checkpoints.tidy();
  const found = await training.checkpoints.latest();
  if (!found) return undefined;
  const identity = (found.state as { identity?: unknown } | null)?.identity;
  if (identity === training.identity || training.allowChange) return found;
  const aside = training.checkpoints.setAside();
  training.warn(
    `The checkpoints of ${training.name} come from other settings or other clips: they were moved to ${aside}, ` +
      "and the training begins anew",
  );
  return undefined;
}

/** Takes the look that a run before was cut off in, at the network that it left. */
async function lookAgain({ watch, step }: Training, found: ResumePoint | undefined): Promise<void> {
  watch?.begin(found?.step ?? 0);
  if (found && watch?.wants(found.step)) {
    await watch.look(found.step, await checkpointParameters(found.path, step.parameters));
  }
}

/** A step that is done. */
interface DoneStep extends Pick<PendingStep, "step" | "lr" | "epoch"> {
  values: ReadonlyMap<string, number>;
  seconds: number;
  waitShare: number;
}

function metricLine(training: Training, { step, lr, epoch, values, seconds, waitShare }: DoneStep): Metric {
  const { total, gradNorm, ...terms } = Object.fromEntries(values) as Record<string, number>;
  return {
    stage: training.name,
    step,
    epoch,
    loss: total!,
    ...terms,
    lr,
    ...(gradNorm === undefined ? {} : { gradNorm }),
    clipsPerSecond: round(training.batch / seconds),
    waitShare: round(waitShare),
  };
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}

/** Means over the last steps. */
class RecentMean {
  readonly #steps: ReadonlyMap<string, number>[] = [];

  constructor(private readonly size: number) {}

  add(values: ReadonlyMap<string, number>): void {
    this.#steps.push(values);
    if (this.#steps.length > this.size) this.#steps.shift();
  }

  mean(name: string): number {
    return this.#steps.reduce((sum, values) => sum + values.get(name)!, 0) / this.#steps.length;
  }

  means(): Record<string, number> {
    return Object.fromEntries([...(this.#steps[0]?.keys() ?? [])].map((name) => [name, this.mean(name)]));
  }
}
