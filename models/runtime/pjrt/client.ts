/**
 * A PJRT client on one device: compiling StableHLO text, copying numbers to the device and back, launching programs.
 * Values on the device and loaded programs are addresses (`bigint`) that the caller frees.
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

/** `CompileOptionsProto`: any device, one replica, one partition. Absent numbers would read as 0, hence all three. */
// deno-fmt-ignore
const COMPILE_OPTIONS = Uint8Array.of(
  0x1a, 0x0f, // executable_build_options, 15 bytes
  0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, // device_ordinal = -1
  0x20, 0x01, // num_replicas = 1
  0x28, 0x01, // num_partitions = 1
);

/** A compiled program and the blocks with which it is launched; one launch at a time. */
export interface Loaded {
  /** Address of the `PJRT_LoadedExecutable`. */
  readonly address: bigint;
  /** Bytes it needs, where the plugin tells. */
  readonly memory: MemoryNeed | null;
  /** Addresses of the arguments, to be filled in before a launch. */
  readonly inputs: BigUint64Array<ArrayBuffer>;
  /** Addresses of the results, filled in by a launch. */
  readonly outputs: BigUint64Array<ArrayBuffer>;
  readonly launch: Args;
}

/** A client on the first device of a plugin. */
export class PjrtClient {
  readonly #address: bigint;
  readonly #device: bigint;
  readonly #freeBuffer = new Args();
  /** `cpu`, `cuda`, `tpu`. */
  readonly platform: string;
  /** Kind of device, such as `NVIDIA H100`. */
  readonly device: string;

  private constructor(readonly api: PjrtApi, address: bigint) {
    this.#address = address;
    this.platform = api.call("Client_PlatformName", new Args().u64(16, address)).readText(24);
    const devices = api.call("Client_AddressableDevices", new Args().u64(16, address));
    if (devices.readNumber(32) < 1) throw new Error(`The plugin finds no ${this.platform} device on this machine`);
    const list = new Deno.UnsafePointerView(Deno.UnsafePointer.create(devices.readU64(24))!);
    this.#device = list.getBigUint64(0);
    const description = api.call("Device_GetDescription", new Args().u64(16, this.#device)).readU64(24);
    this.device = api.call("DeviceDescription_Kind", new Args().u64(16, description)).readText(24);
  }

  /** Creates a client; takes seconds on GPUs. */
  static async create(api: PjrtApi, options: Readonly<Record<string, OptionValue>>): Promise<PjrtClient> {
    const args = writeOptions(new Args(), 16, options);
    await api.callElsewhere("Client_Create", args);
    return new PjrtClient(api, args.readU64(64));
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
    const options = Uint8Array.of(...COMPILE_OPTIONS, ...overrides);
    const args = new Args().u64(16, this.#address).struct(24, program);
    args.array(32, options).u64(40, options.length);
    const address = (await this.api.callElsewhere("Client_Compile", args)).readU64(48);
    const inputs = new BigUint64Array(inputCount);
    const outputs = new BigUint64Array(outputCount);
    const launch = new Args().u64(16, address).struct(24, new Args());
    launch.array(32, BigUint64Array.of(addressOf(inputs))).u64(40, 1).u64(48, inputCount);
    launch.array(56, BigUint64Array.of(addressOf(outputs))).keep(inputs).keep(outputs);
    return { address, memory: this.#memoryNeed(address), inputs, outputs, launch };
  }

  /** Queues a run of a program with the arguments in `loaded.inputs`. The results may not be computed on return. */
  async launch(loaded: Loaded): Promise<void> {
    await this.api.callElsewhere("LoadedExecutable_Execute", loaded.launch);
  }

  freeProgram(loaded: Loaded): void {
    this.api.call("LoadedExecutable_Destroy", new Args().u64(16, loaded.address));
  }

  /** Copies numbers to the device, row-major. */
  upload(data: HostArray, shape: Shape, dtype: DType): bigint {
    const args = new Args().u64(16, this.#address).array(24, data as HostArray & ArrayBufferView<ArrayBuffer>);
    args.i32(32, BUFFER_TYPES[dtype]).array(40, BigInt64Array.from(shape, BigInt)).u64(48, shape.length);
    args.i32(72, COPY_DURING_CALL).u64(80, this.#device);
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

  /** Ends the client. Buffers and programs must be freed before. */
  async destroy(): Promise<void> {
    await this.api.callElsewhere("Client_Destroy", new Args().u64(16, this.#address));
  }

  #memoryNeed(loaded: bigint): MemoryNeed | null {
    const args = this.api.call("LoadedExecutable_GetExecutable", new Args().u64(16, loaded));
    const executable = new Args().u64(16, args.readU64(24));
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
