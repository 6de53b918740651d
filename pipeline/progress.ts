/**
 * How a stage tells how far it came. Stages call it often and know nothing of terminals; what shows it decides how
 * often to draw (`tasks/_progress.ts`).
 */

/** Where progress is shown. Stages follow one another; one is shown at a time. */
export interface Progress {
  /**
   * Begins a stage. Disposing of what it returns ends it, done or not.
   *
   * @param stage Name of the stage, such as "pretrain".
   * @param total What it has to do altogether; 0 if it is not known.
   * @param unit What is counted, in the plural with an s: "steps", "clips".
   */
  begin(stage: string, total: number, unit: string, options?: BeginOptions): StageProgress;
}

/** Options of {@linkcode Progress.begin}. */
export interface BeginOptions {
  /**
   * What was done before, by the run that this one goes on from. It counts in `done`, not in the rate.
   * @default 0
   */
  from?: number;
}

/** One stage at work. */
export interface StageProgress extends Disposable {
  /**
   * Tells how far the stage is.
   *
   * @param done Of the total, what was done before included.
   */
  update(done: number, extra?: ProgressExtra): void;
}

/** What else may be shown. */
export interface ProgressExtra {
  /** Share of the time since the last update that was spent waiting for data, 0 to 1. */
  waitShare?: number;
  /** A few words, such as "total 0.912". */
  note?: string;
  /** Time since the last update that went into something else: it is no part of the rate, ms. */
  asideMs?: number;
}

/** Shows nothing. */
export const silentProgress: Progress = {
  begin: () => ({ update: () => {}, [Symbol.dispose]: () => {} }),
};
