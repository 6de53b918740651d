/**
 * Python pickles, protocols 2 to 5, as data: numbers, texts, bytes, lists, tuples and dicts become their JavaScript likes.
 * A pickle can name any Python function and have it called; here a name is looked up in a table of the caller's, which
 * stands for a few harmless ones, and all others are refused before anything is built from them.
 *
 * Steps and containers are counted, so that a small file cannot fill the memory. Not understood: text opcodes of protocol
 * 0, sets, buffers outside of the pickle.
 */

/** What a pickle can hold. Lists and tuples are arrays, dicts are maps; whole numbers are bigints where they are large. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleObject
  | readonly PickleValue[]
  | ReadonlyMap<PickleValue, PickleValue>;

/** A value of the caller's own. */
export abstract class PickleObject {
  declare private readonly isPickleObject: true;
}

/** A Python name that may stand in a pickle. */
export class PickleGlobal extends PickleObject {
  /**
   * @param name With its module, such as `torch.Size`.
   * @param call What calling it or making an instance gives. @default it may not be called
   */
  constructor(readonly name: string, readonly call?: (args: readonly PickleValue[]) => PickleValue) {
    super();
  }
}

/** What a pickle is read with. */
export interface PickleOptions {
  /** Finds a name; throws if it may not stand in the file. */
  readonly global: (name: string) => PickleGlobal;
  /** What a persistent id stands for. */
  readonly persistent: (id: PickleValue) => PickleValue;
}

/** Most steps of a pickle: checkpoints of 5000 tensors with the optimiser's state have less. */
const MAX_STEPS = 500_000;
/** Most lists, tuples, dicts, calls and numbers of more than 53 bits. */
const MAX_CONTAINERS = 100_000;
/** Most bytes of a whole number. */
const MAX_INTEGER_BYTES = 64;

/**
 * Reads one pickle.
 *
 * @param bytes Holds the pickle from `start` on; may go on behind it.
 * @returns its value and where it ends
 * @throws {SyntaxError} if it is none, or one of another kind
 */
export function unpickle(
  bytes: Uint8Array<ArrayBuffer>,
  start: number,
  options: PickleOptions,
): { value: PickleValue; end: number } {
  return new Unpickler(bytes, start, options).run();
}

type Stack = PickleValue[];

class Unpickler {
  readonly #view: DataView;
  readonly #text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #stack: Stack = [];
  /** Stacks below the marks. */
  readonly #below: Stack[] = [];
  readonly #memo = new Map<number, PickleValue>();
  #containers = 0;

  constructor(
    private readonly bytes: Uint8Array<ArrayBuffer>,
    private at: number,
    private readonly options: PickleOptions,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  run(): { value: PickleValue; end: number } {
    for (let step = 0; step < MAX_STEPS; step++) {
      const code = this.#u8();
      if (code === STOP) return { value: this.#pop(), end: this.at };
      this.#execute(code);
    }
    throw new SyntaxError(`its pickle has more than ${MAX_STEPS} steps`);
  }

  #execute(code: number): void {
    switch (code) {
      case 0x80: // PROTO
        if (this.#u8() > 5) {
          throw new SyntaxError(`its pickle has protocol ${this.bytes[this.at - 1]}, known are 2 to 5`);
        }
        return;
      case 0x95: // FRAME
        return void this.#length(8, false);
      case 0x28: // MARK
        this.#below.push(this.#stack);
        this.#stack = [];
        return;
      case 0x30: // POP
        return void this.#pop();
      case 0x31: // POP_MARK
        return void this.#popMark();
      case 0x32: { // DUP
        const value = this.#pop();
        this.#stack.push(value, value);
        return;
      }
      case 0x71: // BINPUT
        return this.#put(this.#u8());
      case 0x72: // LONG_BINPUT
        return this.#put(this.#u32());
      case 0x94: // MEMOIZE
        return this.#put(this.#memo.size);
      case 0x61: // APPEND
        return this.#append([this.#pop()]);
      case 0x65: // APPENDS
        return this.#append(this.#popMark());
      case 0x73: { // SETITEM
        const value = this.#pop(), key = this.#pop();
        return this.#setItems([key, value]);
      }
      case 0x75: // SETITEMS
        return this.#setItems(this.#popMark());
      case 0x62: // BUILD
        // Attributes of objects, of which none matters here.
        return void this.#pop();
    }
    // The end of a list changes the stack, which is therefore looked up afterwards.
    const value = this.#value(code);
    this.#stack.push(value);
  }

  #value(code: number): PickleValue {
    switch (code) {
      case 0x4e: // NONE
        return null;
      case 0x88: // NEWTRUE
        return true;
      case 0x89: // NEWFALSE
        return false;
      case 0x4b: // BININT1
        return this.#u8();
      case 0x4d: // BININT2
        return this.#u8() | this.#u8() << 8;
      case 0x4a: // BININT
        return this.#view.getInt32(this.#take(4), true);
      case 0x8a: // LONG1
        return this.#integer(this.#u8());
      case 0x8b: // LONG4
        return this.#integer(this.#u32());
      case 0x47: // BINFLOAT
        return this.#view.getFloat64(this.#take(8), false);
      case 0x58: // BINUNICODE
        return this.#string(this.#length(4));
      case 0x8c: // SHORT_BINUNICODE
        return this.#string(this.#length(1));
      case 0x8d: // BINUNICODE8
        return this.#string(this.#length(8));
      case 0x54: // BINSTRING, a byte string of Python 2
        return this.#string(this.#length(4));
      case 0x55: // SHORT_BINSTRING
        return this.#string(this.#length(1));
      case 0x42: // BINBYTES
        return this.#raw(this.#length(4));
      case 0x43: // SHORT_BINBYTES
        return this.#raw(this.#length(1));
      case 0x8e: // BINBYTES8
        return this.#raw(this.#length(8));
      case 0x5d: // EMPTY_LIST
      case 0x29: // EMPTY_TUPLE
        return this.#counted([]);
      case 0x7d: // EMPTY_DICT
        return this.#counted(new Map());
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        return this.#counted(this.#popMany(code - 0x84));
      case 0x74: // TUPLE
        return this.#counted(this.#popMark());
      case 0x68: // BINGET
        return this.#get(this.#u8());
      case 0x6a: // LONG_BINGET
        return this.#get(this.#u32());
      case 0x63: // GLOBAL
        return this.#global(this.#line(), this.#line());
      case 0x93: { // STACK_GLOBAL
        const [module, name] = this.#popMany(2);
        if (typeof module === "string" && typeof name === "string") return this.#global(module, name);
        throw new SyntaxError("its pickle takes something else than a text for the name of a class");
      }
      case 0x51: // BINPERSID
        return this.#counted(this.options.persistent(this.#pop()));
      case 0x52: // REDUCE
      case 0x81: { // NEWOBJ
        const [callee, args] = this.#popMany(2);
        if (!(callee instanceof PickleGlobal) || callee.call === undefined || !Array.isArray(args)) {
          throw new SyntaxError("its pickle calls what cannot be called");
        }
        return this.#counted(callee.call(args));
      }
    }
    throw new SyntaxError(
      `its pickle has the opcode 0x${code.toString(16)} at byte ${this.at - 1}, which is not known`,
    );
  }

