/**
 * The HDF5 library (h5wasm) as a second opinion on our files. Only the low-level calls are used and every return code
 * is checked: the convenient ones give stale memory instead of an error when a read fails.
 *
 * The library is loaded on first use, so that training, which reads rows directly, does not pay for it.
 */
import { closeSync, openSync } from "node:fs";
import { MAGIC } from "./_hdf5_messages.ts";
import { readAt } from "./_positional.ts";
import { datasetBytes, STORED_BYTES, type StoredDtype } from "./dtypes.ts";
import { ShardError } from "./shard_error.ts";

interface Metadata {
  readonly type: number;
  readonly signed: boolean;
  readonly littleEndian: boolean;
  readonly size: number;
  readonly total_size: number;
  readonly shape: number[] | null;
}

/** The part of h5wasm's module that is used here. */
interface Hdf5Module {
  readonly H5F_ACC_RDONLY: number;
  readonly HEAPU8: Uint8Array;
  _malloc(bytes: number): number;
  _free(address: number): void;
  open(path: string, mode: number, trackOrder: boolean, low: number, high: number): bigint;
  close_file(id: bigint): number;
  get_plugin_search_paths(): string[];
  remove_plugin_search_path(index: number): void;
  get_dataset_metadata(id: bigint, path: string): Metadata;
  get_dataset_data(
    id: bigint,
    path: string,
    count: bigint[],
    offset: bigint[],
    stride: bigint[],
    address: bigint,
  ): number;
  get_attribute_names(id: bigint, path: string): string[];
  get_attribute_metadata(id: bigint, path: string, name: string): Metadata;
  get_attribute_data(id: bigint, path: string, name: string, address: bigint): number;
}

const CLASS_INTEGER = 0, CLASS_FLOAT = 1, CLASS_STRING = 3;
let loaded: Promise<Hdf5Module> | undefined;

async function load(): Promise<Hdf5Module> {
  const { default: h5wasm } = await import("h5wasm/node");
  const module = await h5wasm.ready as unknown as Hdf5Module;
  // With search paths a damaged file makes the library look for plugins outside the permitted folders.
  while (module.get_plugin_search_paths().length > 0) module.remove_plugin_search_path(0);
  return module;
}

/** A file that the HDF5 library has accepted. */
export class Hdf5File implements Disposable {
  readonly #module: Hdf5Module;
  readonly #id: bigint;

  private constructor(module: Hdf5Module, id: bigint, readonly path: string) {
    this.#module = module;
    this.#id = id;
  }

  /**
   * Opens a file for reading.
   *
   * @throws {ShardError} If the library refuses it.
   */
  static async open(path: string): Promise<Hdf5File> {
    const module = await (loaded ??= load());
    const head = new Uint8Array(MAGIC.length), fd = openSync(path, "r");
    try {
      readAt(fd, head, 0);
    } finally {
      closeSync(fd);
    }
    if (MAGIC.some((byte, i) => head[i] !== byte)) throw new ShardError("is not an HDF5 file", { path });
    const id = module.open(path, module.H5F_ACC_RDONLY, false, -1, -1);
    if (id < 0n) throw new ShardError("is refused by the HDF5 library: cut, damaged or not sealed", { path });
    return new Hdf5File(module, id, path);
  }

  /**
   * Element type and shape of a dataset.
   *
   * @throws {ShardError} If there is no such dataset or its type is none that shards use.
   */
  dataset(path: string): { dtype: StoredDtype; shape: number[] } {
    const { type, signed, littleEndian, size, shape } = this.#try(
      () => this.#module.get_dataset_metadata(this.#id, path),
      path,
      "cannot be found by the HDF5 library",
    );
    const letter = type === CLASS_FLOAT ? "f" : signed ? "i" : "u";
    const dtype = `${letter}${size * 8}`;
    if ((type !== CLASS_INTEGER && type !== CLASS_FLOAT) || !littleEndian || !(dtype in STORED_BYTES)) {
      throw new ShardError(`has an element type that shards do not use (class ${type}, ${size} bytes)`, {
        path: this.path,
        dataset: path,
      });
    }
    return { dtype: dtype as StoredDtype, shape: shape ?? [] };
  }

  /** Reads one row (index of the first axis), or with `row` undefined the whole dataset. */
  read(path: string, row?: number): Uint8Array {
    const { dtype, shape } = this.dataset(path);
    const count = row === undefined ? shape : [1, ...shape.slice(1)];
    const start = row === undefined ? shape.map(() => 0) : [row, ...shape.slice(1).map(() => 0)];
    const bytes = datasetBytes(dtype, count);
    if (bytes === 0) return new Uint8Array(0);
    const big = (list: number[]) => list.map(BigInt);
    return this.#copyOut(
      bytes,
      path,
      (address) => this.#module.get_dataset_data(this.#id, path, big(count), big(start), count.map(() => 1n), address),
    );
  }

  /** A text attribute of the root group; undefined if there is none of that name. */
  textAttribute(name: string): string | undefined {
    if (!this.#module.get_attribute_names(this.#id, "/").includes(name)) return undefined;
    const { type, size } = this.#module.get_attribute_metadata(this.#id, "/", name);
    if (type !== CLASS_STRING) return undefined;
    const bytes = this.#copyOut(
      size,
      `attribute ${name}`,
      (address) => this.#module.get_attribute_data(this.#id, "/", name, address),
    );
    return new TextDecoder().decode(bytes).replace(/\0+$/, "");
  }

  [Symbol.dispose](): void {
    this.#module.close_file(this.#id);
  }

  #copyOut(bytes: number, dataset: string, read: (address: bigint) => number): Uint8Array {
    const address = this.#module._malloc(bytes);
    if (address === 0) throw new RangeError(`The HDF5 library has no memory for ${bytes} bytes of ${this.path}`);
    try {
      const code = this.#try(() => read(BigInt(address)), dataset, "cannot be read by the HDF5 library");
      if (code < 0) throw new ShardError("cannot be read by the HDF5 library", { path: this.path, dataset });
      return this.#module.HEAPU8.slice(address, address + bytes);
    } finally {
      this.#module._free(address);
    }
  }

  #try<T>(call: () => T, dataset: string, problem: string): T {
    try {
      return call();
    } catch (cause) {
      throw new ShardError(problem, { path: this.path, dataset }, { cause });
    }
  }
}
