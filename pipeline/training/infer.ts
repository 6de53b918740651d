/**
 * Runs a forward program over rows of a frame set, batch by batch: parameters are uploaded once, the last batch is
 * filled up with its first row, and a batch is read while the one before it is computed.
 */
import type { DeviceBuffer, Engine, HostArray } from "../../models/runtime/engine.ts";
import { hostParameter, initialParameters } from "../../models/parameters.ts";
import type { ForwardProgram } from "../../models/train_step.ts";
import type { FramesSet } from "../shards/frame_shards.ts";
import type { HostParameters } from "./weights.ts";

/** What to run over what. */
export interface Inference {
  readonly engine: Engine;
  readonly forward: ForwardProgram;
  readonly parameters: HostParameters;
  readonly frames: FramesSet;
  /** Rows of the frame set, in the order wanted. */
  readonly rows: ArrayLike<number>;
  /** Rows at once; the program's batch. */
  readonly batch: number;
  /** Further inputs of a batch, such as token lists. `rows` always has `batch` entries. */
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

/**
 * The outputs, batch by batch.
 *
 * @throws {ShardError} if a row is damaged
 * @throws the signal's reason when it is aborted
 */
export async function* infer(inference: Inference): AsyncGenerator<InferredBatch> {
  const { engine, forward, parameters, batch, signal } = inference;
  using executable = await engine.compile(forward.program);
  using resident = new Buffers();
  for (const spec of forward.parameters) {
    const values = parameters.get(spec.name);
    if (!values) throw new TypeError(`The network needs the parameter ${spec.name}, which is missing`);
    resident.set(`parameter/${spec.name}`, engine.upload(hostParameter(spec, values), spec.shape, spec.dtype));
  }
  const tables = initialParameters(forward.frozen, () => []);
  for (const spec of forward.frozen) {
    resident.set(
      `frozen/${spec.name}`,
      engine.upload(hostParameter(spec, tables.get(spec.name)!), spec.shape, spec.dtype),
    );
  }
  const rows = Array.from(inference.rows);
  let next = rows.length > 0 ? loadBatch(inference, rows.slice(0, batch)) : undefined;
  for (let start = 0; start < rows.length; start += batch) {
    signal?.throwIfAborted();
    const loaded = await next!;
    const following = rows.slice(start + batch, start + 2 * batch);
    next = following.length > 0 ? loadBatch(inference, following) : undefined;
    // A failure of the batch read ahead is met when its turn comes.
    next?.catch(() => {});
    using transient = new Buffers();
    for (const { name, shape, dtype } of forward.data) {
      transient.set(name, engine.upload(loaded.get(name)!, shape, dtype));
    }
    const outputs = await executable.run(new Map([...resident.entries(), ...transient.entries()]));
    yield { rows: rows.slice(start, start + batch), outputs: await readAll(outputs) };
  }
}

async function loadBatch({ frames, batch, inputs }: Inference, wanted: readonly number[]) {
  const rows = [...wanted, ...Array.from({ length: batch - wanted.length }, () => wanted[0]!)];
  const bytes = frames.reader(frames.shardOf(rows[0]!)).rowBytes("/cubes");
  const cubes = new Uint8Array(batch * bytes);
  await Promise.all(rows.map((row, i) => frames.readRow("/cubes", row, cubes.subarray(i * bytes, (i + 1) * bytes))));
  return new Map<string, HostArray>([["cubes", cubes], ...(inputs?.(rows) ?? [])]);
}

async function readAll(outputs: Map<string, DeviceBuffer>): Promise<Map<string, HostArray>> {
  try {
    return new Map(await Promise.all([...outputs].map(async ([name, buffer]) => [name, await buffer.read()] as const)));
  } finally {
    for (const buffer of outputs.values()) buffer[Symbol.dispose]();
  }
}

/** Buffers that are freed together. */
class Buffers extends Map<string, DeviceBuffer> implements Disposable {
  [Symbol.dispose](): void {
    for (const buffer of this.values()) buffer[Symbol.dispose]();
    this.clear();
  }
}
