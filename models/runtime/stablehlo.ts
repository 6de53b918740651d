/**
 * A traced program as StableHLO text, the language XLA compiles: one function `main` with the program's inputs and
 * outputs in order; donated inputs carry the number of the output that takes their memory. For several devices it is what
 * each of them runs on its rows of the batch (`_partition.ts`).
 *
 * On CPU the matrix products, softmax and layer normalisation may become calls of the oneDNN kernels inside the plugin
 * (`_onednn.ts`); on CUDA attention may become calls of cuDNN (`_cudnn.ts`). Everything else is left to XLA, which fuses it.
 */
import {
  type DType,
  isFloat,
  type Op,
  type OpKind,
  type Program,
  sizeOf,
  type Tensor,
  topologicalOrder,
} from "../tensor/mod.ts";
import { hloList, hloNames, hloType, type HloValue, HloWriter } from "./_hlo_writer.ts";
import { findAttentions, FusedAttentions } from "./_cudnn.ts";
import { LocalValues, outputPlacements, planPartition } from "./_partition.ts";
import { lowerRandomBits } from "./_hlo_threefry.ts";
import { oneDnnLayerNorm, oneDnnMatmul, oneDnnSoftmax, type OneDnnTypes } from "./_onednn.ts";

/** Least size of the other operand's free axis for which a transposed operand is copied, left and right; measured on AVX2. */
const WORTH_A_COPY = [512, 32] as const;
/** Least operations of a product whose right operand is copied: smaller ones take no time either way. */
const WORTH_A_COPY_OPERATIONS = 4e6;

/** How programs are written for a device. */
export interface HloOptions {
  /** Types of the oneDNN kernels to call; only the CPU plugin has them. @default none */
  readonly oneDnn?: OneDnnTypes;
  /** Whether the device multiplies bf16 matrices; else they are converted to f32 first. @default false */
  readonly bf16Products?: boolean;
  /** Devices that run the program together, each on its rows of the batch. @default 1 */
  readonly devices?: number;
  /**
   * Whether large matrix products get a transposed operand as a copy in order. XLA's own kernels on CPU pack a transposed one
   * element by element: up to twice the time where its rows are a power of two long. @default false
   */
  readonly copyTransposed?: boolean;
  /** Whether cuDNN's fused attention is called where it can be; only the CUDA plugin has it. @default false */
  readonly cudnnAttention?: boolean;
}

/**
 * Writes a program as a StableHLO module.
 *
 * @example
 * ```ts
 * import { add, input, program } from "../tensor/mod.ts";
 * import { stableHlo } from "./stablehlo.ts";
 * import { assertStringIncludes } from "@std/assert";
 *
 * const x = input("x", [2, 3]);
 * assertStringIncludes(stableHlo(program("twice", { y: add(x, x) })), "stablehlo.add %arg0, %arg0 : tensor<2x3xf32>");
 * ```
 */
export function stableHlo(program: Program, options: HloOptions = {}): string {
  const { devices = 1, cudnnAttention = false } = options;
  const outputNumbers = new Map(program.outputs.map(({ name }, number) => [name, number]));
  const writer = new HloWriter();
  const lowerLocal = (local: Tensor, inputs: readonly HloValue[]) => lower(writer, local, inputs, options);
  const values = new LocalValues(writer, devices, planPartition(program, devices), lowerLocal);
  const parameters = program.inputs.map(({ name, tensor }, number) => {
    const value = { name: `%arg${number}`, shape: values.localShape(tensor), dtype: tensor.dtype };
    values.set(tensor, value);
    const target = program.donations.get(name);
    const alias = target === undefined ? "" : ` {tf.aliasing_output = ${outputNumbers.get(target)} : i32}`;
    return `${value.name}: ${hloType(value)}${alias}`;
  });
  const fused = new FusedAttentions(cudnnAttention ? findAttentions(program) : []);
  for (const tensor of topologicalOrder(program.outputs.map(({ tensor }) => tensor), (of) => fused.inputsOf(of))) {
    if (tensor.op.kind === "input") continue;
    const value = fused.lower(writer, tensor, (operand) => values.get(operand, values.splitOf(tensor)));
    if (value !== undefined) values.set(tensor, value);
    else values.add(tensor);
  }
  const placements = outputPlacements(program, devices);
  const results = program.outputs.map(({ tensor }, i) => values.get(tensor, placements[i] === "rows" ? 0 : null));
  const types = results.map(hloType).join(", ");
  return [
    `module @${program.name.replace(/\W/g, "_")} {`,
    `  func.func public @main(${parameters.join(", ")}) -> (${types}) {`,
    ...writer.lines.map((line) => `    ${line}`),
    `    return ${hloNames(results)} : ${types}`,
    "  }",
    "}\n",
  ].join("\n");
}

type Rule<K extends OpKind> = (
  writer: HloWriter,
  result: Tensor,
  inputs: readonly HloValue[],
  op: Extract<Op, { kind: K }>,
  options: HloOptions,
) => HloValue;

