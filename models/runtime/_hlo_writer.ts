/**
 * Writes StableHLO text line by line: names for values, types, number literals, and the plain operations with a method
 * each. Number literals are bit patterns, which say exactly what is meant (the parser rejects `1` and `1e-7` for floats).
 *
 * Checked against StableHLO 1.13; the forms used have been stable for years.
 */
import { type Comparison, type DType, sameShape, type Shape } from "../tensor/mod.ts";

/** A value in the text. */
export interface HloValue {
  /** With its leading `%`. */
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: DType;
}

const ELEMENT: Readonly<Record<DType, string>> = {
  f32: "f32",
  bf16: "bf16",
  f16: "f16",
  i32: "i32",
  u32: "ui32",
  u8: "ui8",
  bool: "i1",
};

/** `tensor<2x3xf32>`. */
export function hloType({ shape, dtype }: Pick<HloValue, "shape" | "dtype">): string {
  return `tensor<${[...shape, ELEMENT[dtype]].join("x")}>`;
}

/** `[0, 2, 1]`. */
export function hloList(items: readonly (number | string)[]): string {
  return `[${items.join(", ")}]`;
}

/** `%1, %2`. */
export function hloNames(values: readonly HloValue[]): string {
  return values.map((value) => value.name).join(", ");
}

/** A number of a type as text that denotes exactly its nearest representable value; integers wrap round. */
export function hloNumber(value: number, dtype: DType): string {
  const view = new DataView(new ArrayBuffer(4));
  switch (dtype) {
    case "f32":
      view.setFloat32(0, value);
      return hex(view.getUint32(0), 8);
    case "bf16":
      return hex(bf16Bits(value), 4);
    case "f16":
      view.setFloat16(0, value);
      return hex(view.getUint16(0), 4);
    case "i32":
      return String(value | 0);
    case "u32":
      return String(value >>> 0);
    case "u8":
      return String(value & 255);
    case "bool":
      return String(value !== 0);
  }
}

function hex(bits: number, digits: number): string {
  return `0x${bits.toString(16).toUpperCase().padStart(digits, "0")}`;
}

