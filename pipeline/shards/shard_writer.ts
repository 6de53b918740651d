/**
 * Writes one shard file: rows at their places in any order, under a temporary name and marked as open, so that neither
 * a reader nor an HDF5 library takes an unfinished file for a whole one. Sealing makes data durable first, then the
 * header, then the name.
 */
import fs from "node:fs";
import { promisify } from "node:util";
import { quiet } from "../quiet.ts";
import { bytesOf, writeAt } from "./_positional.ts";
import { orDiskFull } from "./_full_disk.ts";
import { publish, type PublishCalls } from "./_publish.ts";
import { TemporaryFile } from "./_temporary_file.ts";
import { sha256OfFile } from "./file_hash.ts";
import { type FileLayout, type GroupNode, layOut, type PlacedDataset } from "./hdf5_layout.ts";

const syncFile = promisify(fs.fsync);

/** Settings of {@linkcode ShardWriter}. */
export interface ShardWriterOptions {
  /** File system calls, for tests. */
  readonly calls?: PublishCalls;
}

/** A shard under construction. Dispose of it, or abort it, and nothing is left behind unless it was sealed. */
export class ShardWriter implements Disposable {
  /** Path that the shard gets when it is sealed. */
  readonly path: string;
  /** Places of the datasets. */
  readonly layout: FileLayout;
  readonly #file: TemporaryFile;
  readonly #datasets: ReadonlyMap<string, PlacedDataset>;
  readonly #calls: PublishCalls;

  /**
   * @param path Final path; its folder must exist.
   * @param root The file's groups and datasets.
   * @param options Settings.
   * @throws {RangeError} If the tree cannot be laid out.
   */
  constructor(path: string, root: GroupNode, options: ShardWriterOptions = {}) {
    this.path = path;
    this.layout = layOut(root);
    this.#datasets = new Map(this.layout.datasets.map((dataset) => [dataset.path, dataset]));
    this.#calls = options.calls ?? {};
    this.#file = orDiskFull(path, () => new TemporaryFile(path));
    try {
      this.#write(this.layout.metadata(true), 0);
      orDiskFull(path, () => fs.ftruncateSync(this.#file.fd, this.layout.fileBytes));
    } catch (error) {
      this.abort();
      throw error;
    }
  }

  /** Where the shard lies until it is sealed. */
  get temporaryPath(): string {
    return this.#file.path;
  }

  /**
   * Writes one row (one index of the first axis) of a dataset.
   *
   * @param dataset Path inside the file.
   * @param row Row within the shard, from 0.
   * @param data The row's bytes, little endian.
   * @throws {RangeError} If the dataset, the row or the number of bytes does not fit.
   */
  writeRow(dataset: string, row: number, data: ArrayBufferView): void {
    const { offset, bytes, shape } = this.#dataset(dataset);
    const rows = shape[0] ?? 0, rowBytes = bytes / rows;
    if (!Number.isSafeInteger(row) || row < 0 || row >= rows) {
      throw new RangeError(`Row ${row} of ${dataset} does not exist: the shard has rows 0 to ${rows - 1}`);
    }
    if (data.byteLength !== rowBytes) {
      throw new RangeError(`A row of ${dataset} has ${rowBytes} bytes, found ${data.byteLength}`);
    }
    this.#write(bytesOf(data), offset + row * rowBytes);
  }

  /**
   * Writes a whole dataset.
   *
   * @param dataset Path inside the file.
   * @param data All its bytes, little endian.
   * @throws {RangeError} If the dataset or the number of bytes does not fit.
   */
  writeAll(dataset: string, data: ArrayBufferView): void {
    const { offset, bytes } = this.#dataset(dataset);
    if (data.byteLength !== bytes) throw new RangeError(`${dataset} has ${bytes} bytes, found ${data.byteLength}`);
    this.#write(bytesOf(data), offset);
  }

  /**
   * Makes the file durable and gives it its name.
   *
   * @param verify Called with the complete file before it is published; what it throws stops the publication.
   * @returns SHA-256 of the published file; undefined if another writer had published the shard first: its file stays and
   * this one is dropped.
   */
  async seal(verify: (path: string) => Promise<void> = () => Promise.resolve()): Promise<string | undefined> {
    const { fd, path } = this.#file, { sync = syncFile } = this.#calls, header = this.layout.metadata(false);
    // While the disk takes the data; the header of a sealed file is known, though it is written last.
    const hashing = quiet(sha256OfFile(path, header));
    try {
      await orDiskFull(this.path, () => sync(fd));
      this.#write(header, 0);
      await orDiskFull(this.path, () => sync(fd));
      await verify(path);
      const sha256 = await hashing;
      return orDiskFull(this.path, () => publish(path, this.path, this.#calls)) ? sha256 : undefined;
    } finally {
      await hashing.catch(() => {});
      this.abort();
    }
  }

  /** Closes and removes the unfinished file. Does nothing after {@linkcode seal}. */
  abort(): void {
    this.#file[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.abort();
  }

  #write(bytes: Uint8Array, offset: number): void {
    const { write = writeAt } = this.#calls;
    orDiskFull(this.path, () => write(this.#file.fd, bytes, offset));
  }

  #dataset(path: string): PlacedDataset {
    const dataset = this.#datasets.get(path);
    if (dataset === undefined) {
      throw new RangeError(`The shard has no dataset ${path}: it has ${[...this.#datasets.keys()].join(", ")}`);
    }
    return dataset;
  }
}
