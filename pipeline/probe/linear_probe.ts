/**
 * The linear probe: multinomial logistic regression on frozen features, over all training clips at once, minimised by
 * L-BFGS on the host. Features are few (clips x width) and the problem is convex, so that a solver without a learning
 * rate, an order of clips or a device gives the one answer there is. It searches in coordinates in which the curvature
 * has Böhning's bound (1992) as its unit: features depend on each other strongly, and steps are many otherwise.
 */
import { cholesky, solveLower, solveTransposed } from "./cholesky.ts";
import { type ClipFeatures, isHit } from "./features.ts";
import { type Evaluation, minimize, type MinimizeOptions } from "./lbfgs.ts";

/** Weight of `|W|^2 / 2` beside the mean cross-entropy; biases are free. Enough to make the answer unique. */
export const L2 = 1e-3;

/** Classes from features: `W x + b`, [classes, width + 1], row-major, the bias last. */
export type LinearWeights = Float64Array;

/** What the regression can be given. */
export interface LinearProbeOptions extends MinimizeOptions {
  /** @default 1e-3 */
  readonly l2?: number;
}

/** Fits the regression. Every label is 0 to `classes - 1`. */
export async function fitLinearProbe(
  train: ClipFeatures,
  classes: number,
  { l2 = L2, ...options }: LinearProbeOptions = {},
): Promise<LinearWeights> {
  const columns = train.width + 1, lower = cholesky(curvatureBound(train, l2), columns);
  const inRows = (solve: typeof solveLower, values: Float64Array) => {
    const solved = values.slice();
    for (let row = 0; row < solved.length; row += columns) solve(lower, solved.subarray(row, row + columns));
    return solved;
  };
  const point = await minimize(
    (point) => {
      const { value, gradient } = crossEntropy(train, classes, inRows(solveTransposed, point), l2);
      return { value, gradient: inRows(solveLower, gradient) };
    },
    new Float64Array(classes * columns),
    options,
  );
  return inRows(solveTransposed, point);
}

/** Half the second moments of features and bias plus the penalty: no class's weights curve the loss more. */
function curvatureBound({ values, width, labels }: ClipFeatures, l2: number): Float64Array {
  const clips = labels.length, columns = width + 1, bound = new Float64Array(columns * columns);
  const at = (clip: number, column: number) => column < width ? values[clip * width + column]! : 1;
  for (let clip = 0; clip < clips; clip++) {
    for (let row = 0; row < columns; row++) {
      const factor = at(clip, row) / (2 * clips), from = row * columns;
      for (let column = 0; column <= row; column++) bound[from + column]! += factor * at(clip, column);
    }
  }
  // The bias is not penalised, but takes no harm. Without this, constant features would make the matrix singular.
  for (let i = 0; i < columns; i++) bound[i * columns + i]! += l2;
  return bound;
}

/** The share of clips whose class has the highest score; ties are no hits. */
export function linearAccuracy(features: ClipFeatures, classes: number, weights: LinearWeights): number {
  const { labels } = features, scores = new Float64Array(classes);
  const hits = labels.filter((label, clip) => {
    score(features, clip, weights, scores);
    return isHit(scores, label);
  });
  return hits.length / labels.length;
}

/** Mean cross-entropy plus `l2 / 2 |W|^2`, and its gradient. */
export function crossEntropy(
  features: ClipFeatures,
  classes: number,
  weights: LinearWeights,
  l2: number,
): Evaluation {
  const { values, width, labels } = features, clips = labels.length, columns = width + 1;
  const gradient = new Float64Array(weights.length), scores = new Float64Array(classes);
  let value = 0;
  for (let clip = 0; clip < clips; clip++) {
    score(features, clip, weights, scores);
    const top = Math.max(...scores);
    const sum = scores.reduce((total, each) => total + Math.exp(each - top), 0);
    value += (top + Math.log(sum) - scores[labels[clip]!]!) / clips;
    for (let c = 0; c < classes; c++) {
      const error = (Math.exp(scores[c]! - top) / sum - (c === labels[clip] ? 1 : 0)) / clips;
      const row = c * columns, from = clip * width;
      for (let i = 0; i < width; i++) gradient[row + i]! += error * values[from + i]!;
      gradient[row + width]! += error;
    }
  }
  weights.forEach((weight, i) => {
    if (i % columns === width) return;
    value += l2 / 2 * weight * weight;
    gradient[i]! += l2 * weight;
  });
  return { value, gradient };
}

function score({ values, width }: ClipFeatures, clip: number, weights: LinearWeights, into: Float64Array): void {
  for (let c = 0; c < into.length; c++) {
    const row = c * (width + 1), from = clip * width;
    let sum = weights[row + width]!;
    for (let i = 0; i < width; i++) sum += weights[row + i]! * values[from + i]!;
    into[c] = sum;
  }
}
