/**
 * A network with fixed weights on a device, run over rows of a frame set batch by batch: a batch that is not full is filled
 * up with its first row. While one is computed the next is read, copied to the device and started, and the outputs of the
 * one before are the caller's: the device goes from batch to batch.
 */
import { hostParameter, initialParameters, type ParameterSpec } from "../../models/parameters.ts";
import type { DeviceBuffer, Engine, Executable, HostArray } from "../../models/runtime/engine.ts";
import type { ForwardProgram } from "../../models/train_step.ts";
import { quiet } from "../quiet.ts";
import type { FramesSet } from "../shards/frame_shards.ts";
import { type BatchSetting, compileFitting } from "./fitting.ts";
import type { HostParameters } from "./weights.ts";

/** What to run over. */
export interface InferOptions {
  readonly frames: FramesSet;
  /** Rows of the frame set, in the order wanted. */
  readonly rows: ArrayLike<number>;
  /** Rows at once; the program's batch. */
  readonly batch: number;
  /** Rows of different groups share no batch, so that outputs depend on nothing beyond their group. @default one group */
  readonly groupOf?: (row: number) => number;
  /** Further inputs of a batch, such as token lists; always called with `batch` rows. */
  readonly inputs?: (rows: readonly number[]) => ReadonlyMap<string, HostArray>;
  readonly signal?: AbortSignal;
}

/** Outputs of a batch. */
export interface InferredBatch {
  /** The rows, as many as are wanted. */
  readonly rows: readonly number[];
  /** Outputs by name, [batch, ...]; entries behind `rows.length` belong to no row. */
  readonly outputs: ReadonlyMap<string, HostArray>;
}

/** Compiled once, weights uploaded once. Dispose of it to free the device. */
export class Network implements Disposable {
  readonly #buffers = new Map<string, DeviceBuffer>();

  private constructor(
    private readonly engine: Engine,
    private readonly forward: ForwardProgram,
    private readonly executable: Executable,
  ) {}

  /**
   * @param parameters Weights of all that the program takes.
   * @param setting The setting of the batch. @default the program is not compared with the memory that is free
   * @throws {TypeError} if one is missing
   * @throws {TooLittleMemoryError} if the program needs more memory than is free
   */
  static async load(
    engine: Engine,
    forward: ForwardProgram,
    parameters: HostParameters,
    setting?: BatchSetting,
  ): Promise<Network> {
    const network = new Network(engine, forward, await compileFitting(engine, forward.program, setting));
    // A network may bring position tables of its own.
    network.#upload("frozen", forward.frozen, new Map([...initialParameters(forward.frozen, () => []), ...parameters]));
    network.setParameters(parameters);
    return network;
  }

  /** Puts other weights in the place of those before. @throws {TypeError} if one is missing */
  setParameters(parameters: HostParameters): void {
    this.#upload("parameter", this.forward.parameters, parameters);
  }

  /**
   * The outputs, batch by batch.
   *
   * @throws {ShardError} if a row is damaged
   * @throws the signal's reason when it is aborted
   */
  async *infer(options: InferOptions): AsyncGenerator<InferredBatch> {
    const { signal } = options, ahead = batchesOf(options);
    const load = () => {
      const { value: rows } = ahead.next();
      return rows && { rows, data: quiet(loadBatch(options, rows)) };
    };
    let loading = load(), running: { rows: number[]; started: Promise<StartedRun> } | undefined;
    try {
      while (loading) {
        signal?.throwIfAborted();
        const { rows, data } = loading, started = quiet(this.#start(await data)), before = running;
        running = { rows, started };
        loading = load();
        if (before) yield { rows: before.rows, outputs: await outputsOf(before.started) };
      }
      const last = running;
      running = undefined;
      if (last) yield { rows: last.rows, outputs: await outputsOf(last.started) };
    } finally {
      await running?.started.then(free, () => {});
    }
  }

  [Symbol.dispose](): void {
    for (const buffer of this.#buffers.values()) buffer[Symbol.dispose]();
    this.#buffers.clear();
    this.executable[Symbol.dispose]();
  }

  #upload(role: string, specs: readonly ParameterSpec[], values: HostParameters): void {
    for (const spec of specs) {
      const found = values.get(spec.name);
      if (!found) throw new TypeError(`The network needs the parameter ${spec.name}, which is missing`);
      const key = `${role}/${spec.name}`;
      this.#buffers.get(key)?.[Symbol.dispose]();
      this.#buffers.set(key, this.engine.upload(hostParameter(spec, found), spec.shape, spec.dtype));
    }
  }

  /**
   * Runs the program once.
   *
   * @param data Inputs of a batch by name; others than the program has do not matter.
   * @returns Outputs by name.
   */
  async run(data: ReadonlyMap<string, HostArray>): Promise<Map<string, HostArray>> {
    return await outputsOf(this.#start(data));
  }

  async #start(data: ReadonlyMap<string, HostArray>): Promise<StartedRun> {
    const inputs = new Map(this.#buffers), own: DeviceBuffer[] = [];
    try {
      for (const { name, shape, dtype } of this.forward.data) {
        const buffer = this.engine.upload(data.get(name)!, shape, dtype, "rows");
        own.push(buffer);
        inputs.set(name, buffer);
      }
      return { own, outputs: await this.executable.run(inputs) };
    } catch (error) {
      for (const buffer of own) buffer[Symbol.dispose]();
      throw error;
    }
  }
}

/** A run that may not be done. */
interface StartedRun {
  /** Inputs that are this run's alone. */
  readonly own: readonly DeviceBuffer[];
  readonly outputs: ReadonlyMap<string, DeviceBuffer>;
}

/** Waits for a run, reads its outputs and frees them. */
async function outputsOf(started: Promise<StartedRun>): Promise<Map<string, HostArray>> {
  const run = await started;
  try {
    const read = [...run.outputs].map(async ([name, buffer]) => [name, await buffer.read()] as const);
    return new Map(await Promise.all(read));
  } finally {
    free(run);
  }
}

function free({ own, outputs }: StartedRun): void {
  for (const buffer of [...own, ...outputs.values()]) buffer[Symbol.dispose]();
}

/** The rows, as they share batches. */
function* batchesOf({ rows, batch, groupOf = () => 0 }: InferOptions): Generator<number[], undefined> {
  let together: number[] = [];
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!;
    if (together.length === batch || together.length > 0 && groupOf(row) !== groupOf(together[0]!)) {
      yield together;
      together = [];
    }
    together.push(row);
  }
  if (together.length > 0) yield together;
}

async function loadBatch({ frames, batch, inputs }: InferOptions, wanted: readonly number[]) {
  const rows = [...wanted, ...Array.from({ length: batch - wanted.length }, () => wanted[0]!)];
  const bytes = frames.rowBytes("/cubes");
  const cubes = new Uint8Array(batch * bytes);
  await Promise.all(rows.map((row, i) => frames.readRow("/cubes", row, cubes.subarray(i * bytes, (i + 1) * bytes))));
  return new Map<string, HostArray>([["cubes", cubes], ...(inputs?.(rows) ?? [])]);
}
