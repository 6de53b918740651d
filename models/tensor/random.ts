/**
 * Randomness inside programs, without state: numbers are a function of a key and a counter (Salmon, Moraes, Dror and Shaw,
 * "Parallel random numbers: as easy as 1, 2, 3", SC 2011), hence the same after a restart, on every engine, and however a
 * batch is cut or shared out. Who calls a program makes the keys, one for each sample.
 */
import { checkShape, checkValue } from "./_checks.ts";
import { convert, multiply } from "./ops.ts";
import { Tensor } from "./tensor.ts";

/** Options of {@linkcode randomBits}. */
export interface RandomOptions {
  /** Which of 2^32 independent sequences of a key: each use of a key in a program takes its own. @default {0} */
  stream?: number;
  /** Upper bits of a word that are kept, as a number below 2^bits; 1 to 32. @default {32} */
  bits?: number;
}

/**
 * Random bits without state, `u32[B, 2] -> u32[B, count]`: sample `b` gets what its key determines, whatever the batch
 * around it, the engine and the device. Word `i` of a sample is word `i mod 2` of the block that Threefry-2x32 with 20
 * rounds (Salmon et al. 2011) makes of the sample's key and the counter `(floor(i / 2), stream)`. So a longer draw begins
 * with the shorter one.
 *
 * @param keys two words for each sample, such as a hash of seed, purpose, epoch and clip
 */
export function randomBits(keys: Tensor, count: number, { stream = 0, bits = 32 }: RandomOptions = {}): Tensor {
  if (keys.dtype !== "u32" || keys.rank !== 2 || keys.shape[1] !== 2) {
    throw new TypeError(`randomBits needs keys u32[B, 2], found ${keys}`);
  }
  checkShape("randomBits", [count]);
  checkValue(stream, "u32");
  if (!(Number.isInteger(bits) && 1 <= bits && bits <= 32)) {
    throw new RangeError(`randomBits keeps 1 to 32 bits of a word, found ${bits}`);
  }
  return new Tensor({ kind: "random_bits", stream, bits }, [keys], [keys.shape[0]!, count], "u32");
}

/**
 * Random numbers in [0, 1), multiples of 2^-24 and hence exact in f32: `u32[B, 2] -> f32[B, count]`.
 *
 * @param keys as for {@linkcode randomBits}
 * @param stream as for {@linkcode randomBits}
 */
export function uniform(keys: Tensor, count: number, stream = 0): Tensor {
  return multiply(convert(randomBits(keys, count, { stream, bits: 24 }), "f32"), 2 ** -24);
}
