/** The messages of an ONNX file (onnx.proto3), under the names and field numbers of the format. */
import type { DType } from "../tensor/mod.ts";
import { type Field, Float, type Message, message } from "./_protobuf.ts";

/** Numbers of element types. */
export const ELEMENT_TYPE = {
  f32: 1,
  u8: 2,
  i32: 6,
  i64: 7,
  bool: 9,
  f16: 10,
  u32: 12,
  bf16: 16,
} as const satisfies Record<DType | "i64", number>;

/** Element type of a value of a graph. */
export type ElementType = keyof typeof ELEMENT_TYPE;

/** Version of the operators: the first with LayerNormalization; and of the file format that came with it. */
const OPSET = 17, IR_VERSION = 8;

/** Size of an axis: a number, or a name for one that is known only when the model runs; nothing for neither. */
export type AxisSize = number | string | undefined;

/** An attribute of a node: a whole number, a list of them, or a float. */
export type Attribute = number | readonly number[] | Float;

export function node(
  operator: string,
  inputs: readonly string[],
  output: string,
  attributes: Readonly<Record<string, Attribute>> = {},
): Message {
  return message([
    [1, inputs],
    [2, output],
    [3, output],
    [4, operator],
    [5, Object.entries(attributes).map(([name, value]) => attribute(name, value))],
  ]);
}

const FLOAT_ATTRIBUTE = 1, INT_ATTRIBUTE = 2, INTS_ATTRIBUTE = 7;

function attribute(name: string, value: Attribute): Message {
  if (value instanceof Float) return message([[1, name], [2, value], [20, FLOAT_ATTRIBUTE]]);
  if (typeof value === "number") return message([[1, name], [3, value], [20, INT_ATTRIBUTE]]);
  return message([[1, name], [8, value], [20, INTS_ATTRIBUTE]]);
}

/** An input or output of a graph. */
export function valueInfo(name: string, type: ElementType, shape: readonly AxisSize[]): Message {
  const dims = shape.map((size) => message([typeof size === "number" ? [1, size] : [2, size]]));
  const tensor = message([[1, ELEMENT_TYPE[type]], [2, message([[1, dims]])]]);
  return message([[1, name], [2, message([[1, tensor]])]]);
}

/** Where a tensor's numbers lie outside of the model's file. */
export interface External {
  readonly file: string;
  readonly offset: number;
}

/** A tensor with its numbers, row-major and little-endian, or the place where they lie. */
export function tensor(
  name: string,
  type: ElementType,
  shape: readonly number[],
  data: Uint8Array,
  external?: External,
): Message {
  const place = external && [
    ["location", external.file],
    ["offset", external.offset],
    ["length", data.length],
  ].map(([key, value]) => message([[1, key], [2, String(value)]]));
  const numbers: [number, Field][] = place ? [[13, place], [14, 1]] : [[9, data]];
  return message([[1, shape], [2, ELEMENT_TYPE[type]], [8, name], ...numbers]);
}

/** What a graph is made of. */
export interface Graph {
  readonly name: string;
  readonly nodes: readonly Message[];
  readonly initializers: readonly Message[];
  readonly inputs: readonly Message[];
  readonly outputs: readonly Message[];
}

/** @param metadata Free text by name. */
export function model(
  { name, nodes, initializers, inputs, outputs }: Graph,
  metadata: Readonly<Record<string, string>>,
): Message {
  const graph = message([[1, nodes], [2, name], [5, initializers], [11, inputs], [12, outputs]]);
  return message([
    [1, IR_VERSION],
    [2, "Tubelet"],
    [7, graph],
    [8, message([[1, ""], [2, OPSET]])],
    [14, Object.entries(metadata).map(([key, value]) => message([[1, key], [2, value]]))],
  ]);
}
