/**
 * The TensorFlow.js engine: the same traced programs, interpreted operation by operation.
 *
 * It needs no plugin: TensorFlow's own library (`@tensorflow/tfjs-node-gpu`) where it loads, else WebAssembly, else
 * plain JavaScript. All arithmetic is float32. `u8` is held as int32, `u32` as the int32 of the same bits. There is one
 * TensorFlow.js in a process, and opening an engine chooses its backend for all of them.
 */
import * as tf from "@tensorflow/tfjs-core";
import { type DType, type Program, type Shape, type Tensor } from "../tensor/mod.ts";
import { bfloatToFloat, floatToBfloat, floatToHalf, halfToFloat } from "./_half.ts";
import { schedule, type Step } from "./_schedule.ts";
import { evaluate, full, heldType } from "./_tfjs_ops.ts";
import {
  checkHostArray,
  checkInputs,
  type DeviceBuffer,
  type Engine,
  type Executable,
  type HostArray,
} from "./engine.ts";

/** What executes: TensorFlow's native library, WebAssembly or plain JavaScript. */
export type TfjsBackend = "tensorflow" | "wasm" | "cpu";

/** Options of {@linkcode openTfjsEngine}. */
export interface TfjsOptions {
  /** @default the first of `tensorflow`, `wasm`, `cpu` that works here */
  backend?: TfjsBackend;
}

/**
 * Opens TensorFlow.js.
 *
 * @throws {Error} if the backend asked for, or any at all, does not load here; says why
 */
export async function openTfjsEngine(options: TfjsOptions = {}): Promise<Engine> {
  // Keeps TensorFlow.js from advertising other backends on the console.
  tf.enableProdMode();
  const tried: string[] = [];
  for (const backend of options.backend ? [options.backend] : Object.keys(OPENERS) as TfjsBackend[]) {
    try {
      await OPENERS[backend]();
      if (await tf.setBackend(backend)) return new TfjsEngine(backend);
      tried.push(`${backend}: did not start`);
    } catch (error) {
      tried.push(`${backend}: ${error instanceof Error ? error.message.split("\n")[0] : error}`);
    }
  }
  throw new Error(`TensorFlow.js has no backend here (${tried.join("; ")}): run deno install to fetch its packages`);
}

/** Loading one of these packages registers its backend. In the order of preference. */
const OPENERS: Readonly<Record<TfjsBackend, () => Promise<void>>> = {
  tensorflow: async () => void await import("@tensorflow/tfjs-node-gpu"),
  wasm: async () => {
    const { setWasmPaths } = await import("@tensorflow/tfjs-backend-wasm");
    // The modules of the package lie beside its script, which would else look for them in the working folder.
    const folder = new URL(".", import.meta.resolve("@tensorflow/tfjs-backend-wasm"));
    if (tf.getBackend() !== "wasm") setWasmPaths(decodeURIComponent(folder.pathname));
  },
  cpu: async () => void await import("@tensorflow/tfjs-backend-cpu"),
};

class TfjsEngine implements Engine {
  readonly name = "tfjs";
  readonly description: string;

  constructor(backend: TfjsBackend) {
    this.description = `TensorFlow.js ${tf.version_core}, ${backend} backend`;
  }

  compile(program: Program): Promise<Executable> {
    return Promise.resolve(new TfjsExecutable(program));
  }

  upload(data: HostArray, shape: Shape, dtype: DType): DeviceBuffer {
    checkHostArray(data, shape, dtype);
    return new TfjsBuffer(tf.tensor(held(data, dtype), [...shape], heldType(dtype)), shape, dtype);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

class TfjsBuffer implements DeviceBuffer {
  #value: tf.Tensor;

  constructor(value: tf.Tensor, readonly shape: Shape, readonly dtype: DType) {
    this.#value = value;
  }

  get value(): tf.Tensor {
    if (this.#value.isDisposed) {
      throw new Error(`A buffer ${this.dtype}[${this.shape.join(", ")}] was used after it was disposed of or donated`);
    }
    return this.#value;
  }

  async read(): Promise<HostArray> {
    return toHost(await this.value.data(), this.dtype);
  }

  [Symbol.dispose](): void {
    this.#value.dispose();
  }
}

class TfjsExecutable implements Executable {
  readonly memory = null;
  readonly #steps: readonly Step[];

  constructor(readonly program: Program) {
    this.#steps = schedule(program);
  }

  // deno-lint-ignore require-await -- an error thrown here must reject
  async run(inputs: ReadonlyMap<string, DeviceBuffer>): Promise<Map<string, DeviceBuffer>> {
    const { program } = this;
    checkInputs(program, inputs);
    const given = program.inputs.map(({ name, tensor }) => ({ tensor, value: (inputs.get(name) as TfjsBuffer).value }));
    // Clones share memory: that of a donated input is free after the last operation that needs it.
    const values = new Map<Tensor, tf.Tensor>(given.map(({ tensor, value }) => [tensor, value.clone()]));
    for (const name of program.donations.keys()) inputs.get(name)![Symbol.dispose]();
    try {
      for (const { tensor, releases } of this.#steps) {
        if (tensor.op.kind !== "input") {
          values.set(tensor, evaluate(tensor, tensor.inputs.map((source) => values.get(source)!)));
        }
        for (const released of releases) {
          values.get(released)!.dispose();
          values.delete(released);
        }
      }
      return new Map(program.outputs.map(({ name, tensor }) => {
        const value = tf.tidy(() => full(values.get(tensor)!, tensor).clone());
        return [name, new TfjsBuffer(value, tensor.shape, tensor.dtype)];
      }));
    } finally {
      for (const value of values.values()) value.dispose();
    }
  }

  [Symbol.dispose](): void {}
}

/** Host numbers as TensorFlow.js holds them; a copy, since some backends keep the array. */
function held(data: HostArray, dtype: DType): Float32Array | Int32Array | Uint8Array {
  switch (dtype) {
    case "f32":
      return Float32Array.from(data);
    case "bf16":
      return bfloatToFloat(data as Uint16Array);
    case "f16":
      return halfToFloat(data as Uint16Array);
    case "bool":
      return Uint8Array.from(data);
    default:
      // Integers wrap to int32, which keeps the bits of a u32.
      return Int32Array.from(data);
  }
}

function toHost(data: ArrayLike<number>, dtype: DType): HostArray {
  switch (dtype) {
    case "f32":
      return Float32Array.from(data);
    case "bf16":
      return floatToBfloat(data);
    case "f16":
      return floatToHalf(data);
    case "i32":
      return Int32Array.from(data);
    case "u32":
      return Uint32Array.from(data);
    default:
      return Uint8Array.from(data);
  }
}
