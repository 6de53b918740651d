/**
 * What a program costs, from its shapes alone: the arithmetic of its matrix products, and an estimate of the memory it
 * works in. Nothing is compiled.
 *
 * The memory is an estimate. Compilers fuse chains of element-wise operations, so only what a matrix product, softmax,
 * norm, reduction or movement of rows makes or reads is taken as stored, from its making to its last use, in the order
 * in which the program was traced. A compiler may reorder, share or recompute.
 */
import type { Program } from "./program.ts";
import { DTYPE_BYTES, type OpKind, type Tensor, topologicalOrder, tracedOrder } from "./tensor.ts";

/** Operations that no compiler fuses into what comes before and after. */
const STORING: ReadonlySet<OpKind> = new Set<OpKind>([
  "matmul",
  "softmax",
  "layer_norm",
  "sum",
  "max",
  "gather_rows",
  "scatter_rows",
  "concatenate",
]);
/** Operations whose result is their input seen otherwise. */
const VIEWS: ReadonlySet<OpKind> = new Set<OpKind>([
  "reshape",
  "broadcast",
  "stop_gradient",
  "barrier",
  "custom_gradient",
]);
/** Operations that hold no memory of the program's own. */
const SOURCES: ReadonlySet<OpKind> = new Set<OpKind>(["input", "constant", "iota"]);

/** Bytes of a tensor. */
export function tensorBytes({ size, dtype }: Tensor): number {
  return size * DTYPE_BYTES[dtype];
}

/**
 * Floating-point operations of the matrix products of a program: `2 m n k` for each `[m, k] x [k, n]`, two for a
 * multiply-add. All else, such as softmax and norms, comes to a few in a hundred of them in a transformer and is left out.
 *
 * @example
 * ```ts
 * import { input, matmul } from "./ops.ts";
 * import { program } from "./program.ts";
 * import { matmulFlop } from "./cost.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const product = matmul(input("a", [2, 3]), input("b", [3, 5]));
 * assertEquals(matmulFlop(program("product", { product })), 2 * 2 * 5 * 3);
 * ```
 */
export function matmulFlop({ outputs }: Program): number {
  return topologicalOrder(outputs.map(({ tensor }) => tensor)).reduce((sum, { op, inputs, size }) => {
    if (op.kind !== "matmul") return sum;
    return sum + 2 * size * inputs[0]!.shape.at(op.transposeA ? -2 : -1)!;
  }, 0);
}

/** Bytes of the values that a program makes on its way, at the moment when most of them are alive. An estimate. */
export function workingBytes({ outputs, donations }: Program): number {
  const order = tracedOrder(outputs.map(({ tensor }) => tensor));
  const stored = storedTensors(order);
  // Donated outputs take the place of an input; the others stay to the end.
  const donated = new Set(donations.values());
  for (const { name, tensor } of outputs) donated.has(name) ? stored.delete(tensor) : stored.add(tensor);
  const lastUse = lastUses(order, stored);
  for (const { tensor } of outputs) lastUse.delete(tensor);
  const released = Map.groupBy(lastUse.keys(), (tensor) => lastUse.get(tensor)!);
  let live = 0, peak = 0;
  order.forEach((tensor, i) => {
    if (stored.has(tensor)) live += tensorBytes(tensor);
    peak = Math.max(peak, live);
    for (const old of released.get(i) ?? []) live -= tensorBytes(old);
  });
  return peak;
}

/** What an operation that stores makes or reads. */
function storedTensors(order: readonly Tensor[]): Set<Tensor> {
  const stored = new Set<Tensor>();
  for (const tensor of order) {
    if (!STORING.has(tensor.op.kind)) continue;
    stored.add(tensor);
    for (const input of tensor.inputs) {
      const origin = originOf(input);
      if (!SOURCES.has(origin.op.kind)) stored.add(origin);
    }
  }
  return stored;
}

/** Through views to what they show. */
function originOf(tensor: Tensor): Tensor {
  let origin = tensor;
  while (VIEWS.has(origin.op.kind)) origin = origin.inputs[0]!;
  return origin;
}

/** Place of the last operation that reads each stored tensor, itself or through operations fused with it. */
function lastUses(order: readonly Tensor[], stored: ReadonlySet<Tensor>): Map<Tensor, number> {
  const lastUse = new Map<Tensor, number>();
  const readThrough = new Map<Tensor, ReadonlySet<Tensor>>();
  order.forEach((tensor, i) => {
    // A view reads what it shows; the further inputs of a custom gradient are for the way back, where they occur again.
    const inputs = VIEWS.has(tensor.op.kind) ? tensor.inputs.slice(0, 1) : tensor.inputs;
    const read = new Set(inputs.flatMap((input) => stored.has(input) ? [input] : [...readThrough.get(input) ?? []]));
    if (stored.has(tensor)) {
      lastUse.set(tensor, i);
      readThrough.set(tensor, new Set());
    } else readThrough.set(tensor, read);
    for (const used of read) lastUse.set(used, i);
  });
  return lastUse;
}
