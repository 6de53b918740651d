/**
 * A part of a clip in seconds, as lists of annotated moments name it. Sampling sees the pictures of the part as if they
 * were the whole clip; frame numbers and times stay those of the file.
 */

/** Seconds of a clip, counted from its first picture. */
export interface ClipSpan {
  /** The first picture is the first one at or after this. */
  start: number;
  /** Pictures from here on are left out; null goes to the end. */
  end: number | null;
}

/** Pictures of a span: `count` of them from number `first` on. */
export interface SpanFrames {
  first: number;
  count: number;
}

/**
 * The pictures of a span. Times are compared in whole microseconds, so that decimal seconds meet fractions of a clock.
 *
 * @param span Null or undefined is the whole clip.
 * @param count Pictures of the clip.
 * @param secondsAt Time of a picture, counted from the first one, not decreasing.
 * @returns Its pictures; none where no picture lies between start and end.
 * @throws {RangeError} The span has no length or begins before the clip.
 *
 * @example
 * ```ts
 * import { spanFrames } from "./span.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(spanFrames({ start: 0.2, end: 0.5 }, 10, (frame) => frame / 10), { first: 2, count: 3 });
 * ```
 */
export function spanFrames(
  span: ClipSpan | null | undefined,
  count: number,
  secondsAt: (frame: number) => number,
): SpanFrames {
  if (!span) return { first: 0, count };
  checkSpan(span);
  const first = firstAtOrAfter(span.start, count, secondsAt);
  const end = span.end === null ? count : firstAtOrAfter(span.end, count, secondsAt);
  return { first, count: end - first };
}

/** @throws {RangeError} The span has no length or begins before the clip. */
export function checkSpan({ start, end }: ClipSpan): void {
  if (!(start >= 0 && start < Infinity) || end !== null && !(end > start)) {
    throw new RangeError(`A part of a clip needs 0 <= start < end in seconds, got ${start} to ${end}`);
  }
}

function firstAtOrAfter(seconds: number, count: number, secondsAt: (frame: number) => number): number {
  const wanted = Math.round(seconds * 1e6);
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (Math.round(secondsAt(middle) * 1e6) >= wanted) high = middle;
    else low = middle + 1;
  }
  return low;
}
