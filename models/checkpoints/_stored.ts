/** What weight files have in common: element types, tensors by name, reads at a position. */
import type { FileHandle } from "node:fs/promises";
import { bfloatToFloat, halfToFloat } from "../runtime/_half.ts";
import type { Shape } from "../tensor/mod.ts";

/** Element types and their bytes. Tensors of other types are refused. */
export const TYPE_BYTES = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const;

/** An element type as safetensors headers name it. */
export type StoredType = keyof typeof TYPE_BYTES;

/** A tensor as it stands in a file. */
export interface StoredTensor {
  readonly name: string;
  readonly dtype: StoredType;
  readonly shape: Shape;
}

/** Open weights. Dispose of them to close their files. */
export interface WeightsSource extends AsyncDisposable {
  readonly path: string;
  /** All files the weights lie in, `path` among them. */
  readonly files: readonly string[];
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** The bytes of a tensor, row-major, little-endian. */
  readBytes(name: string): Promise<Uint8Array<ArrayBuffer>>;
  /** The numbers of a float tensor as f32, row-major. */
  readFloats(name: string): Promise<Float32Array<ArrayBuffer>>;
}

/** Byte range in a file. */
export type Range = readonly [start: number, end: number];

/**
 * Numbers of a float tensor as f32; f32 itself is not copied.
 *
 * @param bytes All bytes of a buffer, little-endian.
 * @throws {TypeError} if the type is none of floats
 */
export function toFloats(
  { buffer }: Uint8Array<ArrayBuffer>,
  { name, dtype }: StoredTensor,
  path: string,
): Float32Array<ArrayBuffer> {
  switch (dtype) {
    case "F32":
      return new Float32Array(buffer);
    case "F64":
      return Float32Array.from(new Float64Array(buffer));
    case "F16":
      return Float32Array.from(halfToFloat(new Uint16Array(buffer)));
    case "BF16":
      return Float32Array.from(bfloatToFloat(new Uint16Array(buffer)));
    default:
      throw new TypeError(`Tensor ${name} of ${path} holds ${dtype}, floats are needed`);
  }
}

/** The tensor of a name. @throws {TypeError} if there is none */
export function findTensor<T>(tensors: ReadonlyMap<string, T>, name: string, path: string): T {
  const found = tensors.get(name);
  if (found === undefined) throw new TypeError(`${path} has no tensor ${name}`);
  return found;
}

/** Whether a value from outside is a list of at most 32 whole numbers of at least 0. */
export function isNaturals(value: unknown): value is number[] {
  return Array.isArray(value) && value.length <= 32 &&
    value.every((part) => Number.isSafeInteger(part) && part >= 0);
}

/** Whether a value from outside is an object with names. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Reads at a position, whatever other reads are under way.
 *
 * @param broken Makes the error for a file that ends too early.
 */
export async function readExactly(
  handle: FileHandle,
  [start, end]: Range,
  broken: (reason: string) => Error,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(end - start);
  for (let at = 0; at < bytes.length;) {
    const { bytesRead } = await handle.read(bytes, at, bytes.length - at, start + at);
    if (bytesRead === 0) throw broken(`it ends at byte ${start + at}, ${end} are needed`);
    at += bytesRead;
  }
  return bytes;
}
