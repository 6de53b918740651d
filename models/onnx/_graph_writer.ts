/** Writes the nodes of an ONNX graph one by one, with the constants they need, each constant once. */
import type { Message } from "./_protobuf.ts";
import { type Attribute, type ElementType, node, tensor } from "./_messages.ts";
import { type Dim, sameDims } from "./_symbolic.ts";

/** A value of the graph. */
export interface Value {
  readonly name: string;
  /** As the model computes it; operators repeat it to what they need. */
  readonly shape: readonly Dim[];
  readonly type: ElementType;
}

export class GraphWriter {
  readonly nodes: Message[] = [];
  readonly constants = new Map<string, Message>();
  #batch: Value | undefined;
  #values = 0;

  /** @param batched An input whose first axis is the batch; undefined if no axis is. */
  constructor(private readonly batched: Value | undefined) {}

  /** Adds a node. */
  write(
    operator: string,
    inputs: readonly Value[],
    shape: readonly Dim[],
    type: ElementType,
    attributes: Readonly<Record<string, Attribute>> = {},
  ): Value {
    const value = { name: `${operator.toLowerCase()}_${this.#values++}`, shape, type };
    this.nodes.push(node(operator, inputs.map(({ name }) => name), value.name, attributes));
    return value;
  }

  /** A node whose result has the name of an output. */
  output(name: string, { name: from }: Value): void {
    this.nodes.push(node("Identity", [from], name));
  }

  /** A constant of small size. */
  constant(numbers: readonly number[], shape: readonly number[], type: ElementType): Value {
    const name = `constant_${type}_${shape.join("x")}_${numbers.join("_")}`;
    if (!this.constants.has(name)) this.constants.set(name, tensor(name, type, shape, bytesOf(numbers, type)));
    return { name, shape, type };
  }

  cast(x: Value, type: ElementType, to: number): Value {
    return x.type === type ? x : this.write("Cast", [x], x.shape, type, { to });
  }

  /** `x` repeated to a shape. */
  repeated(x: Value, shape: readonly Dim[]): Value {
    return sameDims(x.shape, shape) ? x : this.write("Expand", [x, this.#sizes(shape)], shape, x.type);
  }

  reshaped(x: Value, shape: readonly Dim[]): Value {
    if (sameDims(x.shape, shape)) return x;
    const open = shape.filter((size) => typeof size === "object").length;
    const sizes = open > 1 ? this.#sizes(shape) : this.list(shape.map((size) => typeof size === "object" ? -1 : size));
    return this.write("Reshape", [x, sizes], shape, x.type);
  }

  /** A list of whole numbers, as operators take sizes and axes. */
  list(numbers: readonly number[]): Value {
    return this.constant(numbers, [numbers.length], "i64");
  }

  /** The sizes of a shape while the model runs. */
  #sizes(shape: readonly Dim[]): Value {
    if (shape.every((size) => typeof size === "number")) return this.list(shape);
    const parts = shape.map((size) => {
      if (typeof size === "number") return this.list([size]);
      const batch = this.#batch ??= this.#readBatch();
      return size.times === 1 ? batch : this.write("Mul", [batch, this.list([size.times])], [1], "i64");
    });
    return this.write("Concat", parts, [parts.length], "i64", { axis: 0 });
  }

  #readBatch(): Value {
    if (this.batched === undefined) {
      throw new TypeError("A program whose sizes depend on the batch has no batched input");
    }
    const sizes = this.write("Shape", [this.batched], [this.batched.shape.length], "i64");
    return this.write("Gather", [sizes, this.list([0])], [1], "i64", { axis: 0 });
  }
}

function bytesOf(numbers: readonly number[], type: ElementType): Uint8Array {
  switch (type) {
    case "i64":
      return new Uint8Array(BigInt64Array.from(numbers, BigInt).buffer);
    case "f32":
      return new Uint8Array(Float32Array.from(numbers).buffer);
    case "i32":
      return new Uint8Array(Int32Array.from(numbers).buffer);
    case "u32":
      return new Uint8Array(Uint32Array.from(numbers).buffer);
    case "u8":
    case "bool":
      return Uint8Array.from(numbers);
    default:
      throw new TypeError(
        `An ONNX model of this project holds no constants of type ${type}: trace it with compute f32`,
      );
  }
}
