/**
 * A PJRT client on one or more devices of this machine: compiling StableHLO text, copying numbers to a device and back,
 * launching programs on all devices at once. Values on a device and loaded programs are addresses (`bigint`) that the
 * caller frees.
 */
import type { DType, Shape } from "../../tensor/mod.ts";
import type { HostArray, MemoryNeed } from "../engine.ts";
import { type PjrtApi, PjrtError } from "./api.ts";
import { addressOf, Args } from "./args.ts";
import { type OptionValue, writeOptions } from "./options.ts";

/** Element types as `PJRT_Buffer_Type` numbers them. */
const BUFFER_TYPES: Readonly<Record<DType, number>> = { bool: 1, i32: 4, u8: 6, u32: 8, f16: 10, f32: 11, bf16: 13 };

/** `PJRT_HostBufferSemantics_kImmutableOnlyDuringCall`: the host array is free again when the call returns. */
const COPY_DURING_CALL = 0;

/**
 * `CompileOptionsProto`: so many replicas of one program, each on a device of its own, by the default assignment. Absent
 * numbers would read as 0, hence all three.
 */
export function compileOptions(replicas: number): Uint8Array<ArrayBuffer> {
  // deno-fmt-ignore
  const build = [
    0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, // device_ordinal = -1
    0x20, ...varint(replicas), // num_replicas
    0x28, 0x01, // num_partitions = 1
  ];
  return Uint8Array.of(0x1a, build.length, ...build); // executable_build_options
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [value & 0x7f | 0x80, ...varint(value >>> 7)];
}

/** A compiled program and the blocks with which it is launched; one launch at a time. */
export interface Loaded {
  /** Address of the `PJRT_LoadedExecutable`. */
  readonly address: bigint;
  /** Bytes it needs, where the plugin tells. */
  readonly memory: MemoryNeed | null;
  /** Addresses of the arguments for each device, to be filled in before a launch. */
  readonly inputs: readonly BigUint64Array<ArrayBuffer>[];
  /** Addresses of the results on each device, filled in by a launch. */
  readonly outputs: readonly BigUint64Array<ArrayBuffer>[];
  readonly launch: Args;
}

/** This machine has fewer devices than were asked for. */
export class DeviceCountError extends Error {
  override readonly name = "DeviceCountError";
  readonly exitCode = 2;
}

/** A client on the first devices of a plugin. */
export class PjrtClient {
  readonly #address: bigint;
  readonly #devices: readonly bigint[];
  readonly #freeBuffer = new Args();
  /** `cpu`, `cuda`, `tpu`. */
  readonly platform: string;
  /** Kind of device, such as `NVIDIA H100`. */
  readonly device: string;