function lower(writer: HloWriter, tensor: Tensor, inputs: readonly HloValue[], options: HloOptions): HloValue {
  const rule = RULES[tensor.op.kind] as Rule<OpKind>;
  return rule(writer, tensor, inputs, tensor.op as never, options);
}

/** A rule for an operation whose operands and result have one type. */
function elementwise(name: string) {
  return (writer: HloWriter, _result: Tensor, inputs: readonly HloValue[]) => writer.elementwise(name, ...inputs);
}

const same = (_writer: HloWriter, _result: Tensor, inputs: readonly HloValue[]) => inputs[0]!;

const RULES: { readonly [K in OpKind]: Rule<K> } = {
  input: same,
  constant: (writer, { shape, dtype }, _inputs, { value }) => writer.constant(value, shape, dtype),
  iota: (writer, { shape, dtype }, _inputs, { axis }) => writer.iota(axis, shape, dtype),
  random_bits: (writer, { shape }, [keys], op) => lowerRandomBits(writer, keys!, shape, op),

  negate: elementwise("negate"),
  abs: elementwise("abs"),
  exp: elementwise("exponential"),
  log: elementwise("log"),
  sqrt: elementwise("sqrt"),
  rsqrt: elementwise("rsqrt"),
  tanh: elementwise("tanh"),
  erf: (writer, _result, [x]) => writer.erf(x!),

  add: elementwise("add"),
  subtract: elementwise("subtract"),
  multiply: elementwise("multiply"),
  divide: elementwise("divide"),
  maximum: elementwise("maximum"),
  minimum: elementwise("minimum"),
  compare: (writer, _result, [a, b], { comparison }) => writer.compare(a!, comparison, b!),
  select: (writer, _result, [condition, a, b]) => writer.select(condition!, a!, b!),
  convert: (writer, { dtype }, [x]) => writer.convert(x!, dtype),

  reshape: (writer, { shape }, [x]) => writer.reshape(x!, shape),
  transpose: (writer, { shape, dtype }, [x], { permutation }) =>
    writer.typed(`stablehlo.transpose ${x!.name}, dims = ${hloList(permutation)}`, [x!], shape, dtype),
  broadcast: (writer, { shape }, [x], { axes }) => writer.broadcast(x!, axes, shape),
  concatenate: (writer, { shape, dtype }, parts, { axis }) =>
    writer.typed(`stablehlo.concatenate ${hloNames(parts)}, dim = ${axis}`, parts, shape, dtype),
  slice: (writer, _result, [x], { axis, start, end }) => writer.slice(x!, axis, start, end),
  pad: (writer, { shape, dtype }, [x], { axis, before, after }) => {
    const zero = writer.constant(0, [], dtype);
    const along = (count: number) => hloList(x!.shape.map((_, i) => i === axis ? count : 0));
    const amounts = `low = ${along(before)}, high = ${along(after)}, interior = ${along(0)}`;
    return writer.typed(`stablehlo.pad ${x!.name}, ${zero.name}, ${amounts}`, [x!, zero], shape, dtype);
  },

  sum: (writer, { dtype }, [x], { axes }) =>
    writer.convert(writer.reduce("add", writer.convert(x!, sumType(dtype)), axes), dtype),
  max: (writer, _result, [x], { axes }) => writer.reduce("maximum", x!, axes),

  matmul: lowerMatmul,
  softmax: lowerSoftmax,
  layer_norm: lowerLayerNorm,
  gather_rows: (writer, { shape, dtype }, [x, index]) => {
    const numbers = "offset_dims = [2], collapsed_slice_dims = [1], operand_batching_dims = [0], " +
      "start_indices_batching_dims = [0], start_index_map = [1], index_vector_dim = 2";
    const attributes = `dimension_numbers = #stablehlo.gather<${numbers}>, ` +
      `slice_sizes = array<i64: 1, 1, ${shape[2]}>, indices_are_sorted = false`;
    return writer.typed(`"stablehlo.gather"(${hloNames([x!, index!])}) <{${attributes}}>`, [x!, index!], shape, dtype);
  },
  scatter_rows: (writer, { shape, dtype }, [x, index]) => {
    const type = sumType(dtype);
    const operands = [writer.constant(0, shape, type), index!, writer.convert(x!, type)];
    const numbers = "update_window_dims = [2], inserted_window_dims = [1], input_batching_dims = [0], " +
      "scatter_indices_batching_dims = [0], scatter_dims_to_operand_dims = [1], index_vector_dim = 2";
    const attributes = `scatter_dimension_numbers = #stablehlo.scatter<${numbers}>, ` +
      "indices_are_sorted = false, unique_indices = false";
    const scalar = hloType({ shape: [], dtype: type });
    const sum = [
      `^bb0(%a: ${scalar}, %b: ${scalar}):`,
      `  %sum = stablehlo.add %a, %b : ${scalar}`,
      `  stablehlo.return %sum : ${scalar}`,
    ].join("\n    ");
    const text = `"stablehlo.scatter"(${hloNames(operands)}) <{${attributes}}> ({\n    ${sum}\n    })`;
    return writer.convert(writer.typed(text, operands, shape, type), dtype);
  },

  custom_gradient: same,
  stop_gradient: same,
  barrier: (writer, _result, [x, ...after]) => writer.barrier(x!, after),
};

