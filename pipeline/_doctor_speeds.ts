/** What the doctor measures: names with units for programs, words for people. */
import { formatBytes, formatRate } from "./units.ts";

const SPEEDS = {
  /** Products of square matrices, billions of multiplications and additions a second. */
  f32ProductGflops: (value: number) => `products in f32 ${gigaflops(value)}`,
  bf16ProductGflops: (value: number) => `in bf16 ${gigaflops(value)}`,
  /** A training step of the demo's teacher, its matrix products counted. */
  stepGflops: (value: number) => `a small training step ${gigaflops(value)}`,
  stepClipsPerSecond: (value: number) => formatRate(value, "clips", "clip"),
  /** Views of 16 pictures from clips of 64, 320 x 240, H.264, one thread. */
  decodedClipsPerSecond: (value: number) => `decodes ${formatRate(value, "clips", "clip")} on one core`,
  /** To the disk, the wait for it included. */
  writtenBytesPerSecond: (value: number) => `writes ${formatBytes(value)}/s`,
  /** Of a file that was just written: the system may have it in memory. */
  readBytesPerSecond: (value: number) => `reads what it has just written at ${formatBytes(value)}/s`,
};

/** Numbers by name; what could not be measured is left out. */
export type Measured = { readonly [Name in keyof typeof SPEEDS]?: number };

/** The numbers in one line. */
export function speedText(measured: Measured): string {
  return Object.entries(SPEEDS).flatMap(([name, text]) => {
    const value = measured[name as keyof Measured];
    return value === undefined ? [] : [text(value)];
  }).join(", ");
}

function gigaflops(value: number): string {
  return `${Number(value.toPrecision(3))} GFLOP/s`;
}
