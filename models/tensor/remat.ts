/**
 * Recomputation: memory for time (Chen et al., "Training deep nets with sublinear memory cost", arXiv 1604.06174). Of a part
 * of a network only the input is kept for the way back; what lies inside is computed once more when its gradient comes.
 */
import { pullback } from "./gradients.ts";
import { barrier, customGradient } from "./ops.ts";
import { isFloat, type Tensor } from "./tensor.ts";

/**
 * `f(x)`, with everything between `x` and the result recomputed for the gradients. Costs the arithmetic of `f` a second time.
 *
 * @param f traced twice; it may use further tensors, such as parameters, if none of them depends on `x`
 * @param x the only tensor inside that is kept
 *
 * @example
 * ```ts
 * import { exp, gradients, input, remat, square, sum, type Tensor, topologicalOrder } from "./mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const x = input("x", [8]);
 * const inside: Tensor[] = [];
 * const loss = sum(remat((from) => {
 *   inside.push(exp(from));
 *   return square(inside.at(-1)!);
 * }, x));
 * const needed = topologicalOrder(gradients(loss, [x]));
 * // The gradient reads the exponent that is computed again, not the one of the way there.
 * assertEquals(inside.map((tensor) => needed.includes(tensor)), [false, true]);
 * ```
 */
export function remat(f: (x: Tensor) => Tensor, x: Tensor): Tensor {
  const y = f(x);
  const others = readBeside(y, x);
  return customGradient([x, ...others], y, (gradient) => {
    // Tied to the gradient: nothing is recomputed before it is needed.
    const again = barrier(x, gradient);
    return pullback(f(again), gradient, [again, ...others]);
  });
}

/** Float inputs of the program that `y` depends on other than through `x`. */
function readBeside(y: Tensor, x: Tensor): Tensor[] {
  const seen = new Set<Tensor>([x]);
  const open = [y];
  for (let tensor = open.pop(); tensor; tensor = open.pop()) {
    if (seen.has(tensor)) continue;
    seen.add(tensor);
    // What a barrier waits for is no part of its value.
    open.push(...tensor.op.kind === "barrier" ? tensor.inputs.slice(0, 1) : tensor.inputs);
  }
  return [...seen].filter((tensor) => tensor !== x && tensor.op.kind === "input" && isFloat(tensor.dtype));
}
