/**
 * A traced program as an ONNX graph (operator set 17) in which the batch is free: each operation by one rule, like the
 * StableHLO of `runtime/stablehlo.ts`. Arithmetic is f32, so programs are traced with `compute: "f32"`.
 *
 * Repeating a value to a larger shape is left to the operators, which do it themselves, and written down only where the
 * result needs its full shape. Not written: operations that forward passes do not have, such as `scatter_rows`.
 */
import { type Op, type OpKind, type Program, type Tensor } from "../tensor/mod.ts";
import { GraphWriter, type Value } from "./_graph_writer.ts";
import { ELEMENT_TYPE, type ElementType, valueInfo } from "./_messages.ts";
import { Float, type Message } from "./_protobuf.ts";
import { broadcastDims, type Dim, symbolic, type SymbolicProgram } from "./_symbolic.ts";

/** A graph whose weights are still to come. */
export interface OnnxGraph {
  readonly name: string;
  readonly nodes: readonly Message[];
  /** Small constants. */
  readonly constants: readonly Message[];
  readonly inputs: readonly Message[];
  readonly outputs: readonly Message[];
  /** Inputs of the program that become weights of the model, by the name they have there. */
  readonly weights: ReadonlyMap<string, Tensor>;
}

/**
 * Writes a program's graph.
 *
 * @param trace Traces the program for a batch; called for two batches.
 * @param weightName The name of a program's input among the model's weights; undefined for an input of the model.
 * @throws {TypeError} if the program has an operation that is not written, or depends on its batch in another way than in
 * sizes of axes
 */
export function onnxGraph(
  trace: (batch: number) => Program,
  weightName: (input: string) => string | undefined,
): OnnxGraph {
  const { program, order, shapeOf } = symbolic(trace);
  const weights = new Map<string, Tensor>(), values = new Map<Tensor, Value>(), inputs: Value[] = [];
  for (const { name, tensor } of program.inputs) {
    const weight = weightName(name);
    const value = { name: weight ?? name, shape: shapeOf(tensor), type: tensor.dtype };
    values.set(tensor, value);
    if (weight === undefined) inputs.push(value);
    else weights.set(weight, tensor);
  }
  const writer = new GraphWriter(inputs.find(({ shape: [first] }) => typeof first === "object" && first.times === 1));
  const lowering: Lowering = { writer, shapeOf, values };
  for (const tensor of order) {
    if (tensor.op.kind !== "input") values.set(tensor, lower(lowering, tensor));
  }
  const outputs = program.outputs.map(({ name, tensor }) => {
    const shape = shapeOf(tensor);
    writer.output(name, writer.repeated(values.get(tensor)!, shape));
    return { name, shape, type: tensor.dtype };
  });
  return {
    name: program.name,
    nodes: writer.nodes,
    constants: [...writer.constants.values()],
    inputs: inputs.map(described),
    outputs: outputs.map(described),
    weights,
  };
}

function described({ name, type, shape }: Value): Message {
  const sizes = shape.map((size) => typeof size === "number" ? size : size.times === 1 ? "batch" : undefined);
  return valueInfo(name, type, sizes);
}

interface Lowering extends Pick<SymbolicProgram, "shapeOf"> {
  readonly writer: GraphWriter;
  readonly values: ReadonlyMap<Tensor, Value>;
}

/** What a rule works with. */
interface Node<K extends OpKind> {
  readonly writer: GraphWriter;
  /** The inputs, not yet repeated to their full shapes. */
  readonly inputs: readonly Value[];
  /** An input in its full shape. */
  readonly full: (index: number) => Value;
  readonly op: Op & { kind: K };
  /** Of the result. */
  readonly shape: readonly Dim[];
  readonly type: ElementType;
}

type Rule<K extends OpKind> = (node: Node<K>) => Value;

function lower({ writer, shapeOf, values }: Lowering, tensor: Tensor): Value {
  const inputs = tensor.inputs.map((input) => values.get(input)!);
  const full = (index: number) => writer.repeated(inputs[index]!, shapeOf(tensor.inputs[index]!));
  const rule = RULES[tensor.op.kind] as Rule<OpKind> | undefined;
  if (rule === undefined) {
    throw new TypeError(`An ONNX model of this project has no ${tensor.op.kind}: export a forward pass`);
  }
  return rule({ writer, inputs, full, op: tensor.op as never, shape: shapeOf(tensor), type: tensor.dtype });
}

/** A rule that does not look at attributes. */
type PlainRule = (node: Pick<Node<OpKind>, "writer" | "inputs" | "type">) => Value;

/** An operator on numbers of one place; operands are repeated by it. */
function elementwise(operator: string): PlainRule {
  return ({ writer, inputs, type }) =>
    writer.write(operator, inputs, broadcastDims(...inputs.map(({ shape }) => shape)), type);
}

/** ONNX has other operators for bools, which no forward pass needs. */
function arithmetic(operator: string): PlainRule {
  return (node) => {
    if (node.type === "bool") throw new TypeError("An ONNX model of this project has no arithmetic of bools");
    return elementwise(operator)(node);
  };
}

