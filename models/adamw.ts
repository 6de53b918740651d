/**
 * AdamW with decoupled weight decay, and clipping of the global gradient norm, as torch does both.
 *
 * Bias corrections are inputs, so that one compiled program serves every step.
 */
import { add, constant, divide, minimum, multiply, sqrt, square, subtract, sum, type Tensor } from "./tensor/mod.ts";

/** Settings of the optimiser that are fixed when a step is built. */
export interface OptimizerOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** Decoupled: `p *= 1 - learningRate * weightDecay`, where the parameter decays at all. */
  readonly weightDecay: number;
  /** Largest global gradient norm; null does not clip. */
  readonly clipNorm: number | null;
  /** Factor on the learning rate of a parameter. @default 1 for all */
  readonly learningRateScale?: (name: string) => number;
}

/** Scalars of a step, f32: `correction1` = 1 / (1 - beta1^t), `correction2` = 1 / (1 - beta2^t), t counted from 1. */
export interface StepScalars {
  learningRate: Tensor;
  correction1: Tensor;
  correction2: Tensor;
}

/** A parameter with its moments, all of one shape, f32. */
export interface ParameterState {
  parameter: Tensor;
  moment1: Tensor;
  moment2: Tensor;
}

/**
 * `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`, `p = p (1 - lr wd) - lr m c1 / (sqrt(v c2) + eps)`.
 *
 * @param decay whether weight decay applies to this parameter
 * @param scale factor on the learning rate
 */
export function adamW(
  { parameter, moment1, moment2 }: ParameterState,
  gradient: Tensor,
  { learningRate, correction1, correction2 }: StepScalars,
  { beta1, beta2, eps, weightDecay }: OptimizerOptions,
  decay: boolean,
  scale = 1,
): ParameterState {
  const rate = multiply(learningRate, scale);
  const m = add(multiply(moment1, beta1), multiply(gradient, 1 - beta1));
  const v = add(multiply(moment2, beta2), multiply(square(gradient), 1 - beta2));
  const update = divide(multiply(m, multiply(rate, correction1)), add(sqrt(multiply(v, correction2)), eps));
  const kept = decay && weightDecay !== 0 ? multiply(parameter, subtract(1, multiply(rate, weightDecay))) : parameter;
  return { parameter: subtract(kept, update), moment1: m, moment2: v };
}

/** The 2-norm of all elements of all tensors, f32 scalar. */
export function globalNorm(tensors: readonly Tensor[]): Tensor {
  return sqrt(tensors.map((x) => sum(square(x))).reduce((a, b) => add(a, b), constant(0)));
}

/** Factor that brings a gradient of this norm below the limit: `min(1, limit / (norm + 1e-6))`. */
export function clipFactor(norm: Tensor, limit: number): Tensor {
  return minimum(divide(limit, add(norm, 1e-6)), 1);
}
