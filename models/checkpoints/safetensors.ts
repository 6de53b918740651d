/**
 * Safetensors files: eight bytes with the header's length, a JSON header with type, shape and byte range of each tensor, then
 * the numbers, little-endian. Tensors are read one by one from their range, so a file may be larger than memory.
 *
 * A file comes from outside: its header is checked in full before anything is allocated from what it says. Ranges must
 * follow each other without gap or overlap and end where the file ends, as the format demands.
 */
import { type FileHandle, open, rename } from "node:fs/promises";
import { type Shape, sizeOf } from "../tensor/mod.ts";
import {
  findTensor,
  isNaturals,
  isRecord,
  type Range,
  readExactly,
  type StoredTensor,
  type StoredType,
  toFloats,
  TYPE_BYTES,
  type WeightsSource,
} from "./_stored.ts";

export type { StoredTensor, StoredType };

/** A tensor to be written. */
export interface TensorToStore {
  readonly name: string;
  readonly shape: Shape;
  /** Row-major, `Float32Array` for F32, `Uint16Array` for the bits of F16 and BF16, ... */
  readonly data: ArrayBufferView;
  /** @default "F32" */
  readonly dtype?: StoredType;
}

/** Most bytes of a header: room for a hundred thousand tensors. The format's own limit, 100 MB, takes 1 GB to read. */
const MAX_HEADER_BYTES = 1 << 24;
/** Most letters of a reason: names of a hostile file may be as long as its header. */
const MAX_REASON = 1000;
const METADATA = "__metadata__";
/** Bytes copied at once when a file is written. */
const WRITE_BYTES = 1 << 24;

/** An open file. Dispose of it to close it. */
export class SafetensorsFile implements WeightsSource {
  private constructor(
    readonly path: string,
    private readonly handle: FileHandle,
    /** By name, in the order of their bytes. */
    readonly tensors: ReadonlyMap<string, StoredTensor & { readonly range: Range }>,
    /** Free text of the writer. */
    readonly metadata: ReadonlyMap<string, string>,
  ) {}

  /** The one file. */
  get files(): readonly string[] {
    return [this.path];
  }

