/**
 * Builds one shard of a set row by row, in any order: the part that frame and feature shards share. It fills the common
 * index tables, computes row CRCs, and on sealing verifies the file and writes its sidecar.
 */
import { bytesOf, crc32 } from "./_positional.ts";
import { canonicalJson } from "./config_hash.ts";
import {
  type SetConfig,
  type ShardFacts,
  type ShardSpan,
  shardTree,
  STATUS_FAILED,
  STATUS_GOOD,
} from "./shard_format.ts";
import type { ShardSet } from "./shard_set.ts";
import { ShardWriter, type ShardWriterOptions } from "./shard_writer.ts";
import { adoptShard, recordShard } from "./shard_record.ts";
import type { Sidecar } from "./sidecar.ts";
import { verifyShardFile } from "./verify.ts";

/** One shard under construction. */
export class ShardBuilder<C extends SetConfig> implements Disposable {
  /** The shard's rows. */
  readonly span: ShardSpan;
  readonly #set: ShardSet<C>;
  readonly #writer: ShardWriter;
  readonly #bulk: readonly string[];
  readonly #written: Uint8Array;
  readonly #status: Uint8Array;
  readonly #sums: Uint32Array;

  /**
   * @param set The set that the shard belongs to.
   * @param shard Its number.
   * @param facts Lengths and parents.
   * @param options For the file.
   */
  constructor(set: ShardSet<C>, shard: number, facts: ShardFacts, options: ShardWriterOptions = {}) {
    this.#set = set;
    this.span = set.span(shard);
    this.#bulk = set.format.bulk(set.config);
    this.#written = new Uint8Array(this.span.rows);
    this.#status = new Uint8Array(this.span.rows);
    this.#sums = new Uint32Array(this.span.rows * this.#bulk.length);
    this.#writer = new ShardWriter(set.path(shard), shardTree(set.format, set.config, shard, facts), options);
  }

  /** Where the shard lies until it is sealed. */
  get temporaryPath(): string {
    return this.#writer.temporaryPath;
  }

  /**
   * Where a row lies in the shard.
   *
   * @param row Row of the whole set.
   * @returns Row within the shard.
   * @throws {RangeError} If the row belongs to another shard or is already written.
   */
  local(row: number): number {
    const { row0, rows, shard } = this.span, local = row - row0;
    if (!Number.isSafeInteger(row) || local < 0 || local >= rows) {
      throw new RangeError(
        `Row ${row} does not belong to shard ${shard}, which has rows ${row0} to ${row0 + rows - 1}`,
      );
    }
    if (this.#written[local] !== 0) throw new RangeError(`Row ${row} of shard ${shard} is already written`);
    return local;
  }

  /**
   * Writes a good row.
   *
   * @param local Row within the shard.
   * @param data The row's bytes for each dataset with row CRCs, in their order.
   * @returns The CRC-32 of each.
   */
  writeGood(local: number, data: readonly ArrayBufferView[]): number[] {
    const sums = data.map((bytes) => crc32(bytesOf(bytes)));
    for (const [column, dataset] of this.#bulk.entries()) this.#writer.writeRow(dataset, local, data[column]!);
    this.#sums.set(sums, local * this.#bulk.length);
    this.#status[local] = STATUS_GOOD;
    this.#written[local] = 1;
    return sums;
  }

  /** Marks a row as failed: it stays zero. */
  writeFailed(local: number): void {
    for (const [column, dataset] of this.#bulk.entries()) {
      const { bytes, shape } = this.#writer.layout.datasets.find(({ path }) => path === dataset)!;
      this.#sums[local * this.#bulk.length + column] = crc32(new Uint8Array(bytes / shape[0]!));
    }
    this.#status[local] = STATUS_FAILED;
    this.#written[local] = 1;
  }

  /**
   * Writes the tables, verifies, publishes and describes the shard.
   *
   * @param tables The kind's own tables, by path.
   * @returns The sidecar of the published file, which is another writer's where that one was first.
   * @throws {RangeError} If a row is not written.
   * @throws {ShardError} If the file does not verify; nothing is published then.
   */
  async seal(tables: Readonly<Record<string, ArrayBufferView>>): Promise<Sidecar> {
    const { shard, row0, rows } = this.span, { config, format } = this.#set;
    const open = this.#written.indexOf(0);
    if (open >= 0) {
      const count = this.#written.filter((written) => written === 0).length;
      throw new RangeError(`Shard ${shard} lacks ${count} of its ${rows} rows, the first is row ${row0 + open}`);
    }
    const indices = Array.from({ length: rows }, (_, i) => row0 + i);
    const all: Record<string, ArrayBufferView> = {
      ...tables,
      "/index/item": BigInt64Array.from(indices, (row) => BigInt(Math.floor(row / config.views))),
      "/index/view": Uint16Array.from(indices, (row) => row % config.views),
      "/index/status": this.#status,
      "/index/crc32": this.#sums,
      "/meta/config": new TextEncoder().encode(canonicalJson(config)),
    };
    for (const [dataset, data] of Object.entries(all)) this.#writer.writeAll(dataset, data);
    const check = (path: string) => verifyShardFile(path, format, config, shard, { rows: "samples" });
    let verified: Awaited<ReturnType<typeof check>> | undefined;
    const sha256 = await this.#writer.seal(async (path) => {
      verified = await check(path);
    });
    return sha256 !== undefined && verified !== undefined
      ? recordShard(this.#set, shard, verified, sha256)
      : await adoptShard(this.#set, shard);
  }

  /** Removes the unfinished file. Does nothing after {@linkcode seal}. */
  [Symbol.dispose](): void {
    this.#writer.abort();
  }
}