/** bfloat16 is the upper half of f32, rounded to the nearest, ties to even. */
function bf16Bits(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0;
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  const bits = view.getUint32(0);
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** Collects the lines of one function. Methods add a line and return its value. */
export class HloWriter {
  readonly lines: string[] = [];

  /** Adds `%n = TEXT`. */
  write(text: string, shape: Shape, dtype: DType): HloValue {
    const name = `%${this.lines.length}`;
    this.lines.push(`${name} = ${text}`);
    return { name, shape, dtype };
  }

  /** Adds `%n:COUNT = TEXT`, an operation with several results, and returns `%n`; they are `%n#0`, `%n#1`, ... */
  several(text: string, count: number): string {
    const name = `%${this.lines.length}`;
    this.lines.push(`${name}:${count} = ${text}`);
    return name;
  }

  /** Adds `%n = TEXT : (operand types) -> result type`. */
  typed(text: string, operands: readonly HloValue[], shape: Shape, dtype: DType): HloValue {
    return this.write(`${text} : (${operands.map(hloType).join(", ")}) -> ${hloType({ shape, dtype })}`, shape, dtype);
  }

  constant(value: number, shape: Shape, dtype: DType): HloValue {
    return this.write(
      `stablehlo.constant dense<${hloNumber(value, dtype)}> : ${hloType({ shape, dtype })}`,
      shape,
      dtype,
    );
  }

  /** The index along `axis`. */
  iota(axis: number, shape: Shape, dtype: DType): HloValue {
    return this.write(`stablehlo.iota dim = ${axis} : ${hloType({ shape, dtype })}`, shape, dtype);
  }

  /** An operation whose operands and result have one type, such as `add`. */
  elementwise(name: string, ...operands: HloValue[]): HloValue {
    const { shape, dtype } = operands[0]!;
    return this.write(`stablehlo.${name} ${hloNames(operands)} : ${hloType({ shape, dtype })}`, shape, dtype);
  }

  erf(x: HloValue): HloValue {
    return this.write(`chlo.erf ${x.name} : ${hloType(x)} -> ${hloType(x)}`, x.shape, x.dtype);
  }

  compare(x: HloValue, comparison: Comparison, y: HloValue): HloValue {
    const direction = { equal: "EQ", less: "LT", greater: "GT" }[comparison];
    const kind = x.dtype === "i32" ? "SIGNED" : /^(?:u|bool)/.test(x.dtype) ? "UNSIGNED" : "FLOAT";
    return this.typed(`stablehlo.compare ${direction}, ${x.name}, ${y.name}, ${kind}`, [x, y], x.shape, "bool");
  }

  select(condition: HloValue, x: HloValue, y: HloValue): HloValue {
    const names = hloNames([condition, x, y]);
    return this.write(`stablehlo.select ${names} : ${hloType(condition)}, ${hloType(x)}`, x.shape, x.dtype);
  }

  convert(x: HloValue, dtype: DType): HloValue {
    return x.dtype === dtype ? x : this.typed(`stablehlo.convert ${x.name}`, [x], x.shape, dtype);
  }

  reshape(x: HloValue, shape: Shape): HloValue {
    return sameShape(x.shape, shape) ? x : this.typed(`stablehlo.reshape ${x.name}`, [x], shape, x.dtype);
  }

  /** Elements `start` (included) to `end` (excluded) along `axis`. */
  slice(x: HloValue, axis: number, start: number, end: number): HloValue {
    const ranges = x.shape.map((size, i) => i === axis ? `${start}:${end}` : `0:${size}`);
    const shape = x.shape.map((size, i) => i === axis ? end - start : size);
    return this.typed(`stablehlo.slice ${x.name} ${hloList(ranges)}`, [x], shape, x.dtype);
  }

  /** Axis `i` of `x` becomes axis `axes[i]` of the result. */
  broadcast(x: HloValue, axes: readonly number[], shape: Shape): HloValue {
    return this.typed(`stablehlo.broadcast_in_dim ${x.name}, dims = ${hloList(axes)}`, [x], shape, x.dtype);
  }

  /**
   * `x`, but not before `after` are there. XLA's CPU compiler drops barriers before it orders its work, so `x` is made to
   * depend on an element of each: it is replaced by zeros where one is not above the smallest float, which none is.
   */
  barrier(x: HloValue, after: readonly HloValue[]): HloValue {
    const held = this.elementwise("optimization_barrier", x);
    if (after.length === 0) return held;
    const smallest = this.constant(-3e38, [], "f32");
    const there = after.map((value) => {
      const element = value.shape.reduce((rest, _, axis) => this.slice(rest, axis, 0, 1), value);
      return this.compare(this.convert(this.reshape(element, []), "f32"), "greater", smallest);
    }).reduce((a, b) => this.elementwise("and", a, b));
    return this.select(this.broadcast(there, [], x.shape), held, this.constant(0, x.shape, x.dtype));
  }

  /** Sum or maximum over axes, in the type of `x`. */
  reduce(kind: "add" | "maximum", x: HloValue, axes: readonly number[]): HloValue {
    const start = this.constant(kind === "add" ? 0 : smallest(x.dtype), [], x.dtype);
    const shape = x.shape.filter((_, axis) => !axes.includes(axis));
    const types = `(${hloType(x)}, ${hloType(start)}) -> ${hloType({ shape, dtype: x.dtype })}`;
    const how = `applies stablehlo.${kind} across dimensions = ${hloList(axes)}`;
    return this.write(`stablehlo.reduce(${x.name} init: ${start.name}) ${how} : ${types}`, shape, x.dtype);
  }

  /** The sum of every device's value, on every device. */
  allReduce(x: HloValue, devices: number): HloValue {
    const scalar = hloType({ shape: [], dtype: x.dtype });
    const sum = [
      `^bb0(%a: ${scalar}, %b: ${scalar}):`,
      `  %sum = stablehlo.add %a, %b : ${scalar}`,
      `  stablehlo.return %sum : ${scalar}`,
    ].join("\n    ");
    const text = `"stablehlo.all_reduce"(${x.name}) <{${allDevices(devices)}}> ({\n    ${sum}\n    })`;
    return this.typed(text, [x], x.shape, x.dtype);
  }

  /** The blocks of all devices one after the other along an axis, on every device. */
  allGather(x: HloValue, axis: number, devices: number): HloValue {
    const shape = x.shape.map((size, i) => i === axis ? size * devices : size);
    const attributes = `all_gather_dim = ${axis} : i64, ${allDevices(devices)}`;
    return this.typed(`"stablehlo.all_gather"(${x.name}) <{${attributes}}>`, [x], shape, x.dtype);
  }

  /** A device's own block along an axis of a value that every device has. */
  ownBlock(x: HloValue, axis: number, devices: number): HloValue {
    const shape = x.shape.map((size, i) => i === axis ? size / devices : size);
    const number = this.convert(this.write("stablehlo.replica_id : tensor<ui32>", [], "u32"), "i32");
    const start = this.elementwise("multiply", number, this.constant(shape[axis]!, [], "i32"));
    const zero = this.constant(0, [], "i32");
    const starts = shape.map((_, i) => i === axis ? start : zero);
    const text = `stablehlo.dynamic_slice ${hloNames([x, ...starts])}, sizes = ${hloList(shape)}`;
    return this.typed(text, [x, ...starts], shape, x.dtype);
  }
}

/** The attribute of a collective in which all devices take part. */
function allDevices(devices: number): string {
  const numbers = hloList([...new Array(devices).keys()]);
  return `replica_groups = dense<[${numbers}]> : tensor<1x${devices}xi64>`;
}

function smallest(dtype: DType): number {
  return dtype === "i32" ? -(2 ** 31) : /^(?:u|bool)/.test(dtype) ? 0 : -Infinity;
}
