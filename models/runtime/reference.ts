/**
 * The reference engine: every operation in plain JavaScript, as a reader would define it, in float64.
 *
 * It is what the other engines are compared with, and what derivatives are checked on. By default floats are float64
 * from upload to reading, whatever type the program declares, and are rounded only when read; with `round` each result
 * is rounded to its declared type. Integers wrap to their type always. Slow: for small shapes.
 */
import { type DType, isFloat, type Op, type OpKind, type Program, type Shape, type Tensor } from "../tensor/mod.ts";
import { bfloatToFloat, floatToBfloat, floatToHalf, halfToFloat } from "./_half.ts";
import {
  concatenate,
  gatherRows,
  matmul,
  offsets,
  pad,
  reduce,
  scatterRows,
  slice,
  strides,
} from "./_reference_ops.ts";
import { schedule, type Step } from "./_schedule.ts";
import { randomWords } from "./_threefry.ts";
import {
  checkHostArray,
  checkInputs,
  type DeviceBuffer,
  type Engine,
  type Executable,
  type HostArray,
  hostArray,
} from "./engine.ts";

/** Options of {@linkcode ReferenceEngine}. */
export interface ReferenceOptions {
  /** Round each result to its declared type instead of keeping float64 throughout. @default {false} */
  round?: boolean;
}

/** A value of the reference engine. */
export class ReferenceBuffer implements DeviceBuffer {
  #values: Float64Array | null;

  constructor(values: Float64Array, readonly shape: Shape, readonly dtype: DType) {
    this.#values = values;
  }

  /** The unrounded numbers. Not to be written to. */
  get values(): Float64Array {
    if (this.#values === null) {
      throw new Error(`A buffer ${this.dtype}[${this.shape.join(", ")}] was used after it was disposed of or donated`);
    }
    return this.#values;
  }

  read(): Promise<HostArray> {
    return Promise.resolve(toHost(this.values, this.dtype));
  }

  [Symbol.dispose](): void {
    this.#values = null;
  }
}

/** Interprets programs in float64. */
export class ReferenceEngine implements Engine {
  readonly name = "reference";
  readonly description: string;
  readonly #round: boolean;

  constructor({ round = false }: ReferenceOptions = {}) {
    this.#round = round;
    this.description = `reference interpreter, ${round ? "results rounded to their types" : "float64"}`;
  }

