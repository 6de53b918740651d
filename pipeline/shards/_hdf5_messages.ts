/**
 * Encoders for the parts of an HDF5 file that a shard needs (HDF5 File Format Specification, version 3): superblock
 * version 3, object header version 2, and the dataspace, datatype, layout, link and attribute messages inside.
 */
import { STORED_BYTES, type StoredDtype } from "./dtypes.ts";
import { lookup3 } from "./lookup3.ts";

/** Value of an HDF5 attribute: integers become i64, other numbers f64, strings fixed-length UTF-8. */
export type AttributeValue = string | number | bigint | readonly number[] | readonly string[];

/** The address that means "nothing is stored". */
export const UNDEFINED_ADDRESS = 0xffff_ffff_ffff_ffffn;
/** Bytes of a superblock of version 3 with 8-byte addresses. */
export const SUPERBLOCK_BYTES = 48;
/** Bytes that open every HDF5 file. */
export const MAGIC = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a] as const;
/** Superblock flags of a file that a writer has open: every HDF5 library from 1.10 on refuses it. */
export const OPEN_FLAGS = 5;

/** Sign bit, precision, exponent position, exponent bits, mantissa bits, exponent bias. */
const FLOAT_LAYOUT: Partial<Record<StoredDtype, readonly [number, number, number, number, number, number]>> = {
  f16: [15, 16, 10, 5, 10, 15],
  bf16: [15, 16, 7, 8, 7, 127],
  f32: [31, 32, 23, 8, 23, 127],
  f64: [63, 64, 52, 11, 52, 1023],
};
const LARGEST_MESSAGE = 0xffff;
const utf8 = new TextEncoder();

/** A growing list of bytes with little-endian numbers. */
export class ByteList {
  readonly bytes: number[] = [];

  u8(...values: number[]): this {
    for (const value of values) this.bytes.push(value & 0xff);
    return this;
  }

  /** A number of `size` bytes, two's complement. */
  int(value: number | bigint, size: number): this {
    let rest = BigInt.asUintN(64, BigInt(value));
    for (let i = 0; i < size; i++, rest >>= 8n) this.bytes.push(Number(rest & 0xffn));
    return this;
  }

  raw(values: Iterable<number>): this {
    for (const value of values) this.bytes.push(value);
    return this;
  }
}

/** The bytes followed by their lookup3 checksum. */
function withChecksum(body: readonly number[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(body.length + 4);
  out.set(body);
  new DataView(out.buffer).setUint32(body.length, lookup3(out.subarray(0, body.length)), true);
  return out;
}

/** Superblock, 48 bytes; `open` sets the flags of a file under construction. */
export function superblock(rootAddress: number, endAddress: number, open: boolean): Uint8Array<ArrayBuffer> {
  const head = new ByteList().u8(...MAGIC, 3, 8, 8, open ? OPEN_FLAGS : 0);
  return withChecksum(
    head.int(0, 8).int(UNDEFINED_ADDRESS, 8).int(endAddress, 8).int(rootAddress, 8).bytes,
  );
}

/** Object header around its messages. */
export function objectHeader(messages: readonly number[]): Uint8Array<ArrayBuffer> {
  return withChecksum(new ByteList().raw(utf8.encode("OHDR")).u8(2, 2).int(messages.length, 4).raw(messages).bytes);
}

/** One message with its four-byte prefix. */
export function message(type: number, body: readonly number[]): number[] {
  return new ByteList().u8(type).int(body.length, 2).u8(0).raw(body).bytes;
}

/** Dataspace: the sizes per axis; none means a scalar. */
export function dataspace(shape: readonly number[]): number[] {
  const out = new ByteList().u8(2, shape.length, 0, shape.length > 0 ? 1 : 0);
  for (const size of shape) out.int(size, 8);
  return out.bytes;
}

/** Datatype of an element. */
export function datatype(dtype: StoredDtype): number[] {
  const bytes = STORED_BYTES[dtype], float = FLOAT_LAYOUT[dtype];
  if (float === undefined) {
    const signed = dtype.startsWith("i") ? 8 : 0;
    return new ByteList().u8(0x10, signed, 0, 0).int(bytes, 4).int(0, 2).int(bytes * 8, 2).bytes;
  }
  const [sign, precision, exponentAt, exponentBits, mantissaBits, bias] = float;
  return new ByteList().u8(0x11, 0x20, sign, 0).int(bytes, 4).int(0, 2).int(precision, 2)
    .u8(exponentAt, exponentBits, 0, mantissaBits).int(bias, 4).bytes;
}

/** Layout: contiguous at an address. */
export function contiguousLayout(address: number, bytes: number): number[] {
  return new ByteList().u8(3, 1).int(bytes > 0 ? address : UNDEFINED_ADDRESS, 8).int(bytes, 8).bytes;
}

/** Hard link to a child's object header. */
export function hardLink(name: string, address: number): number[] {
  const encoded = utf8.encode(name);
  return new ByteList().u8(1, 0x10, 1, encoded.length).raw(encoded).int(address, 8).bytes;
}

/**
 * Attribute with its value.
 *
 * @throws {RangeError} If it exceeds the 64 KiB that a message holds.
 */
export function attribute(name: string, value: AttributeValue): number[] {
  const list: readonly (string | number | bigint)[] = Array.isArray(value) ? value : [value];
  const shape = Array.isArray(value) ? [value.length] : [];
  const { type, data } = attributeData(list);
  const encodedName = [...utf8.encode(name), 0], space = dataspace(shape);
  const out = new ByteList().u8(3, 0).int(encodedName.length, 2).int(type.length, 2).int(space.length, 2).u8(1)
    .raw(encodedName).raw(type).raw(space).raw(data).bytes;
  if (out.length > LARGEST_MESSAGE) {
    throw new RangeError(
      `Attribute ${name} takes ${out.length} bytes, an HDF5 attribute holds ${LARGEST_MESSAGE}: store it as a u8 dataset`,
    );
  }
  return out;
}

function attributeData(list: readonly (string | number | bigint)[]): { type: number[]; data: number[] } {
  if (typeof list[0] === "string") {
    const encoded = list.map((text) => utf8.encode(String(text)));
    const length = Math.max(1, ...encoded.map((text) => text.length));
    const data = new ByteList();
    for (const text of encoded) data.raw(text).raw(new Uint8Array(length - text.length));
    return { type: new ByteList().u8(0x13, 0x11, 0, 0).int(length, 4).bytes, data: data.bytes };
  }
  if (list.every((x) => typeof x === "bigint" || Number.isSafeInteger(x))) {
    const data = new ByteList();
    for (const x of list) data.int(x as number | bigint, 8);
    return { type: datatype("i64"), data: data.bytes };
  }
  const doubles = Float64Array.from(list, Number);
  return { type: datatype("f64"), data: [...new Uint8Array(doubles.buffer)] };
}
