/**
 * The function table of a PJRT plugin: opening one, calling its functions, turning its errors into exceptions, waiting
 * for its events. Follows `xla/pjrt/c/pjrt_c_api.h` 0.114; since 0.57 functions and fields have only been appended.
 */
import { Args } from "./args.ts";

/** Position of each function used in the table. */
const FUNCTIONS = {
  Error_Destroy: 0,
  Error_Message: 1,
  Error_GetCode: 2,
  Plugin_Initialize: 3,
  Event_Destroy: 5,
  Event_IsReady: 6,
  Event_Error: 7,
  Event_Await: 8,
  Client_Create: 10,
  Client_Destroy: 11,
  Client_PlatformName: 12,
  Client_PlatformVersion: 14,
  Client_AddressableDevices: 16,
  Client_Compile: 20,
  Client_BufferFromHostBuffer: 22,
  DeviceDescription_Kind: 26,
  Device_GetDescription: 29,
  Device_MemoryStats: 34,
  Executable_Destroy: 40,
  Executable_Serialize: 49,
  LoadedExecutable_Destroy: 50,
  LoadedExecutable_GetExecutable: 51,
  LoadedExecutable_AddressableDevices: 52,
  LoadedExecutable_Execute: 55,
  Executable_DeserializeAndLoad: 56,
  Buffer_Destroy: 58,
  Buffer_ToHostBuffer: 70,
  Executable_GetCompiledMemoryStats: 96,
} as const;

/** A function of the PJRT C API. */
export type PjrtFunction = keyof typeof FUNCTIONS;

const TABLE_HEADER_BYTES = 40;

const CODES = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

/** The plugin reported an error. */
export class PjrtError extends Error {
  override readonly name = "PjrtError";

  /**
   * @param call The function that failed
   * @param code Its code by name, such as `INVALID_ARGUMENT`
   * @param text What the plugin says
   */
  constructor(readonly call: PjrtFunction, readonly code: string, readonly text: string) {
    super(`XLA reports ${code} in ${call}: ${text}`);
  }

  /** Whether the device had too little memory. */
  get outOfMemory(): boolean {
    return this.code === "RESOURCE_EXHAUSTED" || /out of memory/i.test(this.text);
  }
}

/** All calls take one block and return an error's address or 0; the two that cannot fail return nothing of use. */
const CALL = { parameters: ["buffer"], result: "usize" } as const;
const WAIT = { parameters: ["buffer"], result: "usize", nonblocking: true } as const;

/**
 * Takes a reference on a library that is never given back. Deno closes its libraries when a process or worker ends, and a
 * plugin that is unloaded crashes: it has threads of its own. One that cannot be opened is left to whoever needs it.
 */
export function keepLoaded(path: string): void {
  if (Deno.build.os !== "linux") return;
  const RTLD_LAZY = 1;
  const libc = Deno.dlopen("libc.so.6", { dlopen: { parameters: ["buffer", "i32"], result: "pointer" } });
  libc.symbols.dlopen(new TextEncoder().encode(`${path}\0`), RTLD_LAZY);
  libc.close();
}

/** The functions of one plugin, which stays loaded until the process ends. */
export class PjrtApi {
  /** Version of the C API the plugin speaks, such as `0.81`. */
  readonly version: string;
  readonly #table: Deno.UnsafePointerView;
  readonly #tableBytes: number;
  readonly #calls = new Map<PjrtFunction, Deno.UnsafeFnPointer<typeof CALL>>();
  readonly #waits = new Map<PjrtFunction, Deno.UnsafeFnPointer<typeof WAIT>>();

  private constructor(table: Deno.PointerObject, path: string) {
    this.#table = new Deno.UnsafePointerView(table);
    this.#tableBytes = Number(this.#table.getBigUint64(0));
    const major = this.#table.getInt32(32);
    this.version = `${major}.${this.#table.getInt32(36)}`;
    if (major !== 0) {
      throw new Error(`The plugin ${path} speaks PJRT ${this.version}, this program 0.x: use another one`);
    }
  }

  /** Opens the plugin at a path, once a process. */
  static open(path: string): PjrtApi {
    const opened = PjrtApi.#opened.get(path);
    if (opened !== undefined) return opened;
    keepLoaded(path);
    const library = Deno.dlopen(path, { GetPjrtApi: { parameters: [], result: "pointer" } });
    const table = library.symbols.GetPjrtApi();
    if (table === null) throw new Error(`The plugin ${path} has an empty function table: it is damaged`);
    const api = new PjrtApi(table, path);
    api.call("Plugin_Initialize", new Args());
    PjrtApi.#opened.set(path, api);
    return api;
  }

  static readonly #opened = new Map<string, PjrtApi>();

  /**
   * Calls a function on this thread; for calls of microseconds.
   *
   * @throws {PjrtError} with what the plugin says
   */
  call(name: PjrtFunction, args: Args): Args {
    let call = this.#calls.get(name);
    if (call === undefined) this.#calls.set(name, call = new Deno.UnsafeFnPointer(this.#function(name), CALL));
    const error = call.call(args.bytes);
    if (error !== 0n) throw this.#takeError(name, error);
    return args;
  }

  /**
   * Calls a function on another thread; for calls that may take long.
   *
   * @throws {PjrtError} with what the plugin says
   */
  async callElsewhere(name: PjrtFunction, args: Args): Promise<Args> {
    let call = this.#waits.get(name);
    if (call === undefined) this.#waits.set(name, call = new Deno.UnsafeFnPointer(this.#function(name), WAIT));
    const error = await call.call(args.bytes);
    if (error !== 0n) throw this.#takeError(name, error);
    // Returning the block keeps it, and the arrays its pointers refer to, alive until the call is over.
    return args;
  }

  /**
   * Waits for an event and frees it; 0 is no event.
   *
   * @throws {PjrtError} if what was waited for failed
   */
  async wait(event: bigint): Promise<void> {
    if (event === 0n) return;
    const args = new Args().u64(16, event);
    try {
      this.call("Event_IsReady", args);
      if ((args.readI32(24) & 0xff) !== 0) this.call("Event_Error", args);
      else await this.callElsewhere("Event_Await", args);
    } finally {
      this.call("Event_Destroy", args);
    }
  }

  #function(name: PjrtFunction): Deno.PointerObject<never> {
    const offset = TABLE_HEADER_BYTES + 8 * FUNCTIONS[name];
    const pointer = offset + 8 <= this.#tableBytes ? this.#table.getPointer<never>(offset) : null;
    if (pointer === null) throw new Error(`The plugin (PJRT ${this.version}) has no function ${name}: use a newer one`);
    return pointer;
  }

  /** Copies the plugin's error and frees it. */
  #takeError(name: PjrtFunction, error: bigint): PjrtError {
    const plain = (name: PjrtFunction) => {
      const args = new Args().u64(16, error);
      new Deno.UnsafeFnPointer(this.#function(name), CALL).call(args.bytes);
      return args;
    };
    const text = plain("Error_Message").readText(24);
    const code = plain("Error_GetCode").readI32(24);
    plain("Error_Destroy");
    return new PjrtError(name, CODES[code] ?? `code ${code}`, text);
  }
}
