/**
 * A shard set: the folder that holds all shards of one configuration, `<cache>/<kind>/<12 digits of the hash>/`.
 *
 *     config.json          canonical JSON whose SHA-256 is the configuration's hash
 *     shard-00000.h5       sealed shard            shard-00000.json   its sidecar
 *     manifest.json        summary of a complete set; a cache, never the authority
 *     .tmp-*               unfinished; nobody reads it
 *
 * A shard exists when its sidecar is valid and fits the file. Which rows it holds follows from the configuration alone,
 * so an interrupted stage continues with the shards that do not exist (`resume.ts`). `set_folder.ts` makes and opens sets.
 */
import { join } from "node:path";
import { checkedSidecar } from "./_check_sidecar.ts";
import { FilePool } from "./_file_pool.ts";
import { checkSealed } from "./_superblock.ts";
import { configHash } from "./config_hash.ts";
import { ShardError } from "./shard_error.ts";
import { rowCount, type SetConfig, type ShardFormat, type ShardSpan, shardSpan } from "./shard_format.ts";
import { ShardReader } from "./shard_reader.ts";
import type { Sidecar } from "./sidecar.ts";

const DEFAULT_OPEN_FILES = 64;

/** Settings of an open set. */
export interface ShardSetOptions {
  /** Idle open files. @default 64 */
  readonly openFiles?: number;
}

/** All shards of one configuration. */
export class ShardSet<C extends SetConfig> implements Disposable {
  /** The folder. */
  readonly folder: string;
  /** Kind of the shards. */
  readonly format: ShardFormat<C>;
  /** Resolved settings. */
  readonly config: C;
  /** SHA-256 of the settings' canonical JSON. */
  readonly configSha256: string;
  /** Rows of the set: items x views. Row = item x views + view. */
  readonly rows: number;
  /** Number of shards. */
  readonly shards: number;
  readonly #pool: FilePool;
  readonly #readers = new Map<number, ShardReader>();

  /** Opens a folder that has its `config.json`; `createShardSet` and `openShardSet` do so. */
  constructor(folder: string, format: ShardFormat<C>, config: C, options: ShardSetOptions = {}) {
    this.folder = folder;
    this.format = format;
    this.config = config;
    this.configSha256 = configHash(config);
    this.rows = rowCount(config);
    this.shards = Math.ceil(this.rows / config.rowsPerShard);
    this.#pool = new FilePool(options.openFiles ?? DEFAULT_OPEN_FILES, checkSealed);
  }

  /** Path of a shard file. */
  path(shard: number): string {
    return join(this.folder, `shard-${String(shard).padStart(5, "0")}.h5`);
  }

  /** The rows of a shard. @throws {RangeError} If there is no such shard. */
  span(shard: number): ShardSpan {
    return shardSpan(this.config, shard);
  }

  /** The shard that holds a row. @throws {RangeError} If there is no such row. */
  shardOf(row: number): number {
    if (!Number.isSafeInteger(row) || row < 0 || row >= this.rows) {
      throw new RangeError(`There is no row ${row}: the set has rows 0 to ${this.rows - 1}`);
    }
    return Math.floor(row / this.config.rowsPerShard);
  }

  /**
   * The reader of a shard.
   *
   * @throws {ShardError} If the shard is missing, or file, sidecar and settings do not fit together.
   */
  reader(shard: number): ShardReader {
    let reader = this.#readers.get(shard);
    if (reader === undefined) {
      const path = this.path(shard), sidecar = checkedSidecar(path, shard, this);
      reader = new ShardReader(path, sidecar, this.format.bulk(this.config), this.#pool);
      this.#readers.set(shard, reader);
    }
    return reader;
  }

  /** The sidecar of a shard. @throws {ShardError} As {@linkcode reader}. */
  sidecar(shard: number): Sidecar {
    return this.reader(shard).sidecar;
  }

  /** Why a shard does not count as present, looked up anew; undefined if it does. */
  problem(shard: number): string | undefined {
    this.forget(shard);
    try {
      this.reader(shard);
      return undefined;
    } catch (error) {
      if (error instanceof ShardError) return error.message;
      throw error;
    }
  }

  /** Drops what is known of a shard, whose files were replaced. */
  forget(shard: number): void {
    this.#readers.delete(shard);
    this.#pool.drop(this.path(shard));
  }

  /** Shards that do not exist or are not good, ascending. Changes nothing; `resumeSet` brings the folder into order. */
  missing(): number[] {
    return range(this.shards).filter((shard) => this.problem(shard) !== undefined);
  }

  /** Bytes of a row of a dataset with row CRCs. */
  rowBytes(dataset: string): number {
    return this.reader(0).rowBytes(dataset);
  }

  /** Reads a row of a dataset with row CRCs in the background; see {@linkcode ShardReader.readRow}. */
  async readRow(dataset: string, row: number, into: Uint8Array): Promise<void> {
    const shard = this.shardOf(row);
    await this.reader(shard).readRow(dataset, row - shard * this.config.rowsPerShard, into);
  }

  /** {@linkcode readRow} at once. */
  readRowSync(dataset: string, row: number, into: Uint8Array): void {
    const shard = this.shardOf(row);
    this.reader(shard).readRowSync(dataset, row - shard * this.config.rowsPerShard, into);
  }

  /**
   * An index dataset over all shards, such as `/index/label`.
   *
   * @returns Its bytes in row order, in a buffer of their own.
   * @throws {ShardError} If a shard is missing or a table damaged.
   */
  column(dataset: string): Uint8Array<ArrayBuffer> {
    const tables = range(this.shards).map((shard) => this.reader(shard).table(dataset));
    const all = new Uint8Array(tables.reduce((bytes, table) => bytes + table.length, 0));
    let at = 0;
    for (const table of tables) {
      all.set(table, at);
      at += table.length;
    }
    return all;
  }

  /** Rows whose clip could not be decoded, ascending. @throws {ShardError} If a shard is missing. */
  failedRows(): number[] {
    return range(this.shards).flatMap((shard) => {
      const { failed_rows: failed, row0 } = this.sidecar(shard);
      return failed.map((row) => row0 + row);
    });
  }

  /** Rows that may be trained on, ascending. @throws {ShardError} If a shard is missing. */
  goodRows(): Uint32Array {
    return without(this.rows, this.failedRows());
  }

  /** Items all of whose views may be trained on, ascending. @throws {ShardError} If a shard is missing. */
  goodItems(): Uint32Array {
    return without(this.config.items, this.failedRows().map((row) => Math.floor(row / this.config.views)));
  }

  /** Closes open files. */
  [Symbol.dispose](): void {
    this.#pool[Symbol.dispose]();
  }
}

function range(length: number): number[] {
  return Array.from({ length }, (_, i) => i);
}

function without(length: number, excluded: readonly number[]): Uint32Array {
  const set = new Set(excluded);
  return Uint32Array.from(range(length).filter((i) => !set.has(i)));
}
