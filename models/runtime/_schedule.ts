/** The order in which interpreters work through a program, and when they may forget a value. */
import { type Program, type Tensor, tracedOrder } from "../tensor/mod.ts";

/** One tensor to compute, and the tensors nothing needs any more once it is there (itself among them if nothing does). */
export interface Step {
  readonly tensor: Tensor;
  readonly releases: readonly Tensor[];
}

/** All tensors of a program, each after its inputs. Outputs are never released; inputs are, like any other value. */
export function schedule(program: Program): Step[] {
  const outputs = new Set(program.outputs.map(({ tensor }) => tensor));
  const steps: Step[] = [];
  const seen = new Set<Tensor>();
  // From the end, the first use met is the last.
  for (const tensor of tracedOrder([...outputs]).reverse()) {
    const releases = [...new Set([tensor, ...tensor.inputs])].filter((used) => !seen.has(used) && !outputs.has(used));
    releases.forEach((used) => seen.add(used));
    steps.push({ tensor, releases });
  }
  return steps.reverse();
}
