/**
 * The XLA engine: programs compiled by XLA through a PJRT plugin, on a CPU, on GPUs or TPUs.
 *
 * Several devices of the machine run every program together: the rows of batch data are shared out, all else is copied to
 * each, and `_partition.ts` writes the program that one of them runs.
 *
 * A run queues work and returns; reading a result waits for it and reports what went wrong. On CPU a run that consumes
 * inputs returns when it is done: start it, prepare the next batch, then wait. A fault inside the plugin ends the process
 * by a signal, so long jobs belong in a child process. Speed on CPU also needs the allocator set up before the process
 * starts. Not here: devices of other machines (`docs/scale.md`).
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
  type Placement,
} from "./engine.ts";
import { freeHostBytes } from "./_host_memory.ts";
import { callsOneDnn, type OneDnnTypes } from "./_onednn.ts";
import { oneDnnTypes, processorFlags } from "./_processor.ts";
import { type ProgramIdentity, programIdentity } from "./_program_identity.ts";
import { cudaLibraries } from "./_cuda_plugin.ts";
import { keepLoaded, PjrtApi, PjrtError } from "./pjrt/api.ts";
import { type Loaded, PjrtClient } from "./pjrt/client.ts";
import type { OptionValue } from "./pjrt/options.ts";
import { PLUGIN_VARIABLE, PluginError } from "./plugin.ts";
import { blockShape, outputPlacements } from "./_partition.ts";
import { type ProgramCache, programKey } from "./program_cache.ts";
import { type HloOptions, stableHlo } from "./stablehlo.ts";

/** Options of {@linkcode openXlaEngine}. */
export interface XlaOptions {
  /** Path of the PJRT plugin's shared library. */
  plugin: string;
  /** The platform the plugin is for; decides the client's options. @default "cpu" */
  platform?: "cpu" | "cuda" | "tpu";
  /** Devices that share each batch; on CPU they are virtual and share the cores. @default 1 */
  devices?: number;
  /** Element types for which oneDNN's kernels are called on CPU. @default what the processor is good at */
  oneDnn?: OneDnnTypes;
  /** Where compiled programs are kept for other processes. @default nowhere */
  programs?: ProgramCache | undefined;
  /** Whether machine code for a CPU is optimised; without, it is made in a fraction of the time and slow. @default true */
  optimize?: boolean;
}

/** What a client is created with for a number of devices. */
function clientOptions(platform: "cpu" | "cuda" | "tpu", devices: number): Record<string, OptionValue> {
  if (platform === "cpu") return { cpu_device_count: BigInt(devices) };
  return platform === "cuda"
    ? { visible_devices: [...new Array(devices).keys()].map(BigInt), memory_fraction: 0.9 }
    : {};
}

/** An entry of `env_option_overrides`: a flag of XLA, with a truth value or a number as a varint. */
function flag(name: string, value: boolean | readonly number[]): Uint8Array {
  const key = [0x0a, name.length, ...new TextEncoder().encode(name)];
  const option = typeof value === "boolean" ? [0x10, Number(value)] : [0x18, ...value];
  const entry = [...key, 0x12, option.length, ...option];
  return Uint8Array.of(0x3a, entry.length, ...entry);
}

/** A vector width of 512; by default XLA writes 256-bit code. */
const WIDE_VECTORS = flag("xla_cpu_prefer_vector_width", [0x80, 0x04]);
/** Compilers that take their time are left out: LLVM's passes, and MLIR's for fused loops. */
const NOT_OPTIMIZED = Uint8Array.of(
  ...flag("xla_backend_optimization_level", [0]),
  ...flag("xla_cpu_use_fusion_emitters", false),
);

/**
 * More of `executable_build_options`: `optimization_level = EFFORT_O1`, with which XLA lets GPUs compute while gradients
 * are added up.
 */
const OVERLAPPED = Uint8Array.of(0x1a, 0x03, 0xc0, 0x01, 0x13);

/**
 * Opens a plugin and its first devices.
 *
 * @throws {PluginError} if the plugin cannot be opened
 * @throws {DeviceCountError} if the machine has fewer devices
 */
