/**
 * Randomness without state: every draw is a pure function of (seed, purpose, key), so that a resumed run, another
 * order of work or another number of workers makes the same choices.
 *
 * The purpose and the key are absorbed block by block into a Philox counter (a chained hash); the stream is Philox
 * counting on from there. Hash and stream use different Philox keys, so that no stream repeats another one's hash.
 */
import { philox } from "./_philox.ts";

/** Part of a key: a safe integer (item, epoch, view, step) or a string (clip id). */
export type KeyPart = number | string;

const HASH_DOMAIN = 0x80000000;
const TAG_NUMBER = 1;
const TAG_STRING = 2;
const TWO_32 = 2 ** 32;
const utf8 = new TextEncoder();

/** Checks a seed and gives its two words; a seed has 53 bits, so the top bit of the high word is free. */
function seedWords(seed: number): [low: number, high: number] {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(`A seed is an integer from 0 to ${Number.MAX_SAFE_INTEGER}: found ${seed}`);
  }
  return [seed >>> 0, Math.floor(seed / TWO_32)];
}

/** Feeds words into the chained hash, four at a time. */
class Absorber {
  readonly state = new Uint32Array(4);
  #filled = 0;
  constructor(readonly key0: number, readonly key1: number) {}

  word(value: number): void {
    this.state[this.#filled] = this.state[this.#filled]! ^ value;
    if (++this.#filled === 4) this.#mix();
  }

  number(value: number): void {
    if (!Number.isSafeInteger(value)) throw new RangeError(`A random key holds safe integers: found ${value}`);
    this.word(TAG_NUMBER);
    this.word(value >>> 0);
    this.word(Math.floor(value / TWO_32) >>> 0);
  }

  string(value: string): void {
    const bytes = utf8.encode(value);
    this.word(TAG_STRING);
    this.word(bytes.length);
    for (let i = 0; i < bytes.length; i += 4) {
      this.word(bytes[i]! | (bytes[i + 1] ?? 0) << 8 | (bytes[i + 2] ?? 0) << 16 | (bytes[i + 3] ?? 0) << 24);
    }
  }

  /** The hash: parts carry their own tag and length, hence zero padding leaves no two keys alike. */
  finish(): Uint32Array {
    if (this.#filled > 0) this.#mix();
    return this.state;
  }

  #mix(): void {
    philox(this.state, this.key0, this.key1);
    this.#filled = 0;
  }
}

/**
 * Random numbers in [0, 1) with 53 bits each.
 *
 * A longer draw begins with the shorter one: `uniforms(3, ...)` are the first three of `uniforms(9, ...)`.
 *
 * @param count How many numbers.
 * @param seed The run's seed, 0 to 2^53 - 1.
 * @param purpose What is drawn, such as `"student mask"`; different purposes are independent.
 * @param key What it is drawn for, such as epoch and clip id. `1` and `"1"` are different keys.
 * @returns `count` numbers.
 * @throws {RangeError} If the seed, the count or a key number is not a safe integer in its range.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { uniforms } from "./random.ts";
 *
 * assertEquals(uniforms(2, 7, "crop", 3, "clip-a"), uniforms(5, 7, "crop", 3, "clip-a").subarray(0, 2));
 * ```
 */
export function uniforms(count: number, seed: number, purpose: string, ...key: KeyPart[]): Float64Array {
  if (!Number.isSafeInteger(count) || count < 0) throw new RangeError(`A draw has 0 or more numbers: found ${count}`);
  const [low, high] = seedWords(seed);
  const hash = new Absorber(low, (high | HASH_DOMAIN) >>> 0);
  hash.string(purpose);
  for (const part of key) typeof part === "number" ? hash.number(part) : hash.string(part);
  const start = hash.finish();
  const block = new Uint32Array(4);
  const out = new Float64Array(count);
  for (let i = 0, index = 0; i < count; index++) {
    block.set(start);
    block[0] = block[0]! ^ index;
    philox(block, low, high);
    out[i++] = fraction(block[0]!, block[1]!);
    if (i < count) out[i++] = fraction(block[2]!, block[3]!);
  }
  return out;
}

/** 53 bits of two words as a number in [0, 1). */
function fraction(high: number, low: number): number {
  return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53;
}

/**
 * One random number in [0, 1): the first of {@linkcode uniforms} with the same arguments.
 *
 * @param seed The run's seed.
 * @param purpose What is drawn.
 * @param key What it is drawn for.
 * @returns A number in [0, 1) with 53 bits.
 */
export function uniform(seed: number, purpose: string, ...key: KeyPart[]): number {
  return uniforms(1, seed, purpose, ...key)[0]!;
}

/**
 * A uniform random order of 0 .. n-1 (Fisher and Yates), for small n such as the positions of a mask. An epoch over
 * millions of rows uses `row_order.ts`, which keeps no table.
 *
 * @param n How many elements.
 * @param seed The run's seed.
 * @param purpose What is drawn.
 * @param key What it is drawn for.
 * @returns The numbers 0 .. n-1 in random order.
 */
export function permutation(n: number, seed: number, purpose: string, ...key: KeyPart[]): Uint32Array {
  const draws = uniforms(n, seed, purpose, ...key);
  const order = new Uint32Array(n);
  for (let i = 0; i < n; i++) {
    const other = Math.floor(draws[i]! * (i + 1));
    order[i] = order[other]!;
    order[other] = i;
  }
  return order;
}
