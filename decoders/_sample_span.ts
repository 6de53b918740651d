/** Samples the frames of a request: of the whole clip, or of the part of it that is asked for. */
import { CorruptClipError, type DecodeRequest } from "./decoder.ts";
import { sampleFrames } from "./sampling.ts";
import { spanFrames } from "./span.ts";

/**
 * @param request What to sample.
 * @param frameCount Frames of the whole clip.
 * @param secondsAt Time of a frame, counted from the first one; null where the clip has no clock.
 * @returns Frame numbers of the whole clip, [T], not decreasing.
 * @throws {CorruptClipError} The part has no frame, or cannot be found without a clock.
 */
export function sampleSpan(
  { path, sampling, draws, span }: Pick<DecodeRequest, "path" | "sampling" | "draws" | "span">,
  frameCount: number,
  secondsAt: ((frame: number) => number) | null,
): Int32Array<ArrayBuffer> {
  if (!span) return sampleFrames(sampling, frameCount, draws) as Int32Array<ArrayBuffer>;
  const part = `from ${span.start} s to ${span.end === null ? "the end" : `${span.end} s`}`;
  if (secondsAt === null) {
    throw new CorruptClipError(path, "unsupported-codec", `its pictures have no times, to find the part ${part} by`);
  }
  const { first, count } = spanFrames(span, frameCount, secondsAt);
  if (count < 1) {
    const last = secondsAt(frameCount - 1).toFixed(2);
    throw new CorruptClipError(path, "too-short", `no picture ${part}; the last one is at ${last} s`);
  }
  return sampleFrames(sampling, count, draws).map((frame) => frame + first) as Int32Array<ArrayBuffer>;
}
