/**
 * One argument block of a PJRT call: a zeroed C struct, written and read by byte offset, that keeps alive the arrays its
 * pointers refer to. 64-bit, little endian.
 *
 * The block is larger than any struct of the API and says so in `struct_size`: a plugin refuses only sizes smaller than
 * its own, and takes zero for the fields it does not know yet, so one set of offsets serves old and new plugins.
 */
const BLOCK_BYTES = 512;

/** A C struct of a PJRT call. Offsets are those of `pjrt_c_api.h`. */
export class Args {
  readonly bytes = new Uint8Array(BLOCK_BYTES);
  readonly #view = new DataView(this.bytes.buffer);
  readonly #kept: unknown[] = [];

  constructor() {
    this.u64(0, BLOCK_BYTES);
  }

  u64(offset: number, value: bigint | number): this {
    this.#view.setBigUint64(offset, BigInt(value), true);
    return this;
  }

  i32(offset: number, value: number): this {
    this.#view.setInt32(offset, value, true);
    return this;
  }

  /** Keeps an array alive as long as this block. */
  keep(array: unknown): this {
    this.#kept.push(array);
    return this;
  }

  /** The address of an array. */
  array(offset: number, array: ArrayBufferView<ArrayBuffer>): this {
    return this.keep(array).u64(offset, addressOf(array));
  }

  /** The address of another struct. */
  struct(offset: number, args: Args): this {
    return this.keep(args).u64(offset, addressOf(args.bytes));
  }

  /** The address of a text, and its length in bytes behind it. */
  text(offset: number, text: string): this {
    const bytes = new TextEncoder().encode(text);
    return this.array(offset, bytes).u64(offset + 8, bytes.length);
  }

  /** An address, or a count. */
  readU64(offset: number): bigint {
    return this.#view.getBigUint64(offset, true);
  }

  readNumber(offset: number): number {
    return Number(this.#view.getBigInt64(offset, true));
  }

  readI32(offset: number): number {
    return this.#view.getInt32(offset, true);
  }

  /** The text at an address, its length in bytes behind it; a copy. */
  readText(offset: number): string {
    return readText(this.readU64(offset), this.readNumber(offset + 8));
  }
}

/** The address of an array's first element; the caller keeps the array alive. */
export function addressOf(array: ArrayBufferView<ArrayBuffer>): bigint {
  return array.byteLength === 0 ? 0n : Deno.UnsafePointer.value(Deno.UnsafePointer.of(array));
}

/** The bytes at an address as UTF-8. */
export function readText(address: bigint, length: number): string {
  if (address === 0n || length === 0) return "";
  const bytes = Deno.UnsafePointerView.getArrayBuffer(Deno.UnsafePointer.create(address)!, length);
  return new TextDecoder().decode(bytes.slice(0));
}
