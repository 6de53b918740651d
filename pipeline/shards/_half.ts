/** Float16 bytes: conversion and the check that no value overflowed, without a loop per value where V8 has a faster way. */
import { bytesOf } from "./_positional.ts";

/** Features of one row and level: float16 as typed array or as its bytes, or float32 to be rounded. */
export type FeatureData = Uint8Array | Uint16Array | Float16Array | Float32Array;

/** Bits of float16 infinity; anything above is not a number. */
export const HALF_INFINITY = 0x7c00;

/** The data as float16 bytes; float32 is rounded to nearest even. */
export function halfBytes(data: FeatureData): Uint8Array {
  return bytesOf(data instanceof Float32Array ? new Float16Array(data) : data);
}

/**
 * Bits of the largest magnitude, 0 to 0x7fff. Float16 magnitudes order like their bits, with infinity and NaN on top,
 * so two values are compared per 32-bit word.
 */
export function largestHalf(bytes: Uint8Array): number {
  const even = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const words = new Uint32Array(even.buffer, even.byteOffset, even.length >> 2);
  let low = 0, high = 0;
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!, first = word & 0x7fff, second = word & 0x7fff0000;
    if (first > low) low = first;
    if (second > high) high = second;
  }
  const rest = even.length % 4 === 2 ? (even[even.length - 2]! | even[even.length - 1]! << 8) & 0x7fff : 0;
  return Math.max(low, high >>> 16, rest);
}

/** The number that float16 bits stand for. */
export function halfValue(bits: number): number {
  return new Float16Array(Uint16Array.of(bits).buffer)[0]!;
}