export async function openXlaEngine(options: XlaOptions): Promise<XlaEngine> {
  const { plugin, platform = "cpu", devices = 1, oneDnn, programs, optimize = true } = options;
  quietLogs();
  if (platform === "cuda") cudaLibraries(plugin).forEach(keepLoaded);
  const client = await PjrtClient.create(openPlugin(plugin), clientOptions(platform, devices), devices);
  const identity = programs && programIdentity(client, plugin);
  const kept = identity && { programs, identity };
  if (client.platform === "cuda") {
    const lowering = { bf16Products: true, cudnnAttention: true };
    return new XlaEngine(client, lowering, devices > 1 ? OVERLAPPED : undefined, kept);
  }
  if (client.platform !== "cpu") return new XlaEngine(client, { bf16Products: true }, undefined, kept);
  const wanted = oneDnn ?? oneDnnTypes(processorFlags());
  const types = wanted.length > 0 && await hasOneDnn(client) ? wanted : [];
  const lowering = { oneDnn: types, copyTransposed: types.length === 0 };
  const overrides = [...types.includes("bf16") ? WIDE_VECTORS : [], ...optimize ? [] : NOT_OPTIMIZED];
  return new XlaEngine(client, lowering, overrides.length > 0 ? Uint8Array.from(overrides) : undefined, kept);
}

/** A cache, and what the programs of an engine depend on beside their text. */
interface KeptPrograms {
  readonly programs: ProgramCache;
  readonly identity: ProgramIdentity;
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

/** XLA on the devices of a client. */
export class XlaEngine implements Engine {
  readonly name = "xla";
  readonly description: string;
  readonly #lowering: HloOptions;
  readonly #overrides: Uint8Array | undefined;
  readonly #kept: KeptPrograms | undefined;
  /** The last launch queued; launches follow each other. */
  #last: Promise<unknown> = Promise.resolve();
  #queued = 0;
  /** What may be freed once no launch that could use it is queued. */
  #later: (() => void)[] = [];
  #alive = 0;

  /**
   * @param overrides Serialised flags for every compilation
   * @param kept Where compiled programs are kept
   */
  constructor(readonly client: PjrtClient, lowering: HloOptions, overrides?: Uint8Array, kept?: KeptPrograms) {
    this.#kept = kept;
    this.#lowering = { ...lowering, devices: client.deviceCount };
    this.#overrides = overrides;
    const { platform, device, deviceCount, api } = client;
    const kernels = lowering.oneDnn?.length ? `, oneDNN ${lowering.oneDnn.join(" and ")}` : "";
    const count = deviceCount === 1 ? "" : `${deviceCount} x `;
    const what = device === platform ? platform : `${device} (${platform})`;
    this.description = `XLA on ${count}${what}, PJRT ${api.version}${kernels}`;
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
      const loaded = await this.#compile(text, inputs.length, outputs.length);
      this.#alive++;
      return new XlaExecutable(this, program, loaded);
    } catch (error) {
      throw explain(error, `Program ${program.name} does not compile`);
    }
  }

