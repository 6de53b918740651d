/**
 * Reads one sealed shard by byte position, as its sidecar describes it. Every row is checked against its CRC-32 and
 * every index table against the sidecar's; what does not fit is an error and is never handed out.
 */
import type { FilePool } from "./_file_pool.ts";
import { readAt, readAtAsync } from "./_positional.ts";
import { assertComplete, assertUndamaged, ShardError, type ShardFault } from "./shard_error.ts";
import type { Sidecar } from "./sidecar.ts";

/** Where a row lies and what it must sum to. */
interface RowPlace {
  readonly offset: number;
  readonly crc32: number;
  readonly fault: ShardFault;
}

/** Reader of one shard; it keeps the row CRCs in memory and takes open files from a pool. */
export class ShardReader {
  /** The file. */
  readonly path: string;
  /** Its description. */
  readonly sidecar: Sidecar;
  readonly #bulk: readonly string[];
  readonly #pool: FilePool;
  #sums: Uint32Array | undefined;

  /**
   * @param path The `.h5` file.
   * @param sidecar Its checked sidecar.
   * @param bulk Datasets with row CRCs, in the column order of `/index/crc32`.
   * @param pool Where open files come from.
   */
  constructor(path: string, sidecar: Sidecar, bulk: readonly string[], pool: FilePool) {
    this.path = path;
    this.sidecar = sidecar;
    this.#bulk = bulk;
    this.#pool = pool;
  }

  /**
   * Reads a whole index dataset.
   *
   * @param dataset Path of a dataset without row CRCs, such as `/index/label`.
   * @returns Its bytes in a buffer of their own, so that a typed array can lie over them.
   * @throws {ShardError} If the file is gone or cut or the bytes are damaged.
   */
  table(dataset: string): Uint8Array<ArrayBuffer> {
    const { offset, bytes, crc32 } = this.#entry(dataset), fault = { path: this.path, dataset };
    if (crc32 === undefined) throw new ShardError("has no checksum in the sidecar: read it row by row", fault);
    const into = new Uint8Array(bytes);
    const read = located(fault, () => this.#pool.withFile(this.path, (fd) => readAt(fd, into, offset)));
    assertComplete(read, bytes, fault);
    assertUndamaged(into, crc32, fault);
    return into;
  }

  /** Bytes of a row of a dataset. */
  rowBytes(dataset: string): number {
    return this.#entry(dataset).bytes / this.sidecar.rows;
  }

  /**
   * Reads a row into the caller's buffer in the background.
   *
   * @param dataset A dataset with row CRCs, such as `/cubes`.
   * @param row Row within the shard, from 0.
   * @param into Exactly the row's bytes; its content is undefined after an error.
   * @throws {ShardError} If the file is gone, cut or replaced, or the row fails its CRC.
   * @throws {RangeError} If the row does not exist or the buffer has another size.
   */
  async readRow(dataset: string, row: number, into: Uint8Array): Promise<void> {
    const { offset, crc32, fault } = this.#rowPlace(dataset, row, into);
    let read: number;
    try {
      read = await this.#pool.withFileAsync(this.path, (fd) => readAtAsync(fd, into, offset));
    } catch (cause) {
      throw unreadable(cause, fault);
    }
    assertComplete(read, into.length, fault);
    assertUndamaged(into, crc32, fault);
  }

  /** {@linkcode readRow} at once: for small rows the way through the background costs more than the read. */
  readRowSync(dataset: string, row: number, into: Uint8Array): void {
    const { offset, crc32, fault } = this.#rowPlace(dataset, row, into);
    const read = located(fault, () => this.#pool.withFile(this.path, (fd) => readAt(fd, into, offset)));
    assertComplete(read, into.length, fault);
    assertUndamaged(into, crc32, fault);
  }

  #rowPlace(dataset: string, row: number, into: Uint8Array): RowPlace {
    const { offset } = this.#entry(dataset), { rows, row0 } = this.sidecar;
    const rowBytes = this.rowBytes(dataset), column = this.#bulk.indexOf(dataset);
    if (column < 0) throw new RangeError(`${dataset} has no row checksums: read it as a table`);
    if (!Number.isSafeInteger(row) || row < 0 || row >= rows) {
      throw new RangeError(`Row ${row} does not exist in ${this.path}: it has rows 0 to ${rows - 1}`);
    }
    if (into.length !== rowBytes) {
      throw new RangeError(`A row of ${dataset} has ${rowBytes} bytes, the buffer ${into.length}`);
    }
    this.#sums ??= new Uint32Array(this.table("/index/crc32").buffer);
    return {
      offset: offset + row * rowBytes,
      crc32: this.#sums[row * this.#bulk.length + column]!,
      fault: { path: this.path, dataset, row: row0 + row },
    };
  }

  #entry(dataset: string): Sidecar["datasets"][string] {
    const entry = this.sidecar.datasets[dataset];
    if (entry === undefined) throw new ShardError("is not in the shard's sidecar", { path: this.path, dataset });
    return entry;
  }
}

function located<T>(fault: ShardFault, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw unreadable(cause, fault);
  }
}

/** An error of the system or of a deeper check, with the place that was wanted. */
function unreadable(cause: unknown, fault: ShardFault): ShardError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new ShardError(`cannot be read: ${reason}`, fault, { cause });
}
