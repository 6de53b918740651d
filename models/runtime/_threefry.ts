/**
 * Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011):
 * two words of key and two of counter give two random words. For the interpreters; `stablehlo.ts` writes the same rounds as
 * operations.
 */

/** Rotations of the eight kinds of rounds. */
export const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24] as const;
export const ROUNDS = 20;
/** Rounds between two additions of the key. */
export const ROUNDS_OF_A_KEY = 4;
/** What the third key word is made with. */
export const PARITY = 0x1bd11bda;

/** Writes the two words of block (`counter0`, `counter1`) under (`key0`, `key1`) to `out`; all are taken modulo 2^32. */
export function threefry(key0: number, key1: number, counter0: number, counter1: number, out: Uint32Array): void {
  const keys = [key0, key1, key0 ^ key1 ^ PARITY];
  let x = counter0 + key0 | 0, y = counter1 + key1 | 0;
  for (let round = 0; round < ROUNDS; round++) {
    const turn = ROTATIONS[round % ROTATIONS.length]!;
    x = x + y | 0;
    y = (y << turn | y >>> 32 - turn) ^ x;
    if ((round + 1) % ROUNDS_OF_A_KEY === 0) {
      const time = (round + 1) / ROUNDS_OF_A_KEY;
      x = x + keys[time % 3]! | 0;
      y = y + keys[(time + 1) % 3]! + time | 0;
    }
  }
  out[0] = x;
  out[1] = y;
}

/**
 * The numbers of `randomBits`: for each key, `count` times the upper `bits` bits of a random word.
 *
 * @param keys pairs of words
 * @returns `[keys.length / 2, count]`, row-major
 */
export function randomWords(
  keys: ArrayLike<number>,
  count: number,
  { stream, bits }: { readonly stream: number; readonly bits: number },
): Uint32Array {
  const words = new Uint32Array(keys.length / 2 * count);
  const block = new Uint32Array(2);
  for (let at = 0; at < words.length; at++) {
    const sample = Math.floor(at / count), i = at % count;
    if (i % 2 === 0) threefry(keys[2 * sample]!, keys[2 * sample + 1]!, i / 2, stream, block);
    words[at] = block[i % 2]! >>> 32 - bits;
  }
  return words;
}
