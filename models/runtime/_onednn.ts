/**
 * The oneDNN kernels inside XLA's CPU plugin, as custom calls: matrix products, softmax, layer normalisation.
 *
 * A call that oneDNN cannot do ends the process by a signal, so every function here first checks ranks and types against
 * what was tried, and answers undefined where the plain operations must do. Which element types oneDNN computes depends
 * on the processor: bf16 needs AVX-512 (`_processor.ts`). Not used: oneDNN's convolution.
 */
import { type DType, type Shape, sizeOf } from "../tensor/mod.ts";
import { hloNames, type HloValue, type HloWriter } from "./_hlo_writer.ts";

/** Below these sizes a call, about 0.1 ms, costs more than its kernel saves. */
const WORTH = { matmulOperations: 2e7, softmaxElements: 1e6, layerNormElements: 1e6 };

/** Element types oneDNN may compute in here. */
export type OneDnnTypes = readonly ("f32" | "bf16")[];

/** Whether the text of a program calls oneDNN. */
export function callsOneDnn(text: string): boolean {
  return text.includes("__onednn");
}

/** What a matrix product is besides its operands. */
export interface MatmulForm {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  /** Shape of the result. */
  readonly shape: Shape;
  /** Element type wanted for the result. */
  readonly output: DType;
}

/** A matrix product over equal leading axes, rank 2 to 4. The result may be of a wider type than asked for. */
export function oneDnnMatmul(
  writer: HloWriter,
  types: OneDnnTypes,
  [a, b]: readonly [HloValue, HloValue],
  { transposeA, transposeB, shape, output }: MatmulForm,
): HloValue | undefined {
  const rank = a.shape.length;
  const type = a.dtype === "bf16" && types.includes("bf16") ? "bf16" : "f32";
  if (!types.includes(type) || rank < 2 || rank > 4) return undefined;
  if (2 * sizeOf(shape) * a.shape[rank - (transposeA ? 2 : 1)]! < WORTH.matmulOperations) return undefined;
  const operands = [writer.convert(a, type), writer.convert(b, type)];
  const config = { ...(transposeA && { transpose_a: true }), ...(transposeB && { transpose_b: true }) };
  const result = type === "bf16" && output === "bf16" ? "bf16" : "f32";
  return call(writer, "matmul", operands, { onednn_matmul_config: config }, shape, result);
}

/** Softmax over the last axis, in f32. */
export function oneDnnSoftmax(writer: HloWriter, types: OneDnnTypes, x: HloValue, output: DType): HloValue | undefined {
  const rank = x.shape.length;
  if (types.length === 0 || rank < 2 || rank > 4 || sizeOf(x.shape) < WORTH.softmaxElements) return undefined;
  const result = output === "bf16" && types.includes("bf16") ? "bf16" : "f32";
  const operand = x.dtype === result ? x : writer.convert(x, "f32");
  return call(writer, "softmax", [operand], { onednn_softmax_config: { softmax_axis: rank - 1 } }, x.shape, result);
}

/** Layer normalisation of f32 rows `[R, D]` with f32 scale and shift. */
export function oneDnnLayerNorm(
  writer: HloWriter,
  types: OneDnnTypes,
  [x, scale, shift]: readonly [HloValue, HloValue, HloValue],
  epsilon: number,
  output: DType,
): HloValue | undefined {
  const fits = types.length > 0 && x.shape.length === 2 && [x, scale, shift].every(({ dtype }) => dtype === "f32");
  if (!fits || sizeOf(x.shape) < WORTH.layerNormElements) return undefined;
  const epsilonBits = new Int32Array(Float32Array.of(epsilon).buffer)[0];
  const config = { rescale: "SCALE_AND_SHIFT", epsilon_typecast: epsilonBits };
  const result = output === "bf16" && types.includes("bf16") ? "bf16" : "f32";
  return call(writer, "layernorm", [x, scale, shift], { onednn_layer_norm_config: config }, x.shape, result);
}

/** The configuration is JSON in an MLIR string; its escapes are the same as those of a JSON string. */
function call(
  writer: HloWriter,
  kernel: string,
  operands: readonly HloValue[],
  config: unknown,
  shape: Shape,
  dtype: DType,
): HloValue {
  const attributes = `{backend_config = ${JSON.stringify(JSON.stringify(config))}, api_version = 1 : i32}`;
  const head = `stablehlo.custom_call @"__onednn$${kernel}"(${hloNames(operands)})`;
  return writer.typed(`${head} ${attributes}`, operands, shape, dtype);
}
