/**
 * Symbolic tensors: the nodes of a traced program.
 *
 * A tensor knows the operation that makes it, its inputs, its shape and its element type; it holds no numbers. Functions
 * in `ops.ts` build new tensors and check shapes while they do, `gradients.ts` derives further tensors from them, and an
 * engine in `models/runtime` executes the result. Shapes are static.
 */

/** Sizes per axis, outermost first; `[]` is a scalar. */
export type Shape = readonly number[];

/** Element types. Arithmetic happens in `f32` and `bf16`; the others carry pixels, indices, stored features and masks. */
export type DType = "f32" | "bf16" | "f16" | "i32" | "u32" | "u8" | "bool";

/** Bytes of one element of each type, as engines store it. */
export const DTYPE_BYTES: Readonly<Record<DType, number>> = { f32: 4, bf16: 2, f16: 2, i32: 4, u32: 4, u8: 1, bool: 1 };

/** How two numbers are compared; the result is `bool`. */
export type Comparison = "equal" | "less" | "greater";

/** An operation with its attributes. Inputs and the result's shape and type stand on the tensor itself. */
export type Op =
  /** A value given at run time. */
  | { readonly kind: "input"; readonly name: string }
  /** One number in every element. */
  | { readonly kind: "constant"; readonly value: number }
  /** Element index along `axis`. */
  | { readonly kind: "iota"; readonly axis: number }
  /** `u32[B, 2] -> u32[B, N]`: the upper `bits` bits of words that a key and a stream determine. */
  | { readonly kind: "random_bits"; readonly stream: number; readonly bits: number }
  | { readonly kind: UnaryKind }
  | { readonly kind: BinaryKind }
  | { readonly kind: "compare"; readonly comparison: Comparison }
  /** `inputs[0] ? inputs[1] : inputs[2]`, element by element. */
  | { readonly kind: "select" }
  | { readonly kind: "convert" }
  | { readonly kind: "reshape" }
  | { readonly kind: "transpose"; readonly permutation: readonly number[] }
  /** Axis `i` of the input becomes axis `axes[i]` of the result; size 1 is repeated. */
  | { readonly kind: "broadcast"; readonly axes: readonly number[] }
  | { readonly kind: "concatenate"; readonly axis: number }
  | { readonly kind: "slice"; readonly axis: number; readonly start: number; readonly end: number }
  /** Zeros before and after along `axis`. */
  | { readonly kind: "pad"; readonly axis: number; readonly before: number; readonly after: number }
  | { readonly kind: "sum" | "max"; readonly axes: readonly number[] }
  /** `[..., M, K] x [..., K, N] -> [..., M, N]`, accumulated in f32; a transposed side is stored with its last two axes swapped. */
  | { readonly kind: "matmul"; readonly transposeA: boolean; readonly transposeB: boolean }
  /** Softmax over the last axis, computed in f32. */
  | { readonly kind: "softmax" }
  /** Layer normalisation over the last axis with scale and shift, statistics in f32. */
  | { readonly kind: "layer_norm"; readonly epsilon: number }
  /** `[B, N, D], [B, K] -> [B, K, D]`: row `index[b, k]` of sample `b`. */
  | { readonly kind: "gather_rows" }
  /** The transpose of `gather_rows`: `[B, K, D], [B, K] -> [B, N, D]`, rows that meet are added. */
  | { readonly kind: "scatter_rows"; readonly rows: number }
  /** The first input unchanged; its gradient is what `backward` says. */
  | { readonly kind: "custom_gradient"; readonly backward: (gradient: Tensor) => (Tensor | null)[] }
  /** The input unchanged; no gradient flows through. */
  | { readonly kind: "stop_gradient" }
  /** The first input unchanged, but not before the others are there; compilers may not share work across it. */
  | { readonly kind: "barrier" };

export type UnaryKind = "negate" | "abs" | "exp" | "log" | "sqrt" | "rsqrt" | "erf" | "tanh";
export type BinaryKind = "add" | "subtract" | "multiply" | "divide" | "maximum" | "minimum";
export type OpKind = Op["kind"];

let made = 0;

/** A symbolic value: `shape` elements of `dtype`, made by `op` from `inputs`. */
export class Tensor {
  /** Counts the tensors of a process: the order of tracing. */
  readonly number = made++;

  constructor(
    readonly op: Op,
    readonly inputs: readonly Tensor[],
    readonly shape: Shape,
    readonly dtype: DType,
  ) {}

  get rank(): number {
    return this.shape.length;
  }

  get size(): number {
    return sizeOf(this.shape);
  }

  /** For error messages: `f32[2, 160, 384]`. */
  toString(): string {
    return `${this.dtype}[${this.shape.join(", ")}]`;
  }
}

/**
 * All tensors that `outputs` depend on, in the order in which they were traced: each after its inputs. Things that belong
 * together stand together, such as the way back through a block and the gradients of its weights.
 */
export function tracedOrder(outputs: readonly Tensor[]): Tensor[] {
  return topologicalOrder(outputs).sort((a, b) => a.number - b.number);
}

/** Number of elements of a shape; 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

export function isFloat(dtype: DType): boolean {
  return dtype === "f32" || dtype === "bf16" || dtype === "f16";
}

/**
 * All tensors that `outputs` depend on, each after its inputs. Written without recursion: graphs are thousands deep.
 *
 * @param inputsOf what a tensor depends on. @default its inputs
 */
export function topologicalOrder(
  outputs: readonly Tensor[],
  inputsOf: (tensor: Tensor) => readonly Tensor[] = (tensor) => tensor.inputs,
): Tensor[] {
  const order: Tensor[] = [];
  const seen = new Set<Tensor>();
  const stack: { tensor: Tensor; next: number }[] = [];
  for (const output of outputs) {
    if (seen.has(output)) continue;
    seen.add(output);
    stack.push({ tensor: output, next: 0 });
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const input = inputsOf(top.tensor)[top.next++];
      if (input === undefined) {
        order.push(top.tensor);
        stack.pop();
      } else if (!seen.has(input)) {
        seen.add(input);
        stack.push({ tensor: input, next: 0 });
      }
    }
  }
  return order;
}
