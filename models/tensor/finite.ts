/**
 * Where numbers stop being finite: a program that tells, of every float on the way to an output, whether all its elements
 * are finite. For a step that diverged: the first that is not, in the order of tracing, is where to look.
 */
import { abs, compare, concatenate, convert, max, reshape, subtract } from "./ops.ts";
import { type Program, program } from "./program.ts";
import { isFloat, type Tensor, tracedOrder } from "./tensor.ts";

/** Largest finite f32. */
const LARGEST = 3.4028234663852886e38;
/** Most operations from a tensor to the parameter that it is named by. */
const NEAR = 6;

/** A program that watches another's numbers. */
export interface FiniteWatch {
  /** Takes the inputs that the watched output needs; `bad`, f32 `[K]`: 0 where a tensor is finite, 1 where it is not. */
  readonly program: Program;
  /** What is watched, in the order of tracing, which is that of computing. */
  readonly tensors: readonly Tensor[];
}

/** Watches all floats that an output of a program depends on. @throws {TypeError} if there is no such output */
export function finiteWatch(watched: Program, output: string): FiniteWatch {
  const found = watched.outputs.find(({ name }) => name === output);
  if (!found) throw new TypeError(`Program ${watched.name} has no output ${output}`);
  const order = tracedOrder([found.tensor]);
  const tensors = order.filter(({ dtype, op }) => isFloat(dtype) && op.kind !== "constant");
  const bad = concatenate(tensors.map((tensor) => reshape(max(badElements(tensor)), [1])), 0);
  return {
    program: program(`${watched.name}_finite`, { bad }, {
      batch: order.filter(({ op }) => op.kind === "input" && watched.batch.has(op.name)),
    }),
    tensors,
  };
}

/** 0 for finite elements, 1 for all others: what is no number is not less than anything. */
function badElements(x: Tensor): Tensor {
  const finite = compare(abs(convert(x, "f32")), "less", LARGEST);
  return subtract(1, convert(finite, "f32"));
}

/**
 * A tensor in words: an input by its name, a result by its operation, shape and the nearest parameter that it is made
 * from.
 */
export function describeTensor(tensor: Tensor): string {
  const { op } = tensor;
  if (op.kind === "input") return `the input ${op.name}, ${tensor}`;
  const near = nearestParameter(tensor);
  return `a ${op.kind}, ${tensor}${near === undefined ? "" : `, made from ${near}`}`;
}

function nearestParameter(tensor: Tensor): string | undefined {
  let level: Tensor[] = [tensor];
  for (let steps = 0; steps <= NEAR; steps++) {
    for (const { op } of level) if (op.kind === "input" && /^(?:parameter|frozen)\//.test(op.name)) return op.name;
    level = [...new Set(level.flatMap(({ inputs }) => inputs))];
  }
  return undefined;
}