  /** Compiles a text, or takes what was compiled of it before. */
  async #compile(text: string, inputs: number, outputs: number): Promise<Loaded> {
    const compile = () => this.client.compile(text, inputs, outputs, this.#overrides);
    // The plugin ends the process when it is asked for the bytes of a program with such calls.
    if (this.#kept === undefined || callsOneDnn(text)) return await compile();
    const { programs, identity } = this.#kept;
    const options = `${this.client.deviceCount} devices, flags ${this.#overrides ?? "none"}`;
    return await programs.get(programKey({ ...identity, options, text }), {
      compile,
      // A plugin need not be able to write programs down.
      serialize: (loaded) => this.client.serialize(loaded).catch(() => undefined),
      load: (bytes) => this.client.load(bytes, inputs, outputs),
    });
  }

  upload(data: HostArray, shape: Shape, dtype: DType, placement: Placement = "copies"): DeviceBuffer {
    checkHostArray(data, shape, dtype);
    if (dtype === "bool" && data.some((value) => value > 1)) throw new RangeError("A bool is 0 or 1 on the host");
    const count = this.client.deviceCount;
    const part = placement === "rows" ? blockShape(shape, 0, count) : shape;
    const addresses = Array.from({ length: count }, (_, device) => {
      const block = placement === "rows" ? blockOf(data, device, count) : data;
      return this.client.upload(block, part, dtype, device);
    });
    return this.own(addresses, shape, dtype, placement);
  }

  freeBytes(wanted: number): number | undefined {
    const { platform, deviceCount } = this.client;
    if (platform !== "cpu") return this.client.freeBytes();
    const free = freeHostBytes(wanted * deviceCount);
    return free === undefined ? undefined : free / deviceCount;
  }

  /** Makes a buffer of this engine out of an address on each device. */
  own(addresses: readonly bigint[], shape: Shape, dtype: DType, placement: Placement): XlaBuffer {
    this.#alive++;
    return new XlaBuffer(this, addresses, shape, dtype, placement);
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

/** A value on an {@linkcode XlaEngine}'s devices. */
export class XlaBuffer implements DeviceBuffer {
  readonly #addresses: readonly bigint[];
  /** Why the value is gone; undefined while it is there. */
  #gone: string | undefined;

  constructor(
    readonly engine: XlaEngine,
    addresses: readonly bigint[],
    readonly shape: Shape,
    readonly dtype: DType,
    readonly placement: Placement,
  ) {
    this.#addresses = addresses;
  }

  /**
   * The address of the `PJRT_Buffer` on each device.
   *
   * @throws {TypeError} if the buffer was donated or disposed of
   */
  get addresses(): readonly bigint[] {
    if (this.#gone !== undefined) throw new TypeError(`Buffer ${this} ${this.#gone}`);
    return this.#addresses;
  }

  /** All rows, or the first device's copy. */
  async read(): Promise<HostArray> {
    const { addresses } = this;
    if (this.placement === "copies") return await this.readCopy(0);
    const into = hostArray(this.dtype, sizeOf(this.shape));
    await this.#download(addresses, addresses.map((_, device) => blockOf(into, device, addresses.length)));
    return into;
  }

  /** One device's copy of a value that every device has. */
  async readCopy(device: number): Promise<HostArray> {
    const into = hostArray(this.dtype, sizeOf(this.shape));
    await this.#download([this.addresses[device]!], [into]);
    return into;
  }

  async #download(addresses: readonly bigint[], into: readonly HostArray[]): Promise<void> {
    try {
      await Promise.all(addresses.map((address, i) => this.engine.client.download(address, into[i]!)));
    } catch (error) {
      throw explain(error, `${this} could not be computed`);
    }
  }

  /** Marks the value as consumed by a run. */
  donate(program: string): void {
    this.#gone = `was donated to program ${program}: use the output that took over its memory`;
  }

  [Symbol.dispose](): void {
    if (this.#gone !== undefined) return;
    this.#gone = "was disposed of";
    this.engine.free(() => this.#addresses.forEach((address) => this.engine.client.freeBuffer(address)));
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
  /** Where each output lies. */
  readonly #placements: readonly Placement[];
  #disposed = false;

  constructor(engine: XlaEngine, readonly program: Program, loaded: Loaded) {
    this.#engine = engine;
    this.#loaded = loaded;
    this.memory = loaded.memory;
    this.#donated = [...program.inputs.keys()].filter((i) => program.donations.has(program.inputs[i]!.name));
    this.#placements = outputPlacements(program, engine.client.deviceCount);
  }

  async run(inputs: ReadonlyMap<string, DeviceBuffer>): Promise<Map<string, DeviceBuffer>> {
    const { name, outputs } = this.program;
    if (this.#disposed) throw new TypeError(`Program ${name} was disposed of: compile it again`);
    checkInputs(this.program, inputs);
    const buffers = this.program.inputs.map((input) => this.#own(input.name, inputs.get(input.name)!));
    const addresses = buffers.map((buffer) => buffer.addresses);
    this.#checkDonations(addresses.map((each) => each[0]!));
    for (const i of this.#donated) buffers[i]!.donate(name);
    const engine = this.#engine;
    try {
      const results = await engine.queue(async () => {
        this.#loaded.inputs.forEach((list, device) => addresses.forEach((each, i) => list[i] = each[device]!));
        await engine.client.launch(this.#loaded);
        return this.#loaded.outputs.map((list) => list.slice());
      });
      return new Map(outputs.map(({ name, tensor: { shape, dtype } }, i) => {
        return [name, engine.own(results.map((list) => list[i]!), shape, dtype, this.#placements[i]!)];
      }));
    } catch (error) {
      throw explain(error, `Program ${name} does not run`);
    } finally {
      // A donated buffer is consumed whether or not the launch succeeded; its handle must still be freed.
      for (const i of this.#donated) {
        engine.free(() => addresses[i]!.forEach((address) => engine.client.freeBuffer(address)));
      }
    }
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#engine.free(() => this.#engine.client.freeProgram(this.#loaded));
  }

  #own(input: string, buffer: DeviceBuffer): XlaBuffer {
    const what = `Input ${input} of program ${this.program.name}`;
    if (!(buffer instanceof XlaBuffer) || buffer.engine !== this.#engine) {
      throw new TypeError(`${what} is a buffer of another engine: upload it here`);
    }
    const expected = this.program.batch.has(input) ? "rows" : "copies";
    if (buffer.placement !== expected && this.#engine.client.deviceCount > 1) {
      throw new TypeError(
        `${what} lies on the devices as ${buffer.placement}, expected ${expected}: upload it as such`,
      );
    }
    return buffer;
  }

  /** A donated buffer may be given for one input only. */
  #checkDonations(addresses: readonly bigint[]): void {
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

/** A device's share of an array whose rows are shared out; a view. */
function blockOf<T extends HostArray>(data: T, device: number, count: number): T {
  const size = data.length / count;
  return data.subarray(device * size, (device + 1) * size) as T;
}