  compile(program: Program): Promise<Executable> {
    return Promise.resolve(new ReferenceExecutable(program, this.#round));
  }

  /** @param data host numbers, or float64 for a float type: those are kept as they are */
  upload(data: HostArray | Float64Array, shape: Shape, dtype: DType): ReferenceBuffer {
    if (data instanceof Float64Array && isFloat(dtype)) {
      checkHostArray(hostArray(dtype, data.length), shape, dtype);
      return new ReferenceBuffer(this.#round ? rounded(data, dtype) : data.slice(), shape, dtype);
    }
    checkHostArray(data as HostArray, shape, dtype);
    return new ReferenceBuffer(fromHost(data as HostArray, dtype), shape, dtype);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

class ReferenceExecutable implements Executable {
  readonly memory = null;
  readonly #steps: readonly Step[];

  constructor(readonly program: Program, readonly round: boolean) {
    this.#steps = schedule(program);
  }

  // deno-lint-ignore require-await -- an error thrown here must reject
  async run(inputs: ReadonlyMap<string, DeviceBuffer>): Promise<Map<string, DeviceBuffer>> {
    const { program } = this;
    checkInputs(program, inputs);
    const given = new Map(program.inputs.map(({ name }) => [name, (inputs.get(name) as ReferenceBuffer).values]));
    const values = new Map<Tensor, Float64Array>();
    for (const { tensor, releases } of this.#steps) {
      const { op } = tensor;
      const value = op.kind === "input"
        ? given.get(op.name)!
        : evaluate(tensor, tensor.inputs.map((source) => values.get(source)!));
      values.set(tensor, this.round || !isFloat(tensor.dtype) ? rounded(value, tensor.dtype) : value);
      for (const released of releases) values.delete(released);
    }
    for (const name of program.donations.keys()) inputs.get(name)![Symbol.dispose]();
    return new Map(program.outputs.map(({ name, tensor }) => [
      name,
      new ReferenceBuffer(values.get(tensor)!, tensor.shape, tensor.dtype),
    ]));
  }

  [Symbol.dispose](): void {}
}

/** Numbers of `tensor` from those of its inputs. */
function evaluate(tensor: Tensor, values: readonly Float64Array[]): Float64Array {
  const evaluator = EVALUATORS[tensor.op.kind] as Evaluator<OpKind>;
  return evaluator(values, tensor, tensor.op as never);
}

type Evaluator<K extends OpKind> = (
  values: readonly Float64Array[],
  tensor: Tensor,
  op: Op & { kind: K },
) => Float64Array;

const EVALUATORS: { readonly [K in OpKind]: Evaluator<K> } = {
  input: (_, tensor) => {
    throw new Error(`The input ${tensor} has no definition to evaluate`);
  },
  constant: (_, { size }, { value }) => new Float64Array(size).fill(value),
  iota: (_, { shape }, { axis }) => Float64Array.from(offsets(shape, shape.map((_, i) => i === axis ? 1 : 0))),
  random_bits: ([keys], { shape }, op) => Float64Array.from(randomWords(keys!, shape[1]!, op)),

  negate: unary((x) => -x),
  abs: unary(Math.abs),
  exp: unary(Math.exp),
  log: unary(Math.log),
  sqrt: unary(Math.sqrt),
  rsqrt: unary((x) => 1 / Math.sqrt(x)),
  erf: unary(erf),
  tanh: unary(Math.tanh),

  add: binary((a, b) => a + b),
  subtract: binary((a, b) => a - b),
  // Integer products must wrap before they lose low bits; for 32 bits that is Math.imul.
  multiply: (values, tensor) => binary(isFloat(tensor.dtype) ? (a, b) => a * b : Math.imul)(values),
  divide: binary((a, b) => a / b),
  maximum: binary(Math.max),
  minimum: binary(Math.min),
  compare: (values, _, { comparison }) =>
    binary(
      {
        equal: (a: number, b: number) => a === b ? 1 : 0,
        less: (a: number, b: number) => a < b ? 1 : 0,
        greater: (a: number, b: number) => a > b ? 1 : 0,
      }[comparison],
    )(values),
  select: ([condition, a, b]) => condition!.map((yes, i) => yes ? a![i]! : b![i]!),
  // Floats become integers by truncation, which rounding to the type does.
  convert: ([x]) => x!,

  reshape: ([x]) => x!,
  transpose: ([x], { shape, inputs }, { permutation }) => {
    const from = strides(inputs[0]!.shape);
    return pick(x!, offsets(shape, permutation.map((axis) => from[axis]!)));
  },
  broadcast: ([x], { shape, inputs }, { axes }) => {
    const source = inputs[0]!.shape, from = strides(source);
    const step = shape.map((_, axis) => {
      const at = axes.indexOf(axis);
      return at < 0 || source[at] === 1 ? 0 : from[at]!;
    });
    return pick(x!, offsets(shape, step));
  },
  concatenate: (values, { inputs }, { axis }) => concatenate(values, inputs.map(({ shape }) => shape), axis),
  slice: ([x], { inputs }, { axis, start, end }) => slice(x!, inputs[0]!.shape, axis, start, end),
  pad: ([x], { inputs }, { axis, before, after }) => pad(x!, inputs[0]!.shape, axis, before, after),

  sum: ([x], { inputs }, { axes }) => reduce(x!, inputs[0]!.shape, axes, 0, (a, b) => a + b),
  max: ([x], { inputs }, { axes }) => reduce(x!, inputs[0]!.shape, axes, -Infinity, Math.max),

  matmul: ([a, b], { inputs: [left, right] }, { transposeA, transposeB }) =>
    matmul(a!, left!.shape, transposeA, b!, right!.shape, transposeB),
  softmax: ([x], { shape }) =>
    eachRow(x!, shape, (row) => {
      const largest = row.reduce((a, b) => Math.max(a, b));
      const weights = row.map((value) => Math.exp(value - largest));
      const total = weights.reduce((a, b) => a + b);
      return weights.map((weight) => weight / total);
    }),
  layer_norm: ([x, scale, shift], { shape }, { epsilon }) =>
    eachRow(x!, shape, (row) => {
      const mean = row.reduce((a, b) => a + b) / row.length;
      const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / row.length;
      const deviation = Math.sqrt(variance + epsilon);
      return row.map((value, i) => (value - mean) / deviation * scale![i]! + shift![i]!);
    }),

  gather_rows: ([x, index], { inputs }) => gatherRows(x!, inputs[0]!.shape, index!),
  scatter_rows: ([x, index], { inputs }, { rows }) => scatterRows(x!, inputs[0]!.shape, index!, rows),

  custom_gradient: ([x]) => x!,
  stop_gradient: ([x]) => x!,
  barrier: ([x]) => x!,
};

function unary(f: (x: number) => number): (values: readonly Float64Array[]) => Float64Array {
  return ([x]) => x!.map(f);
}

function binary(f: (a: number, b: number) => number): (values: readonly Float64Array[]) => Float64Array {
  return ([a, b]) => a!.map((value, i) => f(value, b![i]!));
}

function pick(x: Float64Array, at: Int32Array): Float64Array {
  return Float64Array.from(at, (offset) => x[offset]!);
}

/** `f` of each row along the last axis. */
function eachRow(x: Float64Array, shape: Shape, f: (row: Float64Array) => Float64Array): Float64Array {
  const width = shape.at(-1)!;
  const result = new Float64Array(x.length);
  for (let at = 0; at < x.length; at += width) result.set(f(x.subarray(at, at + width)), at);
  return result;
}

/** The error function to float64: `2 / sqrt(pi) * exp(-x^2) * sum of 2^n x^(2n+1) / (1 * 3 * ... * (2n+1))`. */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x, sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) sum += term *= 2 * x * x / (2 * n + 1);
  return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
}

/** Numbers rounded to what `dtype` can hold; integers wrap, `bool` is whether a number is not 0. */
function rounded(values: Float64Array, dtype: DType): Float64Array {
  return dtype === "bool" ? values.map((x) => x ? 1 : 0) : fromHost(toHost(values, dtype), dtype);
}

function toHost(values: Float64Array, dtype: DType): HostArray {
  if (dtype === "f16") return floatToHalf(values);
  if (dtype === "bf16") return floatToBfloat(values);
  const data = hostArray(dtype, values.length);
  data.set(values);
  return data;
}

function fromHost(data: HostArray, dtype: DType): Float64Array {
  if (dtype === "f16") return Float64Array.from(halfToFloat(data as Uint16Array));
  if (dtype === "bf16") return Float64Array.from(bfloatToFloat(data as Uint16Array));
  return Float64Array.from(data);
}
