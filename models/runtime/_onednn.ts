/**
 * The oneDNN kernels inside XLA's CPU plugin, as custom calls: matrix products, softmax, layer normalisation.
 *
 * A call that oneDNN cannot do ends the process by a signal, so every function here first checks ranks and types against
 * what was tried, and answers undefined where the plain operations must do. Which element types oneDNN computes depends
 * on the processor: bf16 needs AVX-512 (`cpuCalls` in `_cpu.ts`). Not used: oneDNN's convolution.
 */
import type { DType, Shape } from "../tensor/mod.ts";
import { hloNames, type HloValue, type HloWriter } from "./_hlo_writer.ts";

/** Element types oneDNN may compute in here. */
export type OneDnnTypes = readonly ("f32" | "bf16")[];

/** What a matrix product is besides its operands. */
export interface MatmulForm {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  /** Shape of the result. */
  readonly shape: Shape;
  /** Element type wanted for the result. */
  readonly output: DType;
}

/** A matrix product of operands of one type and equal leading axes, rank 2 to 4; the result may be of a wider type. */
export function oneDnnMatmul(
  writer: HloWriter,
  types: OneDnnTypes,
  a: HloValue,
  b: HloValue,
  { transposeA, transposeB, shape, output }: MatmulForm,
): HloValue | undefined {
  if (!isType(types, a.dtype) || a.dtype !== b.dtype || a.shape.length < 2 || a.shape.length > 4) return undefined;
  const result = a.dtype === "bf16" && output === "bf16" ? "bf16" : "f32";
  const config = { ...(transposeA && { transpose_a: true }), ...(transposeB && { transpose_b: true }) };
  return call(writer, "matmul", [a, b], { onednn_matmul_config: config }, shape, result);
}

/** Softmax over the last axis, in f32. */
export function oneDnnSoftmax(writer: HloWriter, types: OneDnnTypes, x: HloValue, output: DType): HloValue | undefined {
  const rank = x.shape.length;
  if (types.length === 0 || rank < 2 || rank > 4) return undefined;
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
  if (!fits) return undefined;
  const epsilonBits = new Int32Array(Float32Array.of(epsilon).buffer)[0];
  const config = { rescale: "SCALE_AND_SHIFT", epsilon_typecast: epsilonBits };
  const result = output === "bf16" && types.includes("bf16") ? "bf16" : "f32";
  return call(writer, "layernorm", [x, scale, shift], { onednn_layer_norm_config: config }, x.shape, result);
}

function isType(types: OneDnnTypes, dtype: DType): boolean {
  return (types as readonly DType[]).includes(dtype);
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
