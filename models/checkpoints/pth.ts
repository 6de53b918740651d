/**
 * Weights as `torch.save` writes them: a zip archive with a pickle and one member a storage, or, before PyTorch 1.6, a row
 * of pickles with the storages behind them. The pickle is read as data (`_pickle.ts`): it can build tensors and plain
 * containers, and whatever else it asks for is refused by name. Tensors are read one by one from their range.
 *
 * The weights are the dict under `model`, `module` (DeepSpeed) or `state_dict`, else the file's own. Not read: the tar files
 * before PyTorch 0.2, TorchScript, quantised, sparse and complex tensors.
 */
import { type FileHandle, open } from "node:fs/promises";
import { type Shape, sizeOf } from "../tensor/mod.ts";
import { type PickleOptions, type PickleValue, unpickle } from "./_pickle.ts";
import {
  findTensor,
  isNaturals,
  type Range,
  readExactly,
  type StoredTensor,
  toFloats,
  TYPE_BYTES,
  type WeightsSource,
} from "./_stored.ts";
import { Storage, TensorView, torchGlobal, torchStorage } from "./_torch_objects.ts";
import { readZip } from "./_zip.ts";

/** Most bytes of a pickle; that of a ViT-H with the optimiser's state has less than one million. */
const MAX_PICKLE_BYTES = 1 << 23;
const LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn;
const LEGACY_PROTOCOL = 1001;
/** Keys under which training scripts keep the weights. */
const WEIGHT_KEYS = ["model", "module", "state_dict"];

/** Where the numbers of a tensor lie. */
interface PthTensor extends StoredTensor {
  /** First byte, and the byte behind the last number. */
  readonly range: Range;
  /** In numbers. */
  readonly strides: Shape;
}

/** The object that was saved, and the byte ranges of storages by key. */
interface Saved {
  readonly object: PickleValue;
  readonly storages: ReadonlyMap<string, Range>;
}

type Read = (start: number, end: number) => Promise<Uint8Array<ArrayBuffer>>;

/** An open file. Dispose of it to close it. */
export class PthFile implements WeightsSource {
  private constructor(
    readonly path: string,
    private readonly handle: FileHandle,
    /** By name, in the order of the dict. */
    readonly tensors: ReadonlyMap<string, PthTensor>,
  ) {}

  /** The one file. */
  get files(): readonly string[] {
    return [this.path];
  }

  /**
   * Opens a file and reads its pickle.
   *
   * @throws {SyntaxError} if it is not a whole file of `torch.save` with tensors
   * @throws {TypeError} if its pickle asks for a Python object that is neither a tensor nor a plain container
   */
  static async open(path: string): Promise<PthFile> {
    const handle = await open(path, "r");
    try {
      const { size } = await handle.stat();
      const read: Read = (start, end) => readExactly(handle, [start, end], (reason) => new SyntaxError(reason));
      const isZip = isZipStart(await read(0, Math.min(4, size)));
      const options = { global: (name: string) => torchGlobal(name, path), persistent: torchStorage };
      const saved = isZip ? await readArchive(size, read, options) : await readLegacy(size, read, options);
      return new PthFile(path, handle, tensorsOf(saved));
    } catch (error) {
      await handle.close();
      throw error instanceof SyntaxError ? broken(path, error.message) : error;
    }
  }