  /**
   * Opens a file and checks its header.
   *
   * @throws {SyntaxError} if it is not a whole safetensors file
   */
  static async open(path: string): Promise<SafetensorsFile> {
    const handle = await open(path, "r");
    try {
      const { size } = await handle.stat();
      const read = (start: number, end: number) => readExactly(handle, [start, end], (reason) => broken(path, reason));
      const prefix = await read(0, Math.min(8, size));
      const headerBytes = size < 8 ? 0 : Number(new DataView(prefix.buffer).getBigUint64(0, true));
      if (headerBytes < 2 || headerBytes > Math.min(size - 8, MAX_HEADER_BYTES)) {
        throw broken(path, `its header should have ${headerBytes} bytes, but the file has ${size} in all`);
      }
      const header = parseHeader(path, await read(8, 8 + headerBytes));
      const dataStart = 8 + headerBytes;
      return new SafetensorsFile(
        path,
        handle,
        checkTensors(path, header, dataStart, size),
        checkMetadata(path, header),
      );
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /**
   * The bytes of a tensor.
   *
   * @throws {TypeError} if there is no such tensor
   */
  async readBytes(name: string): Promise<Uint8Array<ArrayBuffer>> {
    const { range } = findTensor(this.tensors, name, this.path);
    return await readExactly(this.handle, range, (reason) => broken(this.path, reason));
  }

  /**
   * The numbers of a float tensor as f32, row-major.
   *
   * @throws {TypeError} if there is no such tensor or it does not hold floats
   */
  async readFloats(name: string): Promise<Float32Array<ArrayBuffer>> {
    const tensor = findTensor(this.tensors, name, this.path);
    return toFloats(await this.readBytes(name), tensor, this.path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.handle.close();
  }
}

/**
 * Writes a file: to a temporary name, flushed to disk, then renamed. Equal tensors give equal bytes.
 *
 * @param tensors In any order; types with more bytes come first in the file, so that all are aligned, then by name.
 * @param metadata Free text.
 * @throws {RangeError} if a name comes twice, or data do not have the bytes of type and shape
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly TensorToStore[],
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const ordered = tensors.map((tensor) => ({ dtype: "F32" as StoredType, ...tensor })).sort((a, b) =>
    TYPE_BYTES[b.dtype] - TYPE_BYTES[a.dtype] || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
  );
  const header = new Map<string, unknown>(Object.keys(metadata).length > 0 ? [[METADATA, metadata]] : []);
  let end = 0;
  for (const { name, dtype, shape, data } of ordered) {
    if (header.has(name)) throw new RangeError(`Cannot write ${path}: the name ${name} comes twice`);
    const bytes = sizeOf(shape) * TYPE_BYTES[dtype];
    if (data.byteLength !== bytes) {
      throw new RangeError(
        `Cannot write ${path}: ${name}, ${dtype}[${shape.join(", ")}], has ${bytes} bytes, found ${data.byteLength}`,
      );
    }
    header.set(name, { dtype, shape, data_offsets: [end, end += bytes] });
  }
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const start = new Uint8Array(8 + Math.ceil(text.length / 8) * 8).fill(0x20);
  new DataView(start.buffer).setBigUint64(0, BigInt(start.length - 8), true);
  start.set(text, 8);

  const temporary = `${path}.partial`;
  const handle = await open(temporary, "w");
  try {
    for (const view of [start, ...ordered.map(({ data }) => data)]) {
      const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
      for (let at = 0; at < bytes.length;) {
        at += (await handle.write(bytes, at, Math.min(WRITE_BYTES, bytes.length - at))).bytesWritten;
      }
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, path);
}

function broken(path: string, reason: string): SyntaxError {
  const shown = reason.length > MAX_REASON ? `${reason.slice(0, MAX_REASON)} ...` : reason;
  return new SyntaxError(`${path} is not a whole safetensors file: ${shown}. Fetch or export it again`);
}

function parseHeader(path: string, bytes: Uint8Array): Map<string, unknown> {
  let text: string, header: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    header = JSON.parse(text);
  } catch {
    throw broken(path, "its header is not JSON");
  }
  if (!isRecord(header)) throw broken(path, "its header is not a JSON object");
  const twice = doubleName(text);
  if (twice !== undefined) throw broken(path, `the name ${twice} comes twice in its header`);
  return new Map(Object.entries(header));
}

/**
 * A name that an object of a JSON text has twice, of which readers keep one or the other; undefined if there is none. Read
 * letter by letter, since a pattern may run out of memory on a hostile text.
 */
function doubleName(json: string): string | undefined {
  const open: (Set<string> | undefined)[] = [];
  for (let at = 0; at < json.length; at++) {
    const letter = json[at]!;
    if (letter === "{") open.push(new Set());
    else if (letter === "[") open.push(undefined);
    else if (letter === "}" || letter === "]") open.pop();
    if (letter !== '"') continue;
    const start = at++;
    for (; json[at] !== '"'; at++) if (json[at] === "\\") at++;
    let next = at + 1;
    while (json[next]! <= " ") next++;
    if (json[next] !== ":") continue;
    const name: string = JSON.parse(json.slice(start, at + 1)), names = open.at(-1)!;
    if (names.has(name)) return name;
    names.add(name);
  }
  return undefined;
}

function checkMetadata(path: string, header: ReadonlyMap<string, unknown>): Map<string, string> {
  const metadata = header.get(METADATA) ?? {};
  if (!isRecord(metadata) || Object.values(metadata).some((value) => typeof value !== "string")) {
    throw broken(path, "its metadata are not texts");
  }
  return new Map(Object.entries(metadata as Record<string, string>));
}

/** The tensors with absolute byte ranges. */
function checkTensors(path: string, header: ReadonlyMap<string, unknown>, dataStart: number, size: number) {
  const tensors = [...header].filter(([name]) => name !== METADATA).map(([name, entry]) => {
    const { dtype, shape, data_offsets: offsets } = isRecord(entry) ? entry : {};
    if (typeof dtype !== "string" || !Object.hasOwn(TYPE_BYTES, dtype)) {
      throw broken(path, `tensor ${name} has the type ${dtype}; known are ${Object.keys(TYPE_BYTES).join(", ")}`);
    }
    if (!isNaturals(shape)) throw broken(path, `tensor ${name} has the shape ${JSON.stringify(shape)}`);
    if (!isNaturals(offsets) || offsets.length !== 2) {
      throw broken(path, `tensor ${name} has the byte range ${JSON.stringify(offsets)}`);
    }
    const bytes = sizeOf(shape) * TYPE_BYTES[dtype as StoredType];
    const range: Range = [dataStart + offsets[0]!, dataStart + offsets[1]!];
    if (range[1] - range[0] !== bytes) {
      throw broken(
        path,
        `tensor ${name}, ${dtype}[${shape.join(", ")}], needs ${bytes} bytes, its range has ${range[1] - range[0]}`,
      );
    }
    return { name, dtype: dtype as StoredType, shape, range };
  }).sort((a, b) => a.range[0] - b.range[0] || a.range[1] - b.range[1]);
  let end = dataStart;
  for (const { name, range } of tensors) {
    if (range[0] !== end) {
      throw broken(path, `tensor ${name} begins at byte ${range[0]}, the one before it ends at ${end}`);
    }
    end = range[1];
  }
  if (end !== size) throw broken(path, `its tensors end at byte ${end}, the file at ${size}`);
  return new Map(tensors.map((tensor) => [tensor.name, tensor]));
}
