/**
 * Which axes of a program grow with the batch. Shapes of traced tensors are numbers, so a program is traced for two batches:
 * a size that is the same in both is fixed, one that is a multiple of the batch in both is symbolic.
 */
import { type Program, type Tensor, topologicalOrder } from "../tensor/mod.ts";

/** A size in units of the batch. */
export interface BatchMultiple {
  readonly times: number;
}

/** Size of an axis. */
export type Dim = number | BatchMultiple;

/** Primes that no size of a network equals, so that both traces take the same short cuts. */
const BATCHES = [1009, 1013] as const;

/** A program for any batch. */
export interface SymbolicProgram {
  /** One of the traces; its shapes are not to be trusted. */
  readonly program: Program;
  readonly order: readonly Tensor[];
  readonly shapeOf: (tensor: Tensor) => readonly Dim[];
}

/**
 * @param trace Traces the program for a batch.
 * @throws {TypeError} if the program is another one for another batch
 */
export function symbolic(trace: (batch: number) => Program): SymbolicProgram {
  const [program, other] = BATCHES.map(trace) as [Program, Program];
  const [order, twins] = [program, other].map(({ inputs, outputs }) =>
    topologicalOrder([...inputs, ...outputs].map(({ tensor }) => tensor))
  ) as [Tensor[], Tensor[]];
  const shapes = new Map(order.map((tensor, i) => {
    const twin = twins[i];
    const isAlike = twin !== undefined && JSON.stringify(tensor.op) === JSON.stringify(twin.op) &&
      tensor.dtype === twin.dtype && tensor.rank === twin.rank && order.length === twins.length;
    const dims = isAlike ? tensor.shape.map((size, axis) => dimOf(size, twin.shape[axis]!)) : [];
    if (!isAlike || dims.includes(undefined)) {
      throw new TypeError(`Program ${program.name} depends on its batch otherwise than in sizes of axes: at ${tensor}`);
    }
    return [tensor, dims as Dim[]];
  }));
  return { program, order, shapeOf: (tensor) => shapes.get(tensor)! };
}

function dimOf(first: number, second: number): Dim | undefined {
  if (first === second) return first;
  const times = first / BATCHES[0];
  return Number.isInteger(times) && times === second / BATCHES[1] ? { times } : undefined;
}

/** Whether two sizes are the same for every batch. */
export function sameDim(a: Dim | undefined, b: Dim | undefined): boolean {
  return typeof a === "object" && typeof b === "object" ? a.times === b.times : a === b;
}

/** Whether two shapes are the same for every batch. */
export function sameDims(a: readonly Dim[], b: readonly Dim[]): boolean {
  return a.length === b.length && a.every((dim, axis) => sameDim(dim, b[axis]));
}

/** The shape that operands take together, axes aligned at the right and size 1 repeated. */
export function broadcastDims(...shapes: readonly (readonly Dim[])[]): Dim[] {
  const rank = Math.max(...shapes.map(({ length }) => length));
  return Array.from({ length: rank }, (_, axis) => {
    const sizes = shapes.map((shape) => shape[axis - rank + shape.length] ?? 1);
    return sizes.find((size) => size !== 1) ?? 1;
  });
}
