/**
 * Learning rates over a run: linear warm-up, then half a cosine, one value a step, as in the official AMD code; the
 * scaling of rates with the batch. Everything is a pure function of the step, so that a resumed run needs no state. Unlike
 * the official code, warm-up steps need no warm-up epochs.
 */

/** A schedule from a start value over a warm-up to a peak and down to a final value. */
export interface Schedule {
  /** Highest value, reached at the last warm-up step. */
  peak: number;
  /** Value the cosine falls towards; the last step stays one step above it. */
  final: number;
  /** Steps of the whole run. */
  steps: number;
  /** Steps of the linear rise, both ends included; the rise of one step is its start value alone. @default 0 */
  warmupSteps?: number;
  /** First value of the rise. @default 0 */
  start?: number;
}

/**
 * The value at one step. With W warm-up steps and K = steps - W:
 * `start + (peak - start) * i / (W - 1)` for i < W, then `final + (peak - final) / 2 * (1 + cos(pi * (i - W) / K))`.
 *
 * @param schedule The schedule.
 * @param step Step counted from 0.
 * @throws {RangeError} if the step lies outside the run or the warm-up is longer than the run
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { scheduleValue } from "./schedule.ts";
 *
 * const schedule = { peak: 1, final: 0, steps: 4, warmupSteps: 2 };
 * assertEquals([0, 1, 2, 3].map((step) => scheduleValue(schedule, step)), [0, 1, 1, 0.5]);
 * ```
 */
export function scheduleValue(schedule: Schedule, step: number): number {
  const { peak, final, steps, warmupSteps = 0, start = 0 } = schedule;
  if (!Number.isInteger(warmupSteps) || warmupSteps < 0 || warmupSteps > steps) {
    throw new RangeError(`A run of ${steps} steps cannot have ${warmupSteps} warm-up steps`);
  }
  if (!Number.isInteger(step) || step < 0 || step >= steps) {
    throw new RangeError(`Step ${step} lies outside a run of ${steps} steps`);
  }
  if (step < warmupSteps) {
    if (step === warmupSteps - 1 && step > 0) return peak;
    return warmupSteps === 1 ? start : start + (peak - start) * step / (warmupSteps - 1);
  }
  const remaining = steps - warmupSteps;
  return final + 0.5 * (peak - final) * (1 + Math.cos(Math.PI * (step - warmupSteps) / remaining));
}

/** Clips a step for which a base learning rate is stated. */
const BASE_BATCH = 256;

/** The learning rate at `batch` clips a step: `base * batch / 256`. Peak and final rate scale alike. */
export function scaledRate(base: number, batch: number): number {
  return base * batch / BASE_BATCH;
}

/** What a training's schedule is made from; the groups `pretrain` and `finetune` of the settings have these names. */
export interface TrainingRates {
  epochs: number;
  warmupEpochs: number;
  /** Clips a step. */
  batch: number;
  /** Peak rate at 256 clips a step. */
  baseLr: number;
  /** Final rate at 256 clips a step. */
  minLr: number;
}

/**
 * The learning-rate schedule of a training. An epoch counts `floor(clips / batch)` steps, as officially; the clips that
 * are left over begin the next one. Fewer clips than one step holds still give a step an epoch: it then goes through
 * them several times, each time under fresh masks.
 *
 * @param rates The training's settings.
 * @param clips Clips of one epoch.
 * @throws {RangeError} if there is no clip
 */
export function trainingSchedule(rates: TrainingRates, clips: number): Schedule & { stepsPerEpoch: number } {
  if (!(clips >= 1)) throw new RangeError(`A training needs at least 1 clip: found ${clips}`);
  const stepsPerEpoch = Math.max(1, Math.floor(clips / rates.batch));
  return {
    peak: scaledRate(rates.baseLr, rates.batch),
    final: scaledRate(rates.minLr, rates.batch),
    steps: stepsPerEpoch * rates.epochs,
    warmupSteps: stepsPerEpoch * rates.warmupEpochs,
    stepsPerEpoch,
  };
}

/**
 * The schedule of the image MAE code: the rate at a fractional epoch, `peak * epoch / warmup` and then half a cosine.
 *
 * @param epoch Epoch counted from 0 with the share of the epoch that is done.
 */
export function epochRate(
  { peak, final, epochs, warmupEpochs }: { peak: number; final: number; epochs: number; warmupEpochs: number },
  epoch: number,
): number {
  if (epoch < warmupEpochs) return peak * epoch / warmupEpochs;
  return final + (peak - final) * 0.5 * (1 + Math.cos(Math.PI * (epoch - warmupEpochs) / (epochs - warmupEpochs)));
}
