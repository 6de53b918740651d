/**
 * Position codes, neither of them trained. VideoMAE's: a 1-D sinusoid over the token number, not separable in time and space
 * and in no checkpoint (`get_sinusoid_encoding_table` of the official code). MAE's: a 2-D one over columns and rows, which
 * its checkpoints keep (`get_2d_sincos_pos_embed`).
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

/**
 * The table of a picture's tokens behind a class token, whose row is 0. The first half of the channels is of the column, the
 * second half of the row; in each half sines, then cosines, of `place / 10000^(4 * j / width)`, j from 0 to width / 4 - 1.
 * Computed in double precision, then rounded.
 *
 * @param width channels, D, a multiple of 4
 * @returns `[1 + rows * columns, D]`, row-major
 * @throws {RangeError} if the width is no multiple of 4
 *
 * @example
 * ```ts
 * import { gridSinusoid } from "./positions.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const [sine, cosine] = [Math.sin(1), Math.cos(1)];
 * assertEquals(gridSinusoid(1, 2, 4), Float32Array.of(0, 0, 0, 0, 0, 1, 0, 1, sine, cosine, 0, 1));
 * ```
 */
export function gridSinusoid(rows: number, columns: number, width: number): Float32Array<ArrayBuffer> {
  const waves = width / 4;
  if (!Number.isInteger(waves)) throw new RangeError(`Positions of columns and rows need 4 n channels, found ${width}`);
  const table = new Float32Array((1 + rows * columns) * width);
  for (let token = 0; token < rows * columns; token++) {
    [token % columns, Math.floor(token / columns)].forEach((place, half) => {
      const start = (1 + token) * width + half * 2 * waves;
      for (let j = 0; j < waves; j++) {
        const angle = place / 10_000 ** (j / waves);
        table[start + j] = Math.sin(angle);
        table[start + waves + j] = Math.cos(angle);
      }
    });
  }
  return table;
}
