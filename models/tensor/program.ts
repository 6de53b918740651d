/**
 * A program: the graph of some outputs, with its inputs in order and the pairs that share memory.
 */
import { sameShape, type Tensor, topologicalOrder } from "./tensor.ts";

/** A named value of a program. */
export interface Named {
  readonly name: string;
  readonly tensor: Tensor;
}

/** What an engine compiles. Inputs and outputs are ordered; names are unique within each. */
export interface Program {
  readonly name: string;
  readonly inputs: readonly Named[];
  readonly outputs: readonly Named[];
  /** From an input's name to the output that takes over its memory: the input is consumed by a run. */
  readonly donations: ReadonlyMap<string, string>;
  /** Names of the inputs whose first axis counts clips: several devices share their rows out. */
  readonly batch: ReadonlySet<string>;
}

/** Options of {@linkcode program}. */
export interface ProgramOptions {
  /** Input name to output name; shapes and types must be equal. @default none */
  donate?: Readonly<Record<string, string>>;
  /** Inputs in the order wanted; inputs of the graph that are not listed follow in graph order. @default graph order */
  inputs?: readonly Tensor[];
  /** Inputs whose first axis counts clips. @default none */
  batch?: readonly Tensor[];
}

/**
 * Collects a program from its outputs.
 *
 * @throws {TypeError} if two inputs share a name, or a donation names an unknown or unequal value or a taken output
 *
 * @example
 * ```ts
 * import { add, input } from "./ops.ts";
 * import { program } from "./program.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const x = input("x", [2, 3]);
 * const twice = program("twice", { y: add(x, x) });
 * assertEquals(twice.inputs.map((i) => i.name), ["x"]);
 * ```
 */
export function program(
  name: string,
  outputs: Readonly<Record<string, Tensor>>,
  options: ProgramOptions = {},
): Program {
  const used = topologicalOrder(Object.values(outputs)).filter((tensor) => tensor.op.kind === "input");
  const listed = options.inputs ?? [];
  const inputs = [...listed, ...used.filter((tensor) => !listed.includes(tensor))].map((tensor) => {
    if (tensor.op.kind !== "input") throw new TypeError(`Program ${name} lists ${tensor} as an input, which it is not`);
    return { name: tensor.op.name, tensor };
  });
  const byName = new Map<string, Tensor>();
  for (const input of inputs) {
    if (byName.has(input.name)) throw new TypeError(`Program ${name} has two inputs named ${input.name}`);
    byName.set(input.name, input.tensor);
  }
  for (const [from, to] of Object.entries(options.donate ?? {})) {
    const [source, target] = [byName.get(from), outputs[to]];
    if (!source || !target || !sameShape(source.shape, target.shape) || source.dtype !== target.dtype) {
      throw new TypeError(`Program ${name} cannot donate input ${from} (${source}) to output ${to} (${target})`);
    }
  }
  const targets = Object.values(options.donate ?? {});
  const twice = targets.find((target, i) => targets.indexOf(target) !== i);
  if (twice !== undefined) throw new TypeError(`Program ${name} donates two inputs to output ${twice}`);
  const batch = inputs.filter(({ tensor }) => options.batch?.includes(tensor)).map(({ name }) => name);
  if (batch.length !== (options.batch?.length ?? 0)) {
    throw new TypeError(`Program ${name} lists batch data that is not among its inputs`);
  }
  return {
    name,
    inputs,
    outputs: Object.entries(outputs).map(([name, tensor]) => ({ name, tensor })),
    donations: new Map(Object.entries(options.donate ?? {})),
    batch: new Set(batch),
  };
}