  /**
   * The bytes of a tensor, row-major whatever its strides.
   *
   * @throws {TypeError} if there is no such tensor
   */
  async readBytes(name: string): Promise<Uint8Array<ArrayBuffer>> {
    const tensor = findTensor(this.tensors, name, this.path);
    const bytes = await readExactly(this.handle, tensor.range, (reason) => broken(this.path, reason));
    return isRowMajor(tensor) ? bytes : gather(bytes, tensor);
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

/** Whether the first four bytes are those of a zip archive. */
export function isZipStart(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 3 && bytes[3] === 4;
}

/** Whether the first bytes are those of a file of PyTorch before 1.6: protocol 2, then the magic number. */
export function isLegacyStart(bytes: Uint8Array): boolean {
  return bytes.length >= 14 && bytes[0] === 0x80 && bytes[2] === 0x8a && bytes[3] === 10 &&
    bytes.subarray(4, 14).toReversed().reduce((sum, byte) => sum << 8n | BigInt(byte), 0n) === LEGACY_MAGIC;
}

function broken(path: string, reason: string): SyntaxError {
  return new SyntaxError(`${path} is not a whole PyTorch file: ${reason}. Fetch or export it again`);
}

async function readArchive(size: number, read: Read, options: PickleOptions): Promise<Saved> {
  const members = await readZip(size, read);
  const [pickle, ...others] = [...members.keys()].filter((name) => /^(?:[^/]+\/)?data\.pkl$/.test(name));
  if (pickle === undefined || others.length > 0) throw new SyntaxError("it has no single member data.pkl");
  const root = pickle.slice(0, -"data.pkl".length);
  const order = members.get(`${root}byteorder`);
  if (order && new TextDecoder().decode(await read(order[0], Math.min(order[1], order[0] + 10))) !== "little") {
    throw new SyntaxError("it was written on a machine whose numbers begin with the high byte");
  }
  const [start, end] = members.get(pickle)!;
  if (end - start > MAX_PICKLE_BYTES) throw new SyntaxError(`its pickle has ${end - start} bytes`);
  const folder = `${root}data/`;
  return {
    object: unpickle(await read(start, end), 0, options).value,
    storages: new Map(
      [...members].filter(([name]) => name.startsWith(folder)).map(([name, range]) => [
        name.slice(folder.length),
        range,
      ]),
    ),
  };
}

async function readLegacy(size: number, read: Read, { global, persistent }: PickleOptions): Promise<Saved> {
  const head = await read(0, Math.min(size, MAX_PICKLE_BYTES));
  if (!isLegacyStart(head)) throw new SyntaxError("it begins neither as a zip archive nor as an older file of PyTorch");
  const seen = new Map<string, Storage>();
  const options: PickleOptions = {
    global,
    persistent: (id) => {
      const storage = persistent(id) as Storage;
      seen.set(storage.key, storage);
      return storage;
    },
  };
  let at = 0;
  const next = () => {
    const { value, end } = unpickle(head, at, options);
    at = end;
    return value;
  };
  const magic = next(), protocol = next(), system = next();
  const isLittle = system instanceof Map && system.get("little_endian") === true;
  if (magic !== LEGACY_MAGIC || protocol !== LEGACY_PROTOCOL || !isLittle) {
    throw new SyntaxError("its first pickles are not those of PyTorch on a common machine");
  }
  const object = next(), keys = next();
  const storages = new Map<string, Range>();
  for (const key of Array.isArray(keys) ? keys : []) {
    const storage = seen.get(key);
    if (storage === undefined || storages.has(key)) {
      throw new SyntaxError("its list of storages does not fit its pickle");
    }
    const start = at + 8;
    const numbers = start > size ? NaN : Number(new DataView((await read(at, start)).buffer).getBigUint64(0, true));
    if (numbers !== storage.numbers) {
      throw new SyntaxError(`storage ${key} should have ${storage.numbers} numbers, found ${numbers}`);
    }
    at = start + numbers * TYPE_BYTES[storage.dtype];
    if (at > size) throw new SyntaxError(`storage ${key} ends at byte ${at}, the file at ${size}`);
    storages.set(key, [start, at]);
  }
  return { object, storages };
}

function tensorsOf({ object, storages }: Saved): Map<string, PthTensor> {
  const candidates = object instanceof Map ? [...WEIGHT_KEYS.map((key) => object.get(key)), object] : [];
  const dict = candidates.find((value) => value instanceof Map && [...value.values()].some(isTensor));
  if (dict === undefined) {
    throw new SyntaxError(`it holds no dict of tensors, neither itself nor under ${WEIGHT_KEYS.join(", ")}`);
  }
  const tensors = new Map<string, PthTensor>();
  for (const [name, value] of dict) {
    if (typeof name === "string" && isTensor(value)) tensors.set(name, checkTensor(name, value, storages));
  }
  return tensors;
}

function isTensor(value: PickleValue): value is TensorView {
  return value instanceof TensorView;
}

function checkTensor(name: string, tensor: TensorView, storages: ReadonlyMap<string, Range>): PthTensor {
  const { storage, offset, shape, strides } = tensor;
  const isView = storage instanceof Storage && isNaturals([offset]) && isNaturals(shape) && isNaturals(strides) &&
    shape.length === strides.length;
  if (!isView) throw new SyntaxError(`tensor ${name} is no view of numbers with a shape and strides`);
  const range = storages.get(storage.key);
  if (range === undefined) throw new SyntaxError(`the numbers of tensor ${name} are missing`);
  const { dtype, numbers } = storage, item = TYPE_BYTES[dtype];
  if (range[1] - range[0] !== numbers * item) {
    throw new SyntaxError(
      `tensor ${name} needs ${numbers} numbers of type ${dtype}, its storage has ${range[1] - range[0]} bytes`,
    );
  }
  const size = sizeOf(shape), first = offset as number;
  const end = size === 0
    ? first
    : shape.reduce((last, length, axis) => last + (length - 1) * strides[axis]!, first + 1);
  // A size or an end that overflows is no number, which is not "at most" either.
  if (!(size <= numbers && end <= numbers)) {
    throw new SyntaxError(
      `tensor ${name}, ${dtype}[${shape.join(", ")}], reaches beyond the ${numbers} numbers of its storage`,
    );
  }
  return { name, dtype, shape, strides, range: [range[0] + first * item, range[0] + end * item] };
}

function isRowMajor({ shape, strides }: PthTensor): boolean {
  let step = 1;
  return shape.toReversed().every((length, i) => {
    const fits = length === 1 || strides[shape.length - 1 - i] === step;
    step *= length;
    return fits;
  }) || step === 0;
}

/** The numbers in row-major order. */
function gather(bytes: Uint8Array<ArrayBuffer>, { dtype, shape, strides }: PthTensor): Uint8Array<ArrayBuffer> {
  const item = TYPE_BYTES[dtype], gathered = new Uint8Array(sizeOf(shape) * item);
  const index = shape.map(() => 0);
  for (let to = 0; to < gathered.length; to += item) {
    const from = index.reduce((sum, i, axis) => sum + i * strides[axis]!, 0) * item;
    for (let byte = 0; byte < item; byte++) gathered[to + byte] = bytes[from + byte]!;
    for (let axis = shape.length - 1; axis >= 0 && ++index[axis]! === shape[axis]; axis--) index[axis] = 0;
  }
  return gathered;
}
