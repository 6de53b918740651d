/** Options of a PJRT client: an array of `PJRT_NamedValue`. */
import { addressOf, type Args } from "./args.ts";

/** A bigint is sent as int64, a list of bigints as int64 list, a number as float: plugins refuse the wrong type. */
export type OptionValue = string | bigint | readonly bigint[] | number | boolean;

/** Bytes of one `PJRT_NamedValue`. */
const STRIDE = 56;

/** Writes the address of an option array at an offset, and the number of options behind it. */
export function writeOptions(args: Args, offset: number, options: Readonly<Record<string, OptionValue>>): Args {
  const entries = Object.entries(options);
  const block = new Uint8Array(STRIDE * entries.length);
  const keep = (array: ArrayBufferView<ArrayBuffer>): bigint => {
    args.keep(array);
    return addressOf(array);
  };
  entries.forEach(([name, value], i) => {
    const view = new DataView(block.buffer, STRIDE * i, STRIDE);
    const text = new TextEncoder().encode(name);
    view.setBigUint64(0, BigInt(STRIDE), true);
    view.setBigUint64(16, keep(text), true);
    view.setBigUint64(24, BigInt(text.length), true);
    view.setBigUint64(48, BigInt(writeValue(view, value, keep)), true);
  });
  return args.array(offset, block).u64(offset + 8, entries.length);
}

/** Writes type and value; returns the number of elements, 1 for a scalar. */
function writeValue(view: DataView, value: OptionValue, keep: (array: ArrayBufferView<ArrayBuffer>) => bigint): number {
  const [type, at] = [32, 40];
  if (typeof value === "string" || typeof value === "object") {
    const array = typeof value === "string" ? new TextEncoder().encode(value) : BigInt64Array.from(value);
    view.setInt32(type, typeof value === "string" ? 0 : 2, true);
    view.setBigUint64(at, keep(array), true);
    return array.length;
  }
  if (typeof value === "bigint") {
    view.setInt32(type, 1, true);
    view.setBigInt64(at, value, true);
  } else if (typeof value === "number") {
    view.setInt32(type, 3, true);
    view.setFloat32(at, value, true);
  } else {
    view.setInt32(type, 4, true);
    view.setUint8(at, Number(value));
  }
  return 1;
}