/** Short floats are summed in f32. */
function sumType(dtype: DType): DType {
  return isFloat(dtype) ? "f32" : dtype;
}

function lowerMatmul(
  writer: HloWriter,
  { shape, dtype }: Tensor,
  [left, right]: readonly HloValue[],
  { transposeA, transposeB }: Extract<Op, { kind: "matmul" }>,
  { oneDnn = [], bf16Products = false, copyTransposed = false }: HloOptions,
): HloValue {
  const form = { transposeA, transposeB, shape, output: dtype };
  const call = oneDnnMatmul(writer, oneDnn, [left!, right!], form);
  if (call !== undefined) return writer.convert(call, dtype);
  const operands = bf16Products ? [left!, right!] : [writer.convert(left!, "f32"), writer.convert(right!, "f32")];
  const batch = shape.length - 2;
  // A copy costs as much as its operand has elements, the product that times the other operand's free axis.
  const isLarge = 2 * sizeOf(shape) * left!.shape[batch + (transposeA ? 0 : 1)]! >= WORTH_A_COPY_OPERATIONS;
  const copies = [transposeA && batch === 0, transposeB && isLarge].map((transposed, side) =>
    transposed && copyTransposed && shape[batch + 1 - side]! >= WORTH_A_COPY[side]!
  );
  const [a, b] = operands.map((x, side) => copies[side] ? copyOfTransposed(writer, x) : x) as [HloValue, HloValue];
  const leading = hloList(shape.slice(0, -2).map((_, axis) => axis));
  const first = transposeA && !copies[0] ? batch : batch + 1;
  const second = transposeB && !copies[1] ? batch + 1 : batch;
  const text = `stablehlo.dot_general ${a.name}, ${b.name}` +
    (batch > 0 ? `, batching_dims = ${leading} x ${leading}` : "") +
    `, contracting_dims = [${first}] x [${second}]` +
    (a.dtype === "f32" ? ", precision = [HIGHEST, HIGHEST]" : "");
  return writer.convert(writer.typed(text, [a, b], shape, "f32"), dtype);
}

/** The barrier keeps XLA from folding the transpose back into the product. */
function copyOfTransposed(writer: HloWriter, x: HloValue): HloValue {
  const axes = x.shape.map((_, axis) => axis), order = [...axes.slice(0, -2), axes.at(-1)!, axes.at(-2)!];
  const shape = order.map((axis) => x.shape[axis]!);
  const text = `stablehlo.transpose ${x.name}, dims = ${hloList(order)}`;
  return writer.barrier(writer.typed(text, [x], shape, x.dtype), []);
}

function lowerSoftmax(
  writer: HloWriter,
  { shape, dtype }: Tensor,
  [x]: readonly HloValue[],
  _op: Op,
  { oneDnn = [] }: HloOptions,
): HloValue {
  const call = oneDnnSoftmax(writer, oneDnn, x!, dtype);
  if (call !== undefined) return writer.convert(call, dtype);
  const last = shape.length - 1;
  const leading = shape.slice(0, -1).map((_, axis) => axis);
  const value = writer.convert(x!, "f32");
  const largest = writer.broadcast(writer.reduce("maximum", value, [last]), leading, shape);
  const weight = writer.elementwise("exponential", writer.elementwise("subtract", value, largest));
  const total = writer.broadcast(writer.reduce("add", weight, [last]), leading, shape);
  return writer.convert(writer.elementwise("divide", weight, total), dtype);
}

function lowerLayerNorm(
  writer: HloWriter,
  { shape, dtype, size }: Tensor,
  [x, scale, shift]: readonly HloValue[],
  { epsilon }: Extract<Op, { kind: "layer_norm" }>,
  { oneDnn = [] }: HloOptions,
): HloValue {
  const width = shape.at(-1)!;
  const rows = [size / width, width];
  const value = writer.reshape(writer.convert(x!, "f32"), rows);
  const call = oneDnnLayerNorm(writer, oneDnn, [value, scale!, shift!], epsilon, dtype);
  if (call !== undefined) return writer.reshape(writer.convert(call, dtype), shape);
  const perWidth = writer.constant(1 / width, [rows[0]!], "f32");
  const mean = (of: HloValue) => writer.elementwise("multiply", writer.reduce("add", of, [1]), perWidth);
  const overRows = (of: HloValue) => writer.broadcast(of, [0], rows);
  const overColumns = (of: HloValue) => writer.broadcast(of, [1], rows);
  const centred = writer.elementwise("subtract", value, overRows(mean(value)));
  const variance = mean(writer.elementwise("multiply", centred, centred));
  const safe = writer.elementwise("add", variance, writer.constant(epsilon, [rows[0]!], "f32"));
  const normal = writer.elementwise("multiply", centred, overRows(writer.elementwise("rsqrt", safe)));
  const scaled = writer.elementwise("multiply", normal, overColumns(scale!));
  const shifted = writer.elementwise("add", scaled, overColumns(shift!));
  return writer.reshape(writer.convert(shifted, dtype), shape);
}
