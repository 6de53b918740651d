/**
 * Which frames of a clip a view takes: the index rules of VideoMAE and AMD, as pure functions of the frame count and of
 * uniform draws given by the caller. They follow the released data sets (AMD `dataset/datasets.py`, VideoMAE
 * `kinetics.py`) number by number; "uniform" is the one rule of our own. Indices are 0-based and never decrease.
 * A short clip repeats frames the way the official code does; nothing here decides that a clip is too short.
 */

/** `frames` frames a fixed `stride` apart from a random start; the last reached frame repeats in a short clip. */
export interface StrideRule {
  /** "k400": pre-training on Kinetics, stride 4. "ssv2-stride": VideoMAE's pre-training on SSv2, stride 2. */
  kind: "k400" | "ssv2-stride";
  /** Frames of a view. */
  frames: number;
  /** Source frames from one taken frame to the next. @default 4 for "k400", 2 for "ssv2-stride" */
  stride?: number;
}

/** `frames` points spread over a random window of `frames * stride` source frames, both ends included, then floored. */
export interface WindowRule {
  /** "ssv2": AMD's pre-training on SSv2, stride 2. "dense": fine-tuning on Kinetics, stride 4. */
  kind: "ssv2" | "dense";
  /** Frames of a view. */
  frames: number;
  /** Nominal stride; the real one is `frames * stride / (frames - 1)`. @default 2 for "ssv2", 4 for "dense" */
  stride?: number;
}

/** One random ("tsn", fine-tuning on SSv2) or the central ("uniform", repeatable) frame of each of `frames` equal parts. */
export interface PartsRule {
  kind: "tsn" | "uniform";
  /** Frames of a view. */
  frames: number;
}

/** One of the views that a test protocol averages over. */
export interface SegmentRule {
  /** "segments-k400": windows of fixed stride, 5 of them. "segments-ssv2": interleaved uniform grids, 2 of them. */
  kind: "segments-k400" | "segments-ssv2";
  /** Frames of a view. */
  frames: number;
  /** Views in time; "segments-k400" with 1 takes the middle window. */
  segments: number;
  /** Which view, 0 to `segments - 1`. */
  segment: number;
  /** Source frames from one taken frame to the next, "segments-k400" only. @default 4 */
  stride?: number;
}

/** How the frames of one view are chosen. */
export type SamplingRule = StrideRule | WindowRule | PartsRule | SegmentRule;

/** Names of all rules, for settings and help texts. */
export const SAMPLING_KINDS: readonly SamplingRule["kind"][] = [
  "k400",
  "ssv2",
  "ssv2-stride",
  "dense",
  "tsn",
  "uniform",
  "segments-k400",
  "segments-ssv2",
];

/**
 * How many uniform draws a rule consumes. It depends on the rule alone, never on the clip, so that whatever draws come
 * after (the crop's) do not move when a clip is a frame longer.
 *
 * @param rule The sampling rule.
 * @returns 1 for a random start, `frames` for "tsn", 0 for the repeatable rules.
 */
export function samplingDraws(rule: SamplingRule): number {
  switch (rule.kind) {
    case "k400":
    case "ssv2-stride":
    case "ssv2":
    case "dense":
      return 1;
    case "tsn":
      return rule.frames;
    default:
      return 0;
  }
}

/**
 * The source frame numbers of one view.
 *
 * @param rule How to choose.
 * @param frameCount Frames that the clip really delivers, at least 1.
 * @param draws Uniform numbers in [0, 1); the first `samplingDraws(rule)` are used.
 * @returns Frame numbers, [frames], each in 0 to `frameCount - 1`, not decreasing.
 * @throws {RangeError} A setting, the frame count or a draw is outside its range, or draws are missing.
 *
 * @example
 * ```ts
 * import { sampleFrames } from "./sampling.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals([...sampleFrames({ kind: "uniform", frames: 4 }, 8, [])], [1, 3, 5, 7]);
 * assertEquals([...sampleFrames({ kind: "k400", frames: 4, stride: 2 }, 10, [0.5])], [1, 3, 5, 7]);
 * ```
 */
export function sampleFrames(rule: SamplingRule, frameCount: number, draws: readonly number[]): Int32Array {
  checkRule(rule);
  if (!Number.isSafeInteger(frameCount) || frameCount < 1 || frameCount > 0x7fffffff) {
    throw new RangeError(`Cannot sample a clip of ${frameCount} frames: expected a whole number of at least 1`);
  }
  const needed = samplingDraws(rule);
  if (draws.length < needed) {
    throw new RangeError(`Sampling rule "${rule.kind}" needs ${needed} draws, got ${draws.length}`);
  }
  for (let i = 0; i < needed; i++) checkDraw(draws[i]!);

  switch (rule.kind) {
    case "k400":
      return strideFrames(rule.frames, rule.stride ?? 4, frameCount, draws[0]!);
    case "ssv2-stride":
      return strideFrames(rule.frames, rule.stride ?? 2, frameCount, draws[0]!);
    case "ssv2":
      return windowFrames(rule.frames, rule.stride ?? 2, frameCount, draws[0]!);
    case "dense":
      return windowFrames(rule.frames, rule.stride ?? 4, frameCount, draws[0]!);
    case "tsn":
      return randomPartFrames(rule.frames, frameCount, draws);
    case "uniform":
      return Int32Array.from({ length: rule.frames }, (_, i) => Math.floor(((i + 0.5) * frameCount) / rule.frames));
    case "segments-k400":
      return windowSegment(rule, rule.stride ?? 4, frameCount);
    case "segments-ssv2":
      return gridSegment(rule, frameCount);
  }
}

