/**
 * The XLA engine: programs compiled by XLA through a PJRT plugin, on a CPU, a GPU or a TPU; one device.
 *
 * A run queues work and returns; reading a result waits for it and reports what went wrong. On CPU a run that consumes
 * inputs returns when it is done: start it, prepare the next batch, then wait. A fault inside the plugin ends the process
 * by a signal, so long jobs belong in a child process. Speed on CPU also needs the allocator set up before the process
 * starts. Not here: several devices, programs kept on disk.
 */
import { type DType, input, matmul, type Program, program as collect, type Shape, sizeOf } from "../tensor/mod.ts";
import {
  checkHostArray,
  checkInputs,
  type DeviceBuffer,
  type Engine,
  type Executable,
  type HostArray,
  hostArray,
  type MemoryNeed,
} from "./engine.ts";
import type { OneDnnTypes } from "./_onednn.ts";
import { oneDnnTypes, processorFlags } from "./_processor.ts";
import { PjrtApi, PjrtError } from "./pjrt/api.ts";
import { type Loaded, PjrtClient } from "./pjrt/client.ts";
import type { OptionValue } from "./pjrt/options.ts";
import { PLUGIN_VARIABLE, PluginError } from "./plugin.ts";
import { type HloOptions, stableHlo } from "./stablehlo.ts";

/** Options of {@linkcode openXlaEngine}. */
export interface XlaOptions {
  /** Path of the PJRT plugin's shared library. */
  plugin: string;
  /** The platform the plugin is for; decides the client's options. @default "cpu" */
  platform?: "cpu" | "cuda" | "tpu";
  /** Element types for which oneDNN's kernels are called on CPU. @default what the processor is good at */
  oneDnn?: OneDnnTypes;
}

const CLIENT_OPTIONS: Readonly<Record<"cpu" | "cuda" | "tpu", Readonly<Record<string, OptionValue>>>> = {
  cpu: { cpu_device_count: 1n },
  cuda: { visible_devices: [0n], memory_fraction: 0.9 },
  tpu: {},
};

/** `env_option_overrides` with `xla_cpu_prefer_vector_width = 512`; by default XLA writes 256-bit code. */
const WIDE_VECTORS = Uint8Array.from([
  ...[0x3a, 0x22, 0x0a, 0x1b, ...new TextEncoder().encode("xla_cpu_prefer_vector_width")],
  ...[0x12, 0x03, 0x18, 0x80, 0x04],
]);

/**
 * Opens a plugin and its first device.
 *
 * @throws {PluginError} if the plugin cannot be opened
 */
export async function openXlaEngine({ plugin, platform = "cpu", oneDnn }: XlaOptions): Promise<XlaEngine> {
  quietLogs();
  const client = await PjrtClient.create(openPlugin(plugin), CLIENT_OPTIONS[platform]);
  if (client.platform !== "cpu") return new XlaEngine(client, { bf16Products: true });
  const wanted = oneDnn ?? oneDnnTypes(processorFlags());
  const types = wanted.length > 0 && await hasOneDnn(client) ? wanted : [];
  return new XlaEngine(client, { oneDnn: types }, types.includes("bf16") ? WIDE_VECTORS : undefined);
}

