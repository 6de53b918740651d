/**
 * Protocol buffers, as much as an ONNX file needs: messages are lists of fields, each a number, a text, bytes or a message.
 * Bytes are kept as they are given and never joined, so that a file of gigabytes is written from the weights themselves.
 */

/** The bytes of a message, in pieces. */
export interface Message {
  readonly length: number;
  readonly pieces: readonly Uint8Array[];
}

/** The value of a field; a list repeats the field, nothing leaves it out. */
export type Field = number | bigint | string | Uint8Array | Message | Float | readonly Field[] | undefined;

/** A number that the format stores in 4 bytes. */
export class Float {
  constructor(readonly value: number) {}
}

const VARINT = 0, BYTES = 2, FIXED32 = 5;

/** A message from its fields by number, in the order given. */
export function message(fields: readonly (readonly [number: number, value: Field])[]): Message {
  const pieces: Uint8Array[] = [];
  for (const [number, value] of fields) append(pieces, number, value);
  return { length: pieces.reduce((sum, { length }) => sum + length, 0), pieces };
}

function append(pieces: Uint8Array[], number: number, value: Field): void {
  const tag = (wire: number) => varint(BigInt(number << 3 | wire));
  if (value === undefined) return;
  if (typeof value === "number" || typeof value === "bigint") {
    pieces.push(tag(VARINT), varint(BigInt(value)));
  } else if (value instanceof Float) {
    pieces.push(tag(FIXED32), new Uint8Array(Float32Array.of(value.value).buffer));
  } else if (isList(value)) {
    for (const one of value) append(pieces, number, one);
  } else {
    const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
    pieces.push(tag(BYTES), varint(BigInt(bytes.length)), ...(bytes instanceof Uint8Array ? [bytes] : bytes.pieces));
  }
}

function isList(value: Field): value is readonly Field[] {
  return Array.isArray(value);
}

/** Seven bits a byte, the lowest first; a negative number is its 64-bit complement. */
function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  do {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Uint8Array.from(bytes);
}
