/**
 * Minimises a smooth convex function: L-BFGS with a backtracking line search (Nocedal and Wright, Numerical Optimization,
 * algorithms 3.1 and 7.4), over typed arrays in float64. Without randomness and without threads: the same function gives
 * the same bits everywhere.
 */

/** A function at a point. */
export interface Evaluation {
  readonly value: number;
  readonly gradient: Float64Array;
}

/** How far to go. */
export interface MinimizeOptions {
  /** Done when no entry of the gradient is larger. @default 1e-6 */
  readonly tolerance?: number;
  /** @default 500 */
  readonly iterations?: number;
  /** Called after every iteration; what it throws ends the work. */
  readonly pause?: () => void | Promise<void>;
}

/** Steps whose change of the gradient is remembered. */
const MEMORY = 10;
/** Share of the promised decrease that a step must bring. */
const DECREASE = 1e-4;
const HALVINGS = 40;

/** A remembered step. */
interface Correction {
  readonly step: Float64Array;
  readonly change: Float64Array;
  readonly curvature: number;
}

/** @returns The point, where the gradient vanishes or no step leads further down. */
export async function minimize(
  evaluate: (point: Float64Array) => Evaluation,
  start: Float64Array,
  { tolerance = 1e-6, iterations = 500, pause }: MinimizeOptions = {},
): Promise<Float64Array> {
  const memory: Correction[] = [];
  let point = start, at = evaluate(start);
  for (let i = 0; i < iterations && at.gradient.some((entry) => Math.abs(entry) > tolerance); i++) {
    const direction = descent(at.gradient, memory);
    // Nothing is known of the scale before the first step.
    let length = memory.length > 0 ? 1 : Math.min(1, 1 / norm(at.gradient));
    const promised = DECREASE * dot(at.gradient, direction);
    let next: Float64Array, found: Evaluation, halvings = 0;
    do {
      next = point.map((value, i) => value + length * direction[i]!);
      found = evaluate(next);
      if (found.value <= at.value + length * promised) break;
      length /= 2;
    } while (++halvings < HALVINGS);
    if (!(found.value < at.value)) break;
    const step = next.map((value, i) => value - point[i]!);
    const change = found.gradient.map((value, i) => value - at.gradient[i]!);
    const curvature = dot(step, change);
    if (curvature > 0) memory.push({ step, change, curvature });
    if (memory.length > MEMORY) memory.shift();
    [point, at] = [next, found];
    await pause?.();
  }
  return point;
}

/** The two-loop recursion: minus the gradient times the inverse curvature that the memory knows of. */
function descent(gradient: Float64Array, memory: readonly Correction[]): Float64Array {
  const direction = gradient.map((value) => -value);
  const factors = memory.map(() => 0);
  for (let k = memory.length - 1; k >= 0; k--) {
    const { step, change, curvature } = memory[k]!;
    factors[k] = dot(step, direction) / curvature;
    direction.forEach((_, i) => direction[i]! -= factors[k]! * change[i]!);
  }
  const newest = memory.at(-1);
  if (newest) {
    const scale = newest.curvature / dot(newest.change, newest.change);
    direction.forEach((_, i) => direction[i]! *= scale);
  }
  memory.forEach(({ step, change, curvature }, k) => {
    const factor = factors[k]! - dot(change, direction) / curvature;
    direction.forEach((_, i) => direction[i]! += factor * step[i]!);
  });
  return direction;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function norm(a: Float64Array): number {
  return Math.sqrt(dot(a, a));
}
