/** Feature shards that are filled one after the other: the one before is sealed while the next takes rows. */
import { quiet } from "../quiet.ts";
import { FeatureShardWriter, type FeaturesSet, pendingRows } from "./feature_shards.ts";
import type { FramesSet } from "./frame_shards.ts";

/** Writers of some shards of a set, in ascending order. Call {@linkcode finish} at the end; disposing drops what is open. */
export class FeatureShardSequence implements AsyncDisposable {
  /** Rows of the whole set that the teacher has to compute for these shards, ascending. */
  readonly pending: readonly number[];
  readonly #set: FeaturesSet;
  readonly #frames: FramesSet;
  readonly #left: number[];
  #open: { readonly shard: number; readonly writer: FeatureShardWriter } | undefined;
  #sealing: Promise<void> = Promise.resolve();

  /**
   * @param set The feature set.
   * @param frames The frame set it is computed from.
   * @param shards Numbers of the shards to make, ascending.
   * @throws {ShardError} If a frame shard is missing.
   */
  constructor(set: FeaturesSet, frames: FramesSet, shards: readonly number[]) {
    this.#set = set;
    this.#frames = frames;
    this.#left = [...shards];
    this.pending = shards.flatMap((shard) => pendingRows(frames, shard));
  }

  /**
   * The writer of a row's shard. Shards before it are complete by then: they are sealed, one at a time.
   *
   * @param row Row of the whole set; rows come in the order of {@linkcode pending}.
   * @throws What sealing an earlier shard throws.
   */
  async writerOf(row: number): Promise<FeatureShardWriter> {
    const shard = this.#set.shardOf(row);
    if (this.#open?.shard !== shard && !this.#left.includes(shard)) {
      throw new RangeError(`Row ${row} belongs to shard ${shard}, which is none of those that are left`);
    }
    while (this.#open?.shard !== shard) await this.#next();
    return this.#open.writer;
  }

  /** Seals what is open, and shards in which there is nothing to compute. @throws What sealing throws. */
  async finish(): Promise<void> {
    while (this.#open !== undefined || this.#left.length > 0) await this.#next();
    await this.#sealing;
  }

  /** Waits for the shard that is being sealed and drops the one that is open. */
  async [Symbol.asyncDispose](): Promise<void> {
    // Its failure was met where a later shard or the end waited for it; or something else had failed before.
    await this.#sealing.catch(() => {});
    this.#open?.writer[Symbol.dispose]();
    this.#open = undefined;
  }

  /** Begins to seal the open shard and opens the next, if there is one. */
  async #next(): Promise<void> {
    await this.#sealing;
    if (this.#open !== undefined) this.#sealing = quiet(seal(this.#open.writer));
    this.#open = undefined;
    const shard = this.#left.shift();
    if (shard === undefined) return;
    this.#open = { shard, writer: new FeatureShardWriter(this.#set, this.#frames, shard) };
  }
}

async function seal(writer: FeatureShardWriter): Promise<void> {
  using sealed = writer;
  await sealed.seal();
}
