/**
 * What executes programs: an engine compiles them and owns device memory; executables run; buffers hold values.
 *
 * Everything above this interface is the same for XLA, TensorFlow.js and the reference interpreter.
 */
import type { DType, Program, Shape } from "../tensor/mod.ts";

/**
 * Numbers on the host, row-major, in the type the device holds: f32 as Float32Array, i32 as Int32Array, u32 as
 * Uint32Array, u8 and bool as Uint8Array, f16 and bf16 as their bits in a Uint16Array.
 */
export type HostArray = Float32Array | Int32Array | Uint32Array | Uint16Array | Uint8Array;

/** Where a value lives on several devices: a copy on each, or its rows (first axis) shared out in equal blocks. */
export type Placement = "copies" | "rows";

/** A value in device memory. Dispose of it, or donate it to a run. */
export interface DeviceBuffer extends Disposable {
  readonly shape: Shape;
  readonly dtype: DType;
  /** Waits for the value and copies it to the host. */
  read(): Promise<HostArray>;
}

/** Bytes a compiled program needs on the device, where the engine can tell. */
export interface MemoryNeed {
  readonly argumentBytes: number;
  readonly outputBytes: number;
  /** Output bytes that live in donated arguments. */
  readonly aliasBytes: number;
  readonly temporaryBytes: number;
}

/** A compiled program. */
export interface Executable extends Disposable {
  readonly program: Program;
  readonly memory: MemoryNeed | null;
  /**
   * Starts a run and returns its outputs, which may not be computed yet: reading one waits for it. Donated inputs are
   * consumed. Runs on one device happen in the order they were started.
   *
   * @param inputs one buffer for each input of the program, by name
   * @throws {TypeError} if an input is missing or has another shape or type than the program's
   */
  run(inputs: ReadonlyMap<string, DeviceBuffer>): Promise<Map<string, DeviceBuffer>>;
}

/** An engine on one device, or on several that run every program together. */
export interface Engine extends AsyncDisposable {
  /** `xla`, `tfjs` or `reference`. */
  readonly name: string;
  /** For people: engine, device, version. */
  readonly description: string;
  compile(program: Program): Promise<Executable>;
  /**
   * Copies host numbers to the device; the array may be reused at once.
   *
   * @param data all of them, however many devices there are
   * @param placement `rows` for what a program names as batch data; one device makes no difference. @default "copies"
   * @throws {RangeError} if the array's length or kind does not fit shape and type, or the devices do not divide its rows
   */
  upload(data: HostArray, shape: Shape, dtype: DType, placement?: Placement): DeviceBuffer;
  /**
   * Bytes that buffers and programs may still take on each device; undefined where that is not known.
   *
   * @param wanted Less than this is looked at twice, unused memory having been given back.
   */
  freeBytes?(wanted: number): number | undefined;
}

/** Checks that a run's inputs are exactly what the program takes. */
export function checkInputs(program: Program, inputs: ReadonlyMap<string, DeviceBuffer>): void {
  for (const { name, tensor } of program.inputs) {
    const buffer = inputs.get(name);
    if (buffer === undefined) throw new TypeError(`Program ${program.name} needs the input ${name}, which is missing`);
    const same = buffer.dtype === tensor.dtype && buffer.shape.length === tensor.rank &&
      buffer.shape.every((size, axis) => size === tensor.shape[axis]);
    if (!same) {
      const found = `${buffer.dtype}[${buffer.shape.join(", ")}]`;
      throw new TypeError(`Input ${name} of program ${program.name} must be ${tensor}, found ${found}`);
    }
  }
}

/** The typed array that holds elements of a type on the host. */
export function hostArray(dtype: DType, length: number): HostArray {
  switch (dtype) {
    case "f32":
      return new Float32Array(length);
    case "i32":
      return new Int32Array(length);
    case "u32":
      return new Uint32Array(length);
    case "f16":
    case "bf16":
      return new Uint16Array(length);
    case "u8":
    case "bool":
      return new Uint8Array(length);
  }
}

/** Checks that a host array has the kind and length of `dtype` and `shape`. */
export function checkHostArray(data: HostArray, shape: Shape, dtype: DType): void {
  const expected = hostArray(dtype, 0);
  const length = shape.reduce((product, size) => product * size, 1);
  if (data.constructor !== expected.constructor || data.length !== length) {
    throw new RangeError(
      `${dtype}[${shape.join(", ")}] needs a ${expected.constructor.name} of ${length} elements, ` +
        `found a ${data.constructor.name} of ${data.length}`,
    );
  }
}
