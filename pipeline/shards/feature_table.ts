/**
 * A file of features of clips for other programs: rows of float32 in the order of the clips, written as they come. It
 * appears under its name whole, or not at all.
 *
 * `.h5`: `/features` [clips, ...], `/label` i32 (-1: none), `/status` u8 (0 good, 2 not decoded), names as in frame shards,
 * `/names/utf8` and `/names/offset`. `.npy`: the features alone, with the rest as JSON beside it. Rows of clips that could
 * not be decoded are not a number throughout.
 */
import fs from "node:fs";
import { dirname } from "node:path";
import { orDiskFull } from "./_full_disk.ts";
import { bytesOf, writeAt } from "./_positional.ts";
import { syncFolder, writeFileAtomically } from "./_publish.ts";
import { TemporaryFile } from "./_temporary_file.ts";
import { type FileLayout, layOut } from "./hdf5_layout.ts";

/** What the rows belong to. */
export interface TableRows {
  readonly names: readonly string[];
  /** Class of every clip, null where it has none. */
  readonly labels: readonly (number | null)[];
  /** Shape of a row. */
  readonly shape: readonly number[];
  /** What the features are, for readers: texts and numbers. */
  readonly attributes: Readonly<Record<string, string | number>>;
}

const GOOD = 0, FAILED = 2, NO_LABEL = -1;
/** The header of an npy file ends at a multiple of this. */
const NPY_ALIGNMENT = 64;

/** A table that is being written. Dispose of it; without {@linkcode FeatureTable.finish} nothing is left. */
export class FeatureTable implements Disposable {
  readonly #file: TemporaryFile;
  readonly #layout: FileLayout | undefined;
  readonly #start: number;
  readonly #status: Uint8Array;

  /**
   * @param path Ends in `.h5`, `.hdf5` or `.npy`; its folder must exist.
   * @throws {TypeError} if it ends otherwise, or the file is there
   */
  constructor(readonly path: string, private readonly rows: TableRows) {
    const { names, shape } = rows;
    if (!/\.(?:h5|hdf5|npy)$/.test(path)) throw new TypeError(`${path} is no name of a table: end it in .h5 or .npy`);
    if (fs.existsSync(path)) throw new TypeError(`${path} is there already: remove it, or name another file`);
    this.#status = new Uint8Array(names.length).fill(FAILED);
    this.#file = orDiskFull(path, () => new TemporaryFile(path));
    const full = [names.length, ...shape];
    if (path.endsWith(".npy")) {
      const header = npyHeader(full);
      this.#start = header.length;
      this.#write(header, 0);
    } else {
      this.#layout = layOut(tree(rows, full));
      this.#start = this.#offset("/features");
      this.#write(this.#layout.metadata(true), 0);
      // The last dataset ends the file, whose size the metadata names.
      fs.ftruncateSync(this.#file.fd, this.#layout.fileBytes);
    }
  }

  /** Writes the features of a clip. @throws {RangeError} if they have another size than a row */
  write(row: number, features: Float32Array): void {
    if (features.length !== this.#rowSize) {
      throw new RangeError(`A row of ${this.path} has ${this.#rowSize} numbers, found ${features.length}`);
    }
    this.#writeRow(row, features);
    this.#status[row] = GOOD;
  }

  /** Gives the file its name; rows that were not written are those of clips that could not be decoded. */
  finish(): void {
    const missing = new Float32Array(this.#rowSize).fill(NaN);
    this.#status.forEach((status, row) => status === FAILED && this.#writeRow(row, missing));
    const { names, labels, shape, attributes } = this.rows, label = labels.map((label) => label ?? NO_LABEL);
    if (this.#layout) {
      const { utf8, offset } = packed(names);
      for (
        const [path, values] of [
          ["/label", Int32Array.from(label)],
          ["/status", this.#status],
          ["/names/utf8", utf8],
          ["/names/offset", offset],
        ] as const
      ) this.#write(bytesOf(values), this.#offset(path));
      this.#write(this.#layout.metadata(false), 0);
    }
    orDiskFull(this.path, () => {
      fs.fsyncSync(this.#file.fd);
      if (!this.#layout) {
        const beside = { attributes, shape: [names.length, ...shape], names, label, status: [...this.#status] };
        writeFileAtomically(`${this.path}.json`, JSON.stringify(beside, null, 2) + "\n");
      }
      fs.renameSync(this.#file.path, this.path);
      syncFolder(dirname(this.path));
    });
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }

  get #rowSize(): number {
    return this.rows.shape.reduce((product, size) => product * size, 1);
  }

  #writeRow(row: number, values: Float32Array): void {
    this.#write(bytesOf(values), this.#start + row * values.byteLength);
  }

  #write(bytes: Uint8Array, offset: number): void {
    orDiskFull(this.path, () => writeAt(this.#file.fd, bytes, offset));
  }

  #offset(dataset: string): number {
    return this.#layout!.datasets.find(({ path }) => path === dataset)!.offset;
  }
}

function tree({ names, attributes }: TableRows, shape: readonly number[]) {
  const rows = names.length;
  return {
    attributes,
    children: {
      features: { dtype: "f32" as const, shape },
      label: { dtype: "i32" as const, shape: [rows], attributes: { none: NO_LABEL } },
      status: { dtype: "u8" as const, shape: [rows], attributes: { meaning: "0 good, 2 decode failed" } },
      names: {
        children: {
          utf8: { dtype: "u8" as const, shape: [packed(names).utf8.length] },
          offset: { dtype: "u32" as const, shape: [rows + 1] },
        },
      },
    },
  };
}

/** All names in one, and where each begins. */
function packed(names: readonly string[]): { utf8: Uint8Array; offset: Uint32Array } {
  const texts = names.map((name) => new TextEncoder().encode(name));
  const offset = new Uint32Array(names.length + 1);
  texts.forEach((text, i) => offset[i + 1] = offset[i]! + text.length);
  const utf8 = new Uint8Array(offset.at(-1)!);
  texts.forEach((text, i) => utf8.set(text, offset[i]!));
  return { utf8, offset };
}

/** Format 1.0 of `numpy.lib.format`: magic, version, length, a Python dict padded with spaces. */
function npyHeader(shape: readonly number[]): Uint8Array {
  const dict = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(", ")},), }`;
  const start = 10, length = Math.ceil((start + dict.length + 1) / NPY_ALIGNMENT) * NPY_ALIGNMENT - start;
  const text = new TextEncoder().encode(dict.padEnd(length - 1) + "\n");
  return Uint8Array.of(0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, length & 255, length >> 8, ...text);
}