/**
 * Turns a uniform draw into a whole number.
 *
 * @param draw Uniform number in [0, 1).
 * @param count How many outcomes there are, at least 1.
 * @returns A number from 0 to `count - 1`, each equally likely.
 */
export function drawInteger(draw: number, count: number): number {
  return Math.min(Math.floor(draw * count), count - 1);
}

/** @throws {RangeError} The number is not a uniform draw. */
export function checkDraw(draw: number): void {
  if (!(draw >= 0 && draw < 1)) throw new RangeError(`A draw must be at least 0 and below 1, got ${draw}`);
}

/** @throws {RangeError} A setting of the rule makes no sense. */
export function checkRule(rule: SamplingRule): void {
  if (!SAMPLING_KINDS.includes(rule.kind)) {
    throw new RangeError(`Unknown sampling rule "${rule.kind}": expected one of ${SAMPLING_KINDS.join(", ")}`);
  }
  checkCount(rule, "frames", rule.frames, 1, 4096);
  if ("stride" in rule && rule.stride !== undefined) checkCount(rule, "stride", rule.stride, 1, 4096);
  if ("segments" in rule) {
    checkCount(rule, "segments", rule.segments, 1, 4096);
    checkCount(rule, "segment", rule.segment, 0, rule.segments - 1);
  }
}

function checkCount(rule: SamplingRule, name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(
      `Sampling rule "${rule.kind}": ${name} must be a whole number from ${least} to ${most}, got ${value}`,
    );
  }
}

/** VideoMAE's walk: it stops one frame earlier than needed (1-based position + stride < count), as the original does. */
function strideFrames(frames: number, stride: number, count: number, draw: number): Int32Array {
  const span = frames * stride;
  let position = count >= span ? drawInteger(draw, count - span + 1) : 0;
  return Int32Array.from({ length: frames }, (_, i) => {
    if (i > 0 && position + 1 + stride < count) position += stride;
    return position;
  });
}

/** `floor(linspace(start, end, frames))` clipped below `end`, and a padded coarse linspace in clips within one window. */
function windowFrames(frames: number, stride: number, count: number, draw: number): Int32Array {
  const span = frames * stride;
  if (count > span) {
    const end = span + drawInteger(draw, count - span);
    return linspace(end - span, end, frames).map((x) => Math.min(x, end - 1));
  }
  const reached = linspace(0, count, Math.floor(count / stride));
  return Int32Array.from({ length: frames }, (_, i) => Math.min(reached[i] ?? count, count - 1));
}

/** numpy's `linspace` floored: the step is rounded once and the last point is exact. */
function linspace(start: number, end: number, points: number): Int32Array {
  const step = points > 1 ? (end - start) / (points - 1) : 0;
  return Int32Array.from(
    { length: points },
    (_, i) => i > 0 && i === points - 1 ? end : Math.floor(start + i * step),
  );
}

function randomPartFrames(frames: number, count: number, draws: readonly number[]): Int32Array {
  const part = Math.floor(count / frames);
  return Int32Array.from(
    { length: frames },
    (_, i) => part > 0 ? i * part + drawInteger(draws[i]!, part) : Math.max(0, i - (frames - count)),
  );
}

/** Every `stride`-th frame of the whole clip, padded to one window; window starts are spread evenly and floored. */
function windowSegment(rule: SegmentRule, stride: number, count: number): Int32Array {
  const strided = Math.ceil(count / stride);
  const room = Math.max(strided - rule.frames, 0);
  const start = rule.segments > 1 ? Math.floor(rule.segment * (room / (rule.segments - 1))) : Math.floor(room / 2);
  return Int32Array.from({ length: rule.frames }, (_, i) => Math.min(start + i, strided - 1) * stride);
}

/** `segments` grids of step count/frames, each shifted by a fraction of it, sorted together and dealt out in turn. */
function gridSegment(rule: SegmentRule, count: number): Int32Array {
  const tick = count / rule.frames;
  const all: number[] = [];
  for (let grid = 1; grid <= rule.segments; grid++) {
    const shift = grid === 1 ? 0 : tick / grid;
    for (let i = 0; i < rule.frames; i++) all.push(Math.floor(shift + tick * i));
  }
  all.sort((a, b) => a - b);
  return Int32Array.from({ length: rule.frames }, (_, i) => all[rule.segment + i * rule.segments]!);
}
