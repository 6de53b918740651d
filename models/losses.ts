/** Losses and scores, f32 scalars. */
import {
  add,
  compare,
  convert,
  exp,
  log,
  max,
  mean,
  multiply,
  negate,
  select,
  square,
  stopGradient,
  subtract,
  sum,
  type Tensor,
} from "./tensor/mod.ts";

/** Mean over all elements of `(prediction - target)^2`; no gradient reaches the target. */
export function meanSquaredError(prediction: Tensor, target: Tensor): Tensor {
  return mean(square(subtract(prediction, stopGradient(target))));
}

/** Mean of scalars. */
export function meanOf(values: readonly Tensor[]): Tensor {
  return multiply(values.reduce((a, b) => add(a, b)), 1 / values.length);
}

/**
 * Mean over samples of `-sum(target * log softmax(logits))`.
 *
 * @param logits f32 `[B, C]`
 * @param targets shares of the classes, f32 `[B, C]`: one-hot, smoothed or mixed
 */
export function softCrossEntropy(logits: Tensor, targets: Tensor): Tensor {
  const centred = subtract(logits, stopGradient(max(logits, [1], { keepAxes: true })));
  const logProbabilities = subtract(centred, log(sum(exp(centred), [1], { keepAxes: true })));
  return negate(mean(sum(multiply(targets, logProbabilities), [1])));
}

/** Share of samples whose largest logit is the class with the largest target. */
export function accuracy(logits: Tensor, targets: Tensor): Tensor {
  const largest = (x: Tensor) => compare(x, "equal", max(x, [1], { keepAxes: true }));
  const hits = select(largest(logits), convert(largest(targets), "f32"), 0);
  return mean(max(hits, [1]));
}
