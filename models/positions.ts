/**
 * VideoMAE's position code: a fixed 1-D sinusoid over the token number, not separable in time and space, not trained and
 * in no checkpoint (`get_sinusoid_encoding_table` of the official code).
 */

/**
 * The table `angle(p, j) = p / 10000^(2 * floor(j / 2) / width)`, sine where j is even and cosine where it is odd.
 * Computed in double precision, then rounded.
 *
 * @param tokens number of tokens, N
 * @param width channels, D
 * @returns `[N, D]`, row-major
 *
 * @example
 * ```ts
 * import { sinusoid } from "./positions.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(sinusoid(2, 4), Float32Array.of(0, 1, 0, 1, Math.sin(1), Math.cos(1), Math.sin(0.01), Math.cos(0.01)));
 * ```
 */
export function sinusoid(tokens: number, width: number): Float32Array<ArrayBuffer> {
  const table = new Float32Array(tokens * width);
  for (let channel = 0; channel < width; channel++) {
    const wavelength = 10_000 ** (2 * Math.floor(channel / 2) / width);
    const wave = channel % 2 === 0 ? Math.sin : Math.cos;
    for (let token = 0; token < tokens; token++) table[token * width + channel] = wave(token / wavelength);
  }
  return table;
}
