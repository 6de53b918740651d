/**
 * Writes an ONNX model: its graph, and its weights inside the file or, since a protocol buffer ends at 2 GB, in a second
 * file beside it.
 */
import { type FileHandle, open } from "node:fs/promises";
import { basename } from "node:path";
import { type Program, sizeOf } from "../tensor/mod.ts";
import { type External, model, tensor } from "./_messages.ts";
import { type OnnxGraph, onnxGraph } from "./onnx_graph.ts";

/** Most bytes of weights inside a model's file. */
const MAX_INSIDE = 2e9;
/** Weights in a file of their own begin at multiples of it, so that they can be mapped into memory. */
const ALIGNMENT = 4096;
const WRITE_BYTES = 1 << 24;

/** What to write. */
export interface OnnxOptions {
  /** Traces the program for a batch; arithmetic in f32. */
  readonly trace: (batch: number) => Program;
  /** Values of the program's inputs `parameter/NAME` and `frozen/NAME`, by these names. All others are the model's inputs. */
  readonly weights: ReadonlyMap<string, Float32Array>;
  /** Free text by name. @default none */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Most bytes of weights inside the model's file. @default 2 GB */
  readonly maxInside?: number;
}

/** The file of the weights that do not fit into a model's own. */
export function weightsFile(path: string): string {
  return `${path}.data`;
}

/**
 * Writes a model. A batch of any size is computed by it.
 *
 * @returns the files written: the model's, and that of its weights if they have one
 * @throws {TypeError} if the program cannot be written, or an input has not the numbers it needs
 *
 * @example
 * ```ts
 * import { add, input, program } from "../tensor/mod.ts";
 * import { writeOnnx } from "./write_onnx.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const trace = (batch: number) => program("shift", { y: add(input("x", [batch, 2]), input("parameter/shift", [2])) });
 * const folder = await Deno.makeTempDir();
 * const weights = new Map([["parameter/shift", Float32Array.of(1, 2)]]);
 * assertEquals(await writeOnnx(`${folder}/shift.onnx`, { trace, weights }), [`${folder}/shift.onnx`]);
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export async function writeOnnx(path: string, options: OnnxOptions): Promise<string[]> {
  const { weights, metadata = {}, maxInside = MAX_INSIDE } = options;
  const graph = onnxGraph(options.trace, (name) => weights.has(name) ? name.replace(/^parameter\//, "") : undefined);
  const stored = valuesOf(graph, weights);
  const bytes = stored.reduce((sum, { data }) => sum + data.length, 0);
  const outside = bytes > maxInside ? weightsFile(path) : undefined;
  let end = 0;
  const placed = stored.map((weight) => {
    const offset = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
    end = offset + weight.data.length;
    return { ...weight, offset };
  });
  const initializers = placed.map(({ name, shape, data, offset }) => {
    const external: External | undefined = outside ? { file: basename(outside), offset } : undefined;
    return tensor(name, "f32", shape, data, external);
  });
  const { pieces } = model({ ...graph, initializers: [...graph.constants, ...initializers] }, metadata);
  let at = 0;
  await writeAll(path, pieces.map((data) => ({ data, offset: (at += data.length) - data.length })));
  if (outside === undefined) return [path];
  await writeAll(outside, placed);
  return [path, outside];
}

function valuesOf({ weights }: OnnxGraph, values: ReadonlyMap<string, Float32Array>) {
  return Array.from(weights, ([name, { shape, dtype, op }]) => {
    const found = values.get((op as { name: string }).name)!;
    if (dtype !== "f32" || found.length !== sizeOf(shape)) {
      throw new TypeError(`Weight ${name} is ${dtype}[${shape.join(", ")}], found ${found.length} numbers of f32`);
    }
    return { name, shape, data: new Uint8Array(found.buffer, found.byteOffset, found.byteLength) };
  });
}

async function writeAll(path: string, parts: readonly { data: Uint8Array; offset: number }[]): Promise<void> {
  await using handle = await open(path, "w");
  for (const { data, offset } of parts) await writeAt(handle, data, offset);
  await handle.sync();
}

async function writeAt(handle: FileHandle, data: Uint8Array, offset: number): Promise<void> {
  for (let at = 0; at < data.length;) {
    const { bytesWritten } = await handle.write(data, at, Math.min(WRITE_BYTES, data.length - at), offset + at);
    at += bytesWritten;
  }
}
