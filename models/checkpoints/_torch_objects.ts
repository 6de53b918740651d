/**
 * What stands for PyTorch's objects in a pickle: storages by key, tensors as views of them, and the other names that
 * checkpoints of VideoMAE, AMD and MAE hold beside their weights: arguments, numbers of numpy, element types. Nothing of
 * these is run or kept.
 */
import { PickleGlobal, PickleObject, type PickleValue } from "./_pickle.ts";
import type { StoredType } from "./_stored.ts";

/** Numbers of one type, somewhere in the file. */
export class Storage extends PickleObject {
  constructor(readonly key: string, readonly dtype: StoredType, readonly numbers: number) {
    super();
  }
}

/** A view of a storage, in numbers; not checked yet. */
export class TensorView extends PickleObject {
  constructor(
    readonly storage: PickleValue,
    readonly offset: PickleValue,
    readonly shape: PickleValue,
    readonly strides: PickleValue,
  ) {
    super();
  }
}

class StorageClass extends PickleGlobal {
  constructor(name: string, readonly dtype: StoredType) {
    super(name);
  }
}

const STORAGE_CLASSES: Readonly<Record<string, StoredType>> = {
  DoubleStorage: "F64",
  FloatStorage: "F32",
  HalfStorage: "F16",
  BFloat16Storage: "BF16",
  LongStorage: "I64",
  IntStorage: "I32",
  ShortStorage: "I16",
  CharStorage: "I8",
  ByteStorage: "U8",
  BoolStorage: "BOOL",
};

const DTYPES = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool".split(" ");

const view = ([storage = null, offset = null, shape = null, strides = null]: readonly PickleValue[]) =>
  new TensorView(storage, offset, shape, strides);
const first = ([value = null]: readonly PickleValue[]) => value;
const nothing = () => null;

function emptyDict(args: readonly PickleValue[]): PickleValue {
  if (args.length > 0) throw new SyntaxError("its pickle makes a dict from a list of pairs");
  return new Map();
}

const GLOBALS: ReadonlyMap<string, PickleGlobal> = new Map([
  new PickleGlobal("collections.OrderedDict", emptyDict),
  new PickleGlobal("torch._utils._rebuild_tensor", view),
  new PickleGlobal("torch._utils._rebuild_tensor_v2", view),
  new PickleGlobal("torch._utils._rebuild_parameter", first),
  new PickleGlobal("torch.Size", first),
  new PickleGlobal("torch.device", nothing),
  new PickleGlobal("argparse.Namespace", nothing),
  new PickleGlobal("numpy.core.multiarray.scalar", nothing),
  new PickleGlobal("numpy._core.multiarray.scalar", nothing),
  new PickleGlobal("numpy.dtype", nothing),
  new PickleGlobal("_codecs.encode", nothing),
  ...Object.entries(STORAGE_CLASSES).map(([name, dtype]) => new StorageClass(`torch.${name}`, dtype)),
  ...DTYPES.map((name) => new PickleGlobal(`torch.${name}`)),
].map((global) => [global.name, global]));

/**
 * The object for a Python name.
 *
 * @throws {TypeError} if it is none of those that weights are made of
 */
export function torchGlobal(name: string, path: string): PickleGlobal {
  const found = GLOBALS.get(name);
  if (found !== undefined) return found;
  throw new TypeError(
    `${path} asks for the Python object ${name}, which weights do not need; nothing was run. ` +
      "If you trust the file, write its weights alone with Python: " +
      'torch.save(torch.load(FILE, weights_only=False)["model"], NEW_FILE)',
  );
}

/** The storage of a persistent id, `("storage", class, key, device, numbers)`. */
export function torchStorage(id: PickleValue): Storage {
  const [kind, type, key, , numbers, view = null] = Array.isArray(id) ? id : [];
  const fits = kind === "storage" && type instanceof StorageClass && typeof key === "string" && view === null;
  if (!fits || !Number.isSafeInteger(numbers) || (numbers as number) < 0) {
    throw new SyntaxError("its pickle refers to data that are no storage of a known type");
  }
  return new Storage(key, type.dtype, numbers as number);
}