const same: PlainRule = ({ inputs }) => inputs[0]!;

function cast(writer: GraphWriter, x: Value, type: ElementType): Value {
  return writer.cast(x, type, ELEMENT_TYPE[type]);
}

const COMPARISON = { equal: "Equal", less: "Less", greater: "Greater" } as const;

/** What forward passes are made of. */
const RULES: { readonly [K in OpKind]?: Rule<K> } = {
  input: same,
  constant: ({ writer, op, type }) => writer.constant([op.value], [], type),
  iota: ({ writer, op, shape, type }) => {
    if (!shape.every((size) => typeof size === "number")) {
      throw new TypeError("An ONNX model cannot count along its batch: give the numbers as an input");
    }
    const size = shape[op.axis]!;
    const along = writer.constant(Array.from({ length: size }, (_, i) => i), [size], type);
    return writer.repeated(writer.reshaped(along, shape.map((size, axis) => axis === op.axis ? size : 1)), shape);
  },

  negate: elementwise("Neg"),
  abs: elementwise("Abs"),
  exp: elementwise("Exp"),
  log: elementwise("Log"),
  sqrt: elementwise("Sqrt"),
  rsqrt: ({ writer, inputs: [x], type }) => {
    const root = writer.write("Sqrt", [x!], x!.shape, type);
    return writer.write("Reciprocal", [root], root.shape, type);
  },
  erf: elementwise("Erf"),
  tanh: elementwise("Tanh"),

  add: arithmetic("Add"),
  subtract: arithmetic("Sub"),
  multiply: arithmetic("Mul"),
  divide: arithmetic("Div"),
  maximum: arithmetic("Max"),
  minimum: arithmetic("Min"),
  compare: (node) => elementwise(COMPARISON[node.op.comparison])(node),
  select: elementwise("Where"),
  convert: ({ writer, inputs: [x], type }) => cast(writer, x!, type),

  reshape: ({ writer, full, shape }) => writer.reshaped(full(0), shape),
  transpose: ({ writer, full, op, shape, type }) =>
    writer.write("Transpose", [full(0)], shape, type, { perm: op.permutation }),
  // Axes stay aligned at the right, as operators that repeat want them.
  broadcast: same,
  concatenate: ({ writer, inputs, full, op, shape, type }) =>
    writer.write("Concat", inputs.map((_, i) => full(i)), shape, type, { axis: op.axis }),
  slice: ({ writer, full, op, shape, type }) => {
    const [start, end, axis] = [op.start, op.end, op.axis].map((number) => writer.list([number]));
    return writer.write("Slice", [full(0), start!, end!, axis!], shape, type);
  },
  pad: ({ writer, full, op, shape, type }) => {
    const along = (count: number) => shape.map((_, axis) => axis === op.axis ? count : 0);
    return writer.write("Pad", [full(0), writer.list([...along(op.before), ...along(op.after)])], shape, type);
  },

  sum: ({ writer, full, op, shape, type }) =>
    writer.write("ReduceSum", [full(0), writer.list(op.axes)], shape, type, { keepdims: 0 }),
  max: ({ writer, full, op, shape, type }) =>
    writer.write("ReduceMax", [full(0)], shape, type, { axes: op.axes, keepdims: 0 }),

  matmul: ({ writer, full, op: { transposeA, transposeB }, shape, type }) => {
    const [a, b] = [full(0), full(1)].map((side) => cast(writer, side, "f32")) as [Value, Value];
    if (shape.length === 2) {
      const attributes = { transA: Number(transposeA), transB: Number(transposeB) };
      return cast(writer, writer.write("Gemm", [a, b], shape, "f32", attributes), type);
    }
    const sides = [transposeA ? swapped(writer, a) : a, transposeB ? swapped(writer, b) : b];
    return cast(writer, writer.write("MatMul", sides, shape, "f32"), type);
  },
  softmax: ({ writer, full, shape, type }) =>
    cast(writer, writer.write("Softmax", [cast(writer, full(0), "f32")], shape, "f32", { axis: -1 }), type),
  layer_norm: ({ writer, full, op: { epsilon }, shape, type }) => {
    const parts = [cast(writer, full(0), "f32"), full(1), full(2)];
    const normed = writer.write("LayerNormalization", parts, shape, "f32", { axis: -1, epsilon: new Float(epsilon) });
    return cast(writer, normed, type);
  },
  gather_rows: ({ writer, full, shape, type }) => {
    const index = cast(writer, full(1), "i64");
    const places = writer.reshaped(index, [...index.shape, 1]);
    return writer.write("GatherND", [full(0), places], shape, type, { batch_dims: 1 });
  },

  custom_gradient: same,
  stop_gradient: same,
  barrier: same,
};

/** The last two axes exchanged. */
function swapped(writer: GraphWriter, x: Value): Value {
  const last = x.shape.length - 1;
  const perm = x.shape.map((_, axis) => axis < last - 1 ? axis : axis === last ? last - 1 : last);
  return writer.write("Transpose", [x], perm.map((axis) => x.shape[axis]!), x.type, { perm });
}
