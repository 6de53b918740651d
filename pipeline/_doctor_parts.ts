/** The parts of a machine that the doctor tries, and what trying one gives. */
import type { Measured } from "./_doctor_speeds.ts";

/** The parts, in the order in which they are tried. */
export const PARTS = ["cores", "memory", "cache", "libav", "ffmpeg", "tfjs", "xla", "cuda", "tpu"] as const;
export type Part = typeof PARTS[number];

/** What a part that works is, and what was measured on it. */
export interface Finding {
  readonly found: string;
  readonly measured?: Measured;
}

/** Tries a part: says what works, or throws what is missing and what mends it. */
export type Probe = () => Finding | Promise<Finding>;
