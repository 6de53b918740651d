/**
 * Batches for training: the rows that an order names, each field of a batch in one contiguous buffer, read while the
 * steps before it run. Rows are read by byte position straight into their place in the batch and checked against their
 * CRC-32; no pixel passes through JavaScript. What is read depends on positions alone, so a resumed run gets the batches
 * that an uninterrupted one would.
 *
 * Small rows are read at once, large ones several at a time in the background (`bench/loader.ts` measures both ways).
 */
import type { SetConfig } from "./shards/shard_format.ts";
import type { ShardSet } from "./shards/shard_set.ts";

/** Rows up to this size are read at once: the way through the background takes longer than the read. */
const SMALL_ROW_BYTES = 2 ** 17;
/** Large reads under way at the same time. */
const READS_IN_FLIGHT = 8;
const DEFAULT_DEPTH = 2;

/** A place in a run: which row is read there, and what random draws are keyed with. */
export interface RowPlace {
  /** Row of the shard set. */
  readonly row: number;
  readonly epoch: number;
  /** Number of the clip in the list. */
  readonly item: number;
  /** Which of its copies in the epoch it is. @default 0 */
  readonly copy?: number;
}

/** What rows are read from: a shard set, whatever its settings. */
export type RowSource = Pick<ShardSet<SetConfig>, "rows" | "rowBytes" | "readRow" | "readRowSync">;

/** A part of a row: one dataset of one shard set. All fields of a loader have the same rows. */
export interface BatchField {
  /** Key in {@linkcode Batch.buffers}. */
  readonly name: string;
  readonly set: RowSource;
  /** A dataset with row CRCs, such as `/cubes`. */
  readonly dataset: string;
}

/** Rows of one step. */
export interface Batch {
  /** First position. */
  readonly position: number;
  /** Place of each row, [batch]. */
  readonly places: readonly RowPlace[];
  /** Rows of the shard sets, [batch]. */
  readonly rows: Uint32Array;
  /** By field name, [batch, bytes of a row]; overwritten after {@linkcode release}. */
  readonly buffers: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
  /** How long {@linkcode BatchLoader.next} waited for it, ms. */
  readonly waitedMs: number;
  /** Gives the buffers back, to be filled with a later batch. */
  release(): void;
}

/** Settings of a {@linkcode BatchLoader}. */
export interface BatchLoaderOptions {
  /** What stands at a position of the run. */
  readonly order: (position: number) => RowPlace;
  /** Rows of a batch. */
  readonly batch: number;
  readonly fields: readonly BatchField[];
  /** Batches read ahead of the one in use; memory holds one more. @default 2 */
  readonly depth?: number;
  /** First position. */
  readonly from: number;
  /** Position after the last one; whole batches away from the first. */
  readonly until: number;
  /** Clock, ms. @default performance.now */
  readonly now?: () => number;
}

type Buffers = Map<string, Uint8Array<ArrayBuffer>>;
type LoadedBatch = Pick<Batch, "position" | "places" | "rows"> & { readonly buffers: Buffers };

/** Reads batches ahead of the steps that use them. Dispose of it to stop; the shard sets stay the caller's. */
export class BatchLoader implements AsyncDisposable {
  readonly #options: BatchLoaderOptions;
  readonly #now: () => number;
  readonly #free: Buffers[];
  /** Batches read or being read, next first. */
  readonly #ahead: Promise<LoadedBatch>[] = [];
  #last: Promise<unknown> = Promise.resolve();
  #position: number;
  #stopped = false;

  /**
   * @param options What to read.
   * @throws {RangeError} If positions, batch or depth make no sense, or fields have different rows.
   * @throws {ShardError} If a shard is missing.
   */
  constructor(options: BatchLoaderOptions) {
    checkOptions(options);
    const { depth = DEFAULT_DEPTH, fields, batch } = options;
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#position = options.from;
    const make = ({ name, set, dataset }: BatchField) => [name, new Uint8Array(batch * set.rowBytes(dataset))] as const;
    this.#free = Array.from({ length: depth + 1 }, () => new Map(fields.map(make)));
    this.#readAhead();
  }

  /**
   * The next batch.
   *
   * @throws {RangeError} If there is none left.
   * @throws {ShardError} If a row is missing or damaged.
   */
  async next(): Promise<Batch> {
    const began = this.#now(), promise = this.#ahead.shift();
    if (promise === undefined) throw new RangeError(this.#nothingAhead());
    const { position, places, rows, buffers } = await promise;
    let held = true;
    const release = () => {
      if (!held) return;
      held = false;
      this.#free.push(buffers);
      this.#readAhead();
    };
    return { position, places, rows, buffers, waitedMs: this.#now() - began, release };
  }

  /** Stops reading ahead and waits for the reads under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    this.#ahead.length = 0;
    await this.#last;
  }

  /** Fills free buffers with the batches to come, one batch after the other. */
  #readAhead(): void {
    const { batch, until } = this.#options;
    while (!this.#stopped && this.#free.length > 0 && this.#position < until) {
      const position = this.#position, buffers = this.#free.pop()!;
      this.#position += batch;
      const filled = this.#last.then(() => this.#fill(position, buffers));
      this.#last = filled.catch(() => {}); // next() reports it
      this.#ahead.push(filled);
    }
  }

  async #fill(position: number, buffers: Buffers): Promise<LoadedBatch> {
    const { batch, fields, order } = this.#options;
    const places = Array.from({ length: batch }, (_, i) => order(position + i));
    const large: (() => Promise<void>)[] = [];
    for (const { name, set, dataset } of fields) {
      const buffer = buffers.get(name)!, bytes = buffer.length / batch;
      for (const [i, { row }] of places.entries()) {
        if (this.#stopped) break;
        const into = buffer.subarray(i * bytes, (i + 1) * bytes);
        if (bytes <= SMALL_ROW_BYTES) set.readRowSync(dataset, row, into);
        else large.push(() => set.readRow(dataset, row, into));
      }
    }
    const todo = large.values();
    const lane = async () => {
      for (const read of todo) if (!this.#stopped) await read();
    };
    const lanes = await Promise.allSettled(Array.from({ length: READS_IN_FLIGHT }, lane));
    for (const { reason } of lanes.filter((result) => result.status === "rejected")) throw reason;
    return { position, places, rows: Uint32Array.from(places, ({ row }) => row), buffers };
  }

  #nothingAhead(): string {
    const { until, depth = DEFAULT_DEPTH } = this.#options;
    if (this.#stopped) return "The loader was disposed of";
    if (this.#position >= until) return `There is no batch after position ${until}`;
    return `All ${depth + 1} batches are in use: release one before asking for the next`;
  }
}

function checkOptions({ batch, depth = DEFAULT_DEPTH, fields, from, until }: BatchLoaderOptions): void {
  const whole = (name: string, value: number, least: number) => {
    if (Number.isSafeInteger(value) && value >= least) return;
    throw new RangeError(`A loader's ${name} is a whole number from ${least}: found ${value}`);
  };
  whole("batch", batch, 1);
  whole("depth", depth, 0);
  whole("from", from, 0);
  whole("until", until, from);
  if ((until - from) % batch !== 0) {
    throw new RangeError(`Positions ${from} to ${until} are not whole batches of ${batch}`);
  }
  for (const { name, set } of fields) {
    const [first] = fields as [BatchField];
    if (set.rows === first.set.rows) continue;
    throw new RangeError(`Field ${name} has ${set.rows} rows, field ${first.name} ${first.set.rows}`);
  }
}
