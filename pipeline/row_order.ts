/**
 * The order of an epoch, without a table: a seeded permutation of 0 .. n-1 that is computed position by position.
 *
 * A Feistel network permutes the smallest square power of two that holds n; a result outside 0 .. n-1 is fed in again
 * until it falls inside ("cycle walking", Black and Rogaway 2002), on average fewer than four times.
 */
import { uniforms } from "./random.ts";

/** Rounds of the network: few enough to be cheap, enough that neighbouring positions land anywhere. */
const ROUNDS = 8;
const MOST_ROWS = 2 ** 32;

/** Mixes one half with a round key: the 32-bit finaliser of MurmurHash3. */
function mix(half: number, roundKey: number): number {
  let x = half ^ roundKey;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/**
 * One epoch's order as a function.
 *
 * @param n Number of rows, 1 to 2^32.
 * @param seed The run's seed.
 * @param epoch Epoch number, from 0; each has its own order.
 * @returns A function from position (0 .. n-1) to row (0 .. n-1), one to one.
 * @throws {RangeError} If n is out of range; the function throws it for a position outside 0 .. n-1.
 */
export function rowOrder(n: number, seed: number, epoch: number): (position: number) => number {
  if (!Number.isSafeInteger(n) || n < 1 || n > MOST_ROWS) {
    throw new RangeError(`An order needs 1 to ${MOST_ROWS} rows: found ${n}`);
  }
  const keys = Uint32Array.from(uniforms(ROUNDS, seed, "row order", n, epoch), (u) => Math.floor(u * 2 ** 32));
  let halfBits = 1;
  while (4 ** halfBits < n) halfBits++;
  const halfSize = 2 ** halfBits;
  const mask = halfSize - 1;
  return (position) => {
    if (!Number.isSafeInteger(position) || position < 0 || position >= n) {
      throw new RangeError(`Position ${position} is outside the epoch's 0 .. ${n - 1}`);
    }
    let row = position;
    do {
      let left = Math.floor(row / halfSize), right = row % halfSize;
      for (let round = 0; round < ROUNDS; round++) {
        const next = (left ^ mix(right, keys[round]!)) & mask;
        left = right;
        right = next;
      }
      row = left * halfSize + right;
    } while (row >= n);
    return row;
  };
}

/**
 * The row at one position of one epoch. Callers that ask for many positions of an epoch keep {@linkcode rowOrder}.
 *
 * @param n Number of rows.
 * @param seed The run's seed.
 * @param epoch Epoch number, from 0.
 * @param position Position within the epoch, 0 .. n-1.
 * @returns The row, 0 .. n-1.
 * @throws {RangeError} If an argument is out of range.
 */
export function rowAt(n: number, seed: number, epoch: number, position: number): number {
  return rowOrder(n, seed, epoch)(position);
}

/** What {@linkcode TrainingOrder} walks over. */
export interface TrainingOrderOptions {
  /** Items (clips) to train on, such as those whose views were all decoded. */
  readonly items: Uint32Array;
  /** Views stored per item; epoch `e` uses view `e mod views`. */
  readonly views: number;
  /** The run's seed. */
  readonly seed: number;
  /** Copies of every item in an epoch, one after the other, for draws that differ. @default 1 */
  readonly copies?: number;
}

/**
 * The rows of a whole training run: position `p` is in epoch `floor(p / (items * copies))`, each epoch visits every item
 * once in its own order, in as many copies as are wanted, and reads the view whose turn it is. Row = item x views + view, as
 * frame shards number them.
 */
export class TrainingOrder {
  readonly #options: TrainingOrderOptions;
  readonly #copies: number;
  #epoch = -1;
  #order: (position: number) => number = () => 0;

  /**
   * @param options Items, views and seed.
   * @throws {RangeError} If there is no item, no view or no copy.
   */
  constructor(options: TrainingOrderOptions) {
    if (options.items.length === 0) throw new RangeError("There is no item to train on: every clip was refused");
    if (!Number.isSafeInteger(options.views) || options.views < 1) {
      throw new RangeError(`An item has 1 or more views: found ${options.views}`);
    }
    const { copies = 1 } = options;
    if (!Number.isSafeInteger(copies) || copies < 1) {
      throw new RangeError(`An item has 1 or more copies in an epoch: found ${copies}`);
    }
    this.#options = options;
    this.#copies = copies;
  }

  /** Positions in an epoch. */
  get epochLength(): number {
    return this.#options.items.length * this.#copies;
  }

  /** Views stored per item. */
  get views(): number {
    return this.#options.views;
  }

  /** Epoch that a position belongs to. */
  epochOf(position: number): number {
    return Math.floor(position / this.epochLength);
  }

  /** Which of its item's copies stands at a position, from 0. */
  copyOf(position: number): number {
    return position % this.#copies;
  }

  /** The row (of the whole shard set) at a position of the run, 0 upwards without end. */
  rowAt(position: number): number {
    const { items, views, seed } = this.#options;
    const epoch = this.epochOf(position);
    if (epoch !== this.#epoch) {
      this.#order = rowOrder(items.length, seed, epoch);
      this.#epoch = epoch;
    }
    const place = Math.floor((position - epoch * this.epochLength) / this.#copies);
    return items[this.#order(place)]! * views + epoch % views;
  }
}
