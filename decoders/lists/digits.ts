/**
 * The embedded demo: clips of real handwritten digits (MNIST) in motion, as real video files, half of them VP9 in WebM and
 * half H.264 in MP4. The label is the motion, one of eight, which takes more than one frame to tell. Training and
 * validation clips show digits of different images.
 *
 * The same settings give the same bytes. A folder that was left half made is finished; `digits.json`, which holds the
 * settings, marks it complete. One process at a time may make a folder.
 */
import { drawInteger } from "../sampling.ts";
import { MOTION_DRAWS, MOTIONS } from "./_digit_motion.ts";
import type { DigitAnswer, DigitJob } from "./_digits_worker.ts";
import { type DemoLists, fillDemoFolder, isWritten } from "./_demo_folder.ts";
import { DIGIT_FILES, DIGIT_PIXELS, type DigitPart, readDigits } from "./_mnist.ts";

export { MOTIONS as DIGIT_CLASSES } from "./_digit_motion.ts";

/** Version of the clips: another one draws or encodes differently. */
const VERSION = 1;

/** Clips that a worker is sent at a time. */
const BATCH = 16;

/** What to make. */
export interface DigitsOptions {
  /** Where; made if absent. */
  folder: string;
  /** Training clips. */
  trainClips: number;
  /** Validation clips. */
  valClips: number;
  /** Pictures of a clip; the whole movement is equally far at any length. */
  frames: number;
  /** Width and height of a clip, pixels, even. */
  size: number;
  /** Seed of digits and movements, 0 to 2^53 - 1. */
  seed: number;
  /** Gives `count` numbers in [0, 1) that depend on the other arguments only. */
  uniforms: (count: number, seed: number, purpose: string, ...key: (number | string)[]) => ArrayLike<number>;
  /** Workers side by side. @default one a core */
  lanes?: number;
  /** Stops between clips; what is there stays. */
  signal?: AbortSignal;
  /** Called as clips are written, those found already written included. */
  onProgress?: (done: number, total: number) => void;
}

/**
 * Makes the demo's clips and lists, or what is missing of them.
 *
 * @param options Sizes, seed, place.
 * @returns Where the lists are.
 * @throws {RangeError} A size makes no sense.
 * @throws {ListError} The folder holds clips of other settings.
 * @throws The signal's reason, if it aborts.
 */
export async function makeDigits(options: DigitsOptions): Promise<DemoLists> {
  checkOptions(options);
  const { folder, trainClips, valClips, frames, size, seed } = options;
  const settings = {
    version: VERSION,
    trainClips,
    valClips,
    frames,
    size,
    seed,
    digits: { train: DIGIT_FILES.train.sha256, val: DIGIT_FILES.val.sha256 },
  };
  const parts: [DigitPart, number][] = [["train", trainClips], ["val", valClips]];
  const lists = { train: listText("train", trainClips), val: listText("val", valClips) };
  const demo = { folder, kind: "digits", settings, lists, classes: MOTIONS };
  return await fillDemoFolder(demo, trainClips + valClips, () => makeMissing(options, parts));
}

function checkOptions(options: DigitsOptions): void {
  for (const name of ["trainClips", "valClips", "frames", "size", "lanes"] as const) {
    const value = options[name] ?? 1;
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new RangeError(`Cannot make digits: ${name} must be a whole number of at least 1, got ${value}`);
    }
  }
  if (options.size % 2 !== 0) throw new RangeError(`Cannot make digits: size must be even, got ${options.size}`);
}

/** Path of a clip from the demo's folder: formats alternate, and each motion comes in both. */
export function digitClipName(part: DigitPart, index: number): string {
  return `${part}/${String(index).padStart(6, "0")}.${index % 2 === 0 ? "webm" : "mp4"}`;
}

function motionOf(index: number): number {
  return Math.floor(index / 2) % MOTIONS.length;
}

function listText(part: DigitPart, count: number): string {
  return Array.from({ length: count }, (_, i) => `${digitClipName(part, i)} ${motionOf(i)}\n`).join("");
}

/** Makes the clips that are not there, a worker a lane. */
async function makeMissing(options: DigitsOptions, parts: [DigitPart, number][]): Promise<void> {
  const { folder, lanes = navigator.hardwareConcurrency, signal, onProgress } = options;
  const missing = parts.flatMap(([part, count]) =>
    Array.from({ length: count }, (_, index) => ({ part, index }))
      .filter(({ index }) => !isWritten(`${folder}/${digitClipName(part, index)}`))
  );
  const total = options.trainClips + options.valClips;
  let done = total - missing.length;
  onProgress?.(done, total);
  if (missing.length === 0) return;

  const digits: Partial<Record<DigitPart, Uint8Array>> = {};
  for (const { part } of missing) digits[part] ??= await readDigits(part);
  let next = 0;
  const lane = async () => {
    using worker = new DigitsWorker();
    try {
      while (next < missing.length) {
        signal?.throwIfAborted();
        const batch = missing.slice(next, next += BATCH);
        await worker.make(batch.map(({ part, index }) => jobOf(options, part, index, digits[part]!)));
        onProgress?.(done += batch.length, total);
      }
    } finally {
      next = missing.length; // where one fails, the others stop too
    }
  };
  const count = Math.min(lanes, Math.ceil(missing.length / BATCH));
  const ends = await Promise.allSettled(Array.from({ length: count }, lane));
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}

function jobOf(options: DigitsOptions, part: DigitPart, index: number, digits: Uint8Array): DigitJob {
  const { folder, frames, size, seed } = options;
  const [choice, ...draws] = Array.from(options.uniforms(1 + MOTION_DRAWS, seed, "moving digit", part, index));
  const at = drawInteger(choice!, DIGIT_FILES[part].count) * DIGIT_PIXELS;
  return {
    path: `${folder}/${digitClipName(part, index)}`,
    digit: digits.slice(at, at + DIGIT_PIXELS),
    motion: motionOf(index),
    draws: Float64Array.from(draws),
    frames,
    size,
  };
}

/** A worker with one batch under way at a time. */
class DigitsWorker implements Disposable {
  readonly #worker = new Worker(new URL("./_digits_worker.ts", import.meta.url), { type: "module" });

  /** Resolves once all clips are written. */
  async make(jobs: DigitJob[]): Promise<void> {
    const answer = Promise.withResolvers<DigitAnswer>();
    this.#worker.onmessage = ({ data }) => answer.resolve(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      answer.reject(new Error(`The worker that makes demo clips failed: ${event.message}`));
    };
    this.#worker.postMessage(jobs);
    const problem = await answer.promise;
    if (problem !== null) throw new Error(`Cannot make demo clips: ${problem}`);
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}