  #append(values: PickleValue[]): void {
    const list = this.#top();
    if (!Array.isArray(list)) throw new SyntaxError("its pickle appends to what is no list");
    for (const value of values) list.push(value);
  }

  #setItems(pairs: PickleValue[]): void {
    const dict = this.#top();
    if (!(dict instanceof Map) || pairs.length % 2 !== 0) throw new SyntaxError("its pickle fills what is no dict");
    for (let i = 0; i < pairs.length; i += 2) dict.set(pairs[i], pairs[i + 1]);
  }

  #global(module: string, name: string): PickleGlobal {
    return this.options.global(`${module}.${name}`);
  }

  #counted<T extends PickleValue>(value: T): T {
    if (++this.#containers > MAX_CONTAINERS) {
      throw new SyntaxError(`its pickle has more than ${MAX_CONTAINERS} lists, tuples and dicts`);
    }
    return value;
  }

  #put(index: number): void {
    this.#memo.set(index, this.#top());
  }

  #get(index: number): PickleValue {
    const value = this.#memo.get(index);
    if (value === undefined) throw new SyntaxError(`its pickle refers to value ${index}, which it does not have`);
    return value;
  }

  #top(): PickleValue {
    const value = this.#stack.at(-1);
    if (value === undefined) throw new SyntaxError("its pickle takes a value where there is none");
    return value;
  }

  #pop(): PickleValue {
    const value = this.#top();
    this.#stack.pop();
    return value;
  }

  #popMany(count: number): PickleValue[] {
    if (this.#stack.length < count) throw new SyntaxError("its pickle takes values where there are none");
    return this.#stack.splice(-count);
  }

  #popMark(): PickleValue[] {
    const values = this.#stack, below = this.#below.pop();
    if (below === undefined) throw new SyntaxError("its pickle has the end of a list without the beginning");
    this.#stack = below;
    return values;
  }

  #integer(bytes: number): number | bigint {
    if (bytes > MAX_INTEGER_BYTES) throw new SyntaxError(`its pickle has a number of ${bytes} bytes`);
    const start = this.#take(bytes);
    let value = 0n;
    for (let i = bytes - 1; i >= 0; i--) value = value << 8n | BigInt(this.bytes[start + i]!);
    value = BigInt.asIntN(8 * bytes, value);
    return Number.isSafeInteger(Number(value)) ? Number(value) : this.#counted(value);
  }

  #string(length: number): string {
    const start = this.#take(length);
    try {
      return this.#text.decode(this.bytes.subarray(start, start + length));
    } catch {
      throw new SyntaxError("its pickle has a text that is not UTF-8");
    }
  }

  #raw(length: number): Uint8Array {
    const start = this.#take(length);
    return this.bytes.subarray(start, start + length);
  }

  /** A text up to the end of the line. */
  #line(): string {
    const end = this.bytes.indexOf(0x0a, this.at);
    if (end < 0 || end - this.at > 1000) throw new SyntaxError("its pickle has a name without an end");
    const text = this.#string(end - this.at);
    this.at++;
    return text;
  }

  /** A length of 1, 4 or 8 bytes. */
  #length(bytes: 1 | 4 | 8, isChecked = true): number {
    const length = bytes === 1
      ? this.#u8()
      : bytes === 4
      ? this.#u32()
      : Number(this.#view.getBigUint64(this.#take(8), true));
    if (isChecked && length > this.bytes.length - this.at) throw this.#tooShort();
    return length;
  }

  #u8(): number {
    return this.bytes[this.#take(1)]!;
  }

  #u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** Steps over bytes and returns where they begin. */
  #take(length: number): number {
    if (length > this.bytes.length - this.at) throw this.#tooShort();
    return (this.at += length) - length;
  }

  #tooShort(): SyntaxError {
    return new SyntaxError("its pickle does not end within the file or the first megabytes of it");
  }
}

const STOP = 0x2e;