  private constructor(readonly api: PjrtApi, address: bigint, wanted: number) {
    this.#address = address;
    this.platform = api.call("Client_PlatformName", new Args().u64(16, address)).readText(24);
    const found = readAddresses(api.call("Client_AddressableDevices", new Args().u64(16, address)), 24);
    if (found.length < wanted) {
      const what = found.length === 0 ? "no" : `only ${found.length}`;
      throw new DeviceCountError(
        `${wanted} ${this.platform} devices were asked for, but the plugin finds ${what} on this machine: ask for fewer`,
      );
    }
    this.#devices = found.slice(0, wanted);
    const description = api.call("Device_GetDescription", new Args().u64(16, this.#devices[0]!)).readU64(24);
    this.device = api.call("DeviceDescription_Kind", new Args().u64(16, description)).readText(24);
  }

  /**
   * Creates a client; takes seconds on GPUs.
   *
   * @param devices how many of the machine's devices run each program
   * @throws {DeviceCountError} if there are fewer
   */
  static async create(
    api: PjrtApi,
    options: Readonly<Record<string, OptionValue>>,
    devices = 1,
  ): Promise<PjrtClient> {
    const args = writeOptions(new Args(), 16, options);
    await api.callElsewhere("Client_Create", args);
    return new PjrtClient(api, args.readU64(64), devices);
  }

  /** How many devices run each program. */
  get deviceCount(): number {
    return this.#devices.length;
  }

  /**
   * Compiles a module with an argument and result list of known lengths.
   *
   * @param overrides Serialised `env_option_overrides` of `CompileOptionsProto`
   */
  async compile(
    text: string,
    inputCount: number,
    outputCount: number,
    overrides: Uint8Array = new Uint8Array(),
  ): Promise<Loaded> {
    const program = new Args().text(16, text).text(32, "mlir");
    const options = Uint8Array.of(...compileOptions(this.deviceCount), ...overrides);
    const args = new Args().u64(16, this.#address).struct(24, program);
    args.array(32, options).u64(40, options.length);
    const address = (await this.api.callElsewhere("Client_Compile", args)).readU64(48);
    return this.#loaded(address, inputCount, outputCount);
  }

  /**
   * A program as bytes that {@linkcode load} takes, in this plugin's own form. CPU plugins end the process where a program
   * calls oneDNN.
   */
  async serialize(loaded: Loaded): Promise<Uint8Array<ArrayBuffer>> {
    const executable = this.#executable(loaded.address);
    try {
      const args = await this.api.callElsewhere("Executable_Serialize", new Args().u64(16, executable));
      const [bytes, size, owner, free] = [args.readU64(24), args.readNumber(32), args.readU64(40), args.readU64(48)];
      const copy = new Uint8Array(
        Deno.UnsafePointerView.getArrayBuffer(Deno.UnsafePointer.create(bytes)!, size).slice(0),
      );
      const deleter = Deno.UnsafePointer.create<never>(free)!;
      new Deno.UnsafeFnPointer(deleter, { parameters: ["usize"], result: "void" }).call(owner);
      return copy;
    } finally {
      this.api.call("Executable_Destroy", new Args().u64(16, executable));
    }
  }

  /** A program that the same build of the plugin wrote on a machine like this one. */
  async load(bytes: Uint8Array<ArrayBuffer>, inputCount: number, outputCount: number): Promise<Loaded> {
    const args = new Args().u64(16, this.#address).array(24, bytes).u64(32, bytes.length);
    const address = (await this.api.callElsewhere("Executable_DeserializeAndLoad", args)).readU64(40);
    return this.#loaded(address, inputCount, outputCount);
  }

  /** What a loaded program is made from; a reference to destroy. */
  #executable(loaded: bigint): bigint {
    return this.api.call("LoadedExecutable_GetExecutable", new Args().u64(16, loaded)).readU64(24);
  }

  /** The blocks to launch a loaded program with. */
  #loaded(address: bigint, inputCount: number, outputCount: number): Loaded {
    const inputs = this.#devices.map(() => new BigUint64Array(inputCount));
    const outputs = this.#devices.map(() => new BigUint64Array(outputCount));
    // A program has its devices in an order of its own.
    const order = readAddresses(this.api.call("LoadedExecutable_AddressableDevices", new Args().u64(16, address)), 24);
    const places = order.map((device) => this.#devices.indexOf(device));
    if (places.length !== this.#devices.length || places.includes(-1)) {
      throw new Error(`The plugin put a program on ${order.length} devices other than the ${this.deviceCount} in use`);
    }
    const lists = (arrays: readonly BigUint64Array<ArrayBuffer>[]) =>
      BigUint64Array.from(places, (place) => addressOf(arrays[place]!));
    const launch = new Args().u64(16, address).struct(24, new Args());
    launch.array(32, lists(inputs)).u64(40, this.deviceCount).u64(48, inputCount);
    launch.array(56, lists(outputs)).keep(inputs).keep(outputs);
    return { address, memory: this.#memoryNeed(address), inputs, outputs, launch };
  }

  /** Queues a run of a program with the arguments in `loaded.inputs`. The results may not be computed on return. */
  async launch(loaded: Loaded): Promise<void> {
    await this.api.callElsewhere("LoadedExecutable_Execute", loaded.launch);
  }

  freeProgram(loaded: Loaded): void {
    this.api.call("LoadedExecutable_Destroy", new Args().u64(16, loaded.address));
  }

  /** Copies numbers to one device, row-major. */
  upload(data: HostArray, shape: Shape, dtype: DType, device = 0): bigint {
    const args = new Args().u64(16, this.#address).array(24, data as HostArray & ArrayBufferView<ArrayBuffer>);
    args.i32(32, BUFFER_TYPES[dtype]).array(40, BigInt64Array.from(shape, BigInt)).u64(48, shape.length);
    args.i32(72, COPY_DURING_CALL).u64(80, this.#devices[device]!);
    this.api.call("Client_BufferFromHostBuffer", args);
    const copied = args.readU64(104);
    if (copied !== 0n) this.api.call("Event_Destroy", new Args().u64(16, copied));
    return args.readU64(112);
  }

  /** Waits for a value and copies it, row-major, into an array of its size. */
  async download(buffer: bigint, into: HostArray): Promise<void> {
    const args = new Args().u64(16, buffer).array(32, into as HostArray & ArrayBufferView<ArrayBuffer>);
    args.u64(40, into.byteLength);
    this.api.call("Buffer_ToHostBuffer", args);
    await this.api.wait(args.readU64(48));
  }

  freeBuffer(buffer: bigint): void {
    this.api.call("Buffer_Destroy", this.#freeBuffer.u64(16, buffer));
  }

  /** Bytes that are free on the device that has least; undefined where the plugin does not tell. */
  freeBytes(): number | undefined {
    try {
      const stats = this.#devices.map((device) => this.api.call("Device_MemoryStats", new Args().u64(16, device)));
      // Whether a limit is given stands in one byte.
      if (stats.some((each) => (each.readI32(88) & 0xff) === 0)) return undefined;
      return Math.min(...stats.map((each) => each.readNumber(80) - each.readNumber(24)));
    } catch (error) {
      if (error instanceof PjrtError && error.code === "UNIMPLEMENTED") return undefined;
      throw error;
    }
  }

  /** Ends the client. Buffers and programs must be freed before. */
  async destroy(): Promise<void> {
    await this.api.callElsewhere("Client_Destroy", new Args().u64(16, this.#address));
  }

  #memoryNeed(loaded: bigint): MemoryNeed | null {
    const executable = new Args().u64(16, this.#executable(loaded));
    try {
      const stats = this.api.call("Executable_GetCompiledMemoryStats", executable);
      return {
        argumentBytes: stats.readNumber(32),
        outputBytes: stats.readNumber(40),
        aliasBytes: stats.readNumber(48),
        temporaryBytes: stats.readNumber(56),
      };
    } catch (error) {
      if (error instanceof PjrtError && error.code === "UNIMPLEMENTED") return null;
      throw error;
    } finally {
      this.api.call("Executable_Destroy", executable);
    }
  }
}

/** Copies a list of addresses out of memory of the plugin: its address at an offset, its length behind it. */
function readAddresses(args: Args, offset: number): bigint[] {
  const [address, length] = [args.readU64(offset), args.readNumber(offset + 8)];
  if (address === 0n || length === 0) return [];
  const list = new Deno.UnsafePointerView(Deno.UnsafePointer.create(address)!);
  return Array.from({ length }, (_, i) => list.getBigUint64(8 * i));
}