function openPlugin(path: string): PjrtApi {
  try {
    return PjrtApi.open(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new PluginError(`Cannot open the XLA plugin ${path}: ${reason}. Name another one with ${PLUGIN_VARIABLE}`);
  }
}

/** Keeps the plugin's log down to errors, unless the user chose a level or the environment may not be touched. */
function quietLogs(): void {
  const variable = "TF_CPP_MIN_LOG_LEVEL";
  if (Deno.permissions.querySync({ name: "env", variable }).state !== "granted") return;
  if (Deno.env.get(variable) === undefined) Deno.env.set(variable, "2");
}

/** Whether the plugin knows oneDNN's kernels: an unknown one is an ordinary error when compiling. */
async function hasOneDnn(client: PjrtClient): Promise<boolean> {
  const product = matmul(input("a", [16, 16]), input("b", [16, 16]));
  try {
    const loaded = await client.compile(stableHlo(collect("probe", { product }), { oneDnn: ["f32"] }), 2, 1);
    client.freeProgram(loaded);
    return true;
  } catch (error) {
    if (error instanceof PjrtError) return false;
    throw error;
  }
}

/** XLA on one device. */
export class XlaEngine implements Engine {
  readonly name = "xla";
  readonly description: string;
  readonly #lowering: HloOptions;
  readonly #overrides: Uint8Array | undefined;
  /** The last launch queued; launches follow each other. */
  #last: Promise<unknown> = Promise.resolve();
  #queued = 0;
  /** What may be freed once no launch that could use it is queued. */
  #later: (() => void)[] = [];
  #alive = 0;

  /** @param overrides Serialised flags for every compilation */
  constructor(readonly client: PjrtClient, lowering: HloOptions, overrides?: Uint8Array) {
    this.#lowering = lowering;
    this.#overrides = overrides;
    const { platform, device, api } = client;
    const kernels = lowering.oneDnn?.length ? `, oneDNN ${lowering.oneDnn.join(" and ")}` : "";
    this.description = `XLA on ${
      device === platform ? platform : `${device} (${platform})`
    }, PJRT ${api.version}${kernels}`;
  }

  /** The type of matrix products it computes fastest. */
  get preferredCompute(): "f32" | "bf16" {
    const { bf16Products = false, oneDnn = [] } = this.#lowering;
    return bf16Products || oneDnn.includes("bf16") ? "bf16" : "f32";
  }

  /** Buffers and programs on the device that are not freed yet. */
  get alive(): number {
    return this.#alive;
  }

  async compile(program: Program): Promise<Executable> {
    const text = stableHlo(program, this.#lowering);
    const { inputs, outputs } = program;
    try {
      const loaded = await this.client.compile(text, inputs.length, outputs.length, this.#overrides);
      this.#alive++;
      return new XlaExecutable(this, program, loaded);
    } catch (error) {
      throw explain(error, `Program ${program.name} does not compile`);
    }
  }

  upload(data: HostArray, shape: Shape, dtype: DType): DeviceBuffer {
    checkHostArray(data, shape, dtype);
    if (dtype === "bool" && data.some((value) => value > 1)) throw new RangeError("A bool is 0 or 1 on the host");
    return this.own(this.client.upload(data, shape, dtype), shape, dtype);
  }

  /** Makes a buffer of this engine out of an address. */
  own(address: bigint, shape: Shape, dtype: DType): XlaBuffer {
    this.#alive++;
    return new XlaBuffer(this, address, shape, dtype);
  }

  /** Starts a launch after all earlier ones. */
  queue<T>(launch: () => Promise<T>): Promise<T> {
    this.#queued++;
    const result = this.#last.then(launch).finally(() => {
      if (--this.#queued > 0) return;
      for (const free of this.#later.splice(0)) free();
    });
    this.#last = result.catch(() => {});
    return result;
  }

  /** Frees something on the device, now or when the launches queued are made. */
  free(free: () => void): void {
    this.#alive--;
    if (this.#queued === 0) free();
    else this.#later.push(free);
  }

  /** Frees the client, or leaves that to the end of the process where buffers or programs are still in use. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#last;
    if (this.#alive === 0) await this.client.destroy();
  }
}

/** A value on an {@linkcode XlaEngine}'s device. */
export class XlaBuffer implements DeviceBuffer {
  readonly #address: bigint;
  /** Why the value is gone; undefined while it is there. */
  #gone: string | undefined;

  constructor(readonly engine: XlaEngine, address: bigint, readonly shape: Shape, readonly dtype: DType) {
    this.#address = address;
  }

  /**
   * The address of the `PJRT_Buffer`.
   *
   * @throws {TypeError} if the buffer was donated or disposed of
   */
  get address(): bigint {
    if (this.#gone !== undefined) throw new TypeError(`Buffer ${this} ${this.#gone}`);
    return this.#address;
  }

  async read(): Promise<HostArray> {
    const into = hostArray(this.dtype, sizeOf(this.shape));
    try {
      await this.engine.client.download(this.address, into);
    } catch (error) {
      throw explain(error, `${this} could not be computed`);
    }
    return into;
  }

  /** Marks the value as consumed by a run. */
  donate(program: string): void {
    this.#gone = `was donated to program ${program}: use the output that took over its memory`;
  }

  [Symbol.dispose](): void {
    if (this.#gone !== undefined) return;
    this.#gone = "was disposed of";
    this.engine.free(() => this.engine.client.freeBuffer(this.#address));
  }

  toString(): string {
    return `${this.dtype}[${this.shape.join(", ")}]`;
  }
}

class XlaExecutable implements Executable {
  readonly memory: MemoryNeed | null;
  readonly #engine: XlaEngine;
  readonly #loaded: Loaded;
  /** Positions of the inputs that a run consumes. */
  readonly #donated: readonly number[];
  #disposed = false;

  constructor(engine: XlaEngine, readonly program: Program, loaded: Loaded) {
    this.#engine = engine;
    this.#loaded = loaded;
    this.memory = loaded.memory;
    this.#donated = [...program.inputs.keys()].filter((i) => program.donations.has(program.inputs[i]!.name));
  }

  async run(inputs: ReadonlyMap<string, DeviceBuffer>): Promise<Map<string, DeviceBuffer>> {
    const { name, outputs } = this.program;
    if (this.#disposed) throw new TypeError(`Program ${name} was disposed of: compile it again`);
    checkInputs(this.program, inputs);
    const buffers = this.program.inputs.map((input) => this.#own(input.name, inputs.get(input.name)!));
    const addresses = BigUint64Array.from(buffers, (buffer) => buffer.address);
    this.#checkDonations(addresses);
    for (const i of this.#donated) buffers[i]!.donate(name);
    const engine = this.#engine;
    try {
      const results = await engine.queue(async () => {
        this.#loaded.inputs.set(addresses);
        await engine.client.launch(this.#loaded);
        return this.#loaded.outputs.slice();
      });
      return new Map(
        outputs.map(({ name, tensor }, i) => [name, engine.own(results[i]!, tensor.shape, tensor.dtype)]),
      );
    } catch (error) {
      throw explain(error, `Program ${name} does not run`);
    } finally {
      // A donated buffer is consumed whether or not the launch succeeded; its handle must still be freed.
      for (const i of this.#donated) engine.free(() => engine.client.freeBuffer(addresses[i]!));
    }
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#engine.free(() => this.#engine.client.freeProgram(this.#loaded));
  }

  #own(input: string, buffer: DeviceBuffer): XlaBuffer {
    if (buffer instanceof XlaBuffer && buffer.engine === this.#engine) return buffer;
    throw new TypeError(`Input ${input} of program ${this.program.name} is a buffer of another engine: upload it here`);
  }

  /** A donated buffer may be given for one input only. */
  #checkDonations(addresses: BigUint64Array): void {
    const donated = new Map(this.#donated.map((i) => [addresses[i]!, i]));
    addresses.forEach((address, i) => {
      const taken = donated.get(address) ?? i;
      if (taken === i) return;
      const [a, b] = [taken, i].map((at) => this.program.inputs[at]!.name);
      throw new TypeError(`Program ${this.program.name} consumes its input ${a}: the same buffer cannot also be ${b}`);
    });
  }
}

/** The plugin's error with what was going on and, where there is one, the way out. */
function explain(error: unknown, what: string): unknown {
  if (!(error instanceof PjrtError)) return error;
  const mend = error.outOfMemory ? ". The device has too little memory: use a smaller batch" : "";
  return new Error(`${what}: ${error.message}${mend}`, { cause: error });
}
