/**
 * First values of parameters. Each is a pure function of uniform numbers, one for each element, so that the caller owns
 * the randomness and the same numbers give the same network on every machine.
 */
import { gridSinusoid, sinusoid } from "./positions.ts";
import { type Shape, sizeOf } from "./tensor/mod.ts";

/** How a parameter begins. */
export type Initializer =
  | { readonly kind: "constant"; readonly value: number }
  /** Uniform in [-bound, bound). */
  | { readonly kind: "uniform"; readonly bound: number }
  /** Normal, redrawn outside [-cut, cut] (the bounds are absolute), then times `factor`. */
  | { readonly kind: "truncated-normal"; readonly deviation: number; readonly cut: number; readonly factor: number }
  /** The position table `[tokens, width]`; draws nothing. */
  | { readonly kind: "sinusoid" }
  /** The position table of a picture, `[1 + rows * columns, width]`; draws nothing. */
  | { readonly kind: "grid-sinusoid"; readonly rows: number; readonly columns: number };

/** The first values of a matrix with this many outputs and inputs. */
export type MatrixInitializer = (outputs: number, inputs: number) => Initializer;

export function constantly(value: number): Initializer {
  return { kind: "constant", value };
}

export function uniformly(bound: number): Initializer {
  return { kind: "uniform", bound };
}

export function truncatedNormal(deviation: number, cut: number, factor = 1): Initializer {
  return { kind: "truncated-normal", deviation, cut, factor };
}

/** Pre-training: uniform in +-sqrt(6 / (outputs + inputs)). */
export const xavier: MatrixInitializer = (outputs, inputs) => uniformly(Math.sqrt(6 / (outputs + inputs)));

/** Fine-tuning: normal of deviation .02 cut at +-2, which is practically uncut. */
export const fineTuning: MatrixInitializer = () => truncatedNormal(0.02, 2);

/** MAE's class token and mask token: normal of deviation .02, practically uncut. */
export const imageToken: Initializer = truncatedNormal(0.02, 2);

/** Mask tokens: normal of deviation .02 cut at one deviation, as the official `trunc_normal_` wrapper has it. */
export const maskToken: Initializer = truncatedNormal(0.02, 0.02);

/**
 * Draws the values of a tensor.
 *
 * @param uniforms gives `count` numbers in [0, 1)
 */
export function drawValues(
  init: Initializer,
  shape: Shape,
  uniforms: (count: number) => ArrayLike<number>,
): Float32Array<ArrayBuffer> {
  const count = sizeOf(shape);
  switch (init.kind) {
    case "constant":
      return new Float32Array(count).fill(init.value);
    case "uniform":
      return Float32Array.from(uniforms(count), (u) => (2 * u - 1) * init.bound);
    case "truncated-normal": {
      const { deviation, cut, factor } = init;
      const tail = normalTail(cut / deviation);
      // Keeps 0 and 1 out, whose quantiles are infinite.
      const open = (u: number) => u * (1 - 2 ** -52) + 2 ** -53;
      const value = (u: number) => deviation * normalQuantile(tail + open(u) * (1 - 2 * tail));
      return Float32Array.from(uniforms(count), (u) => factor * Math.max(-cut, Math.min(cut, value(u))));
    }
    case "sinusoid":
      return sinusoid(shape[0]!, shape[1]!);
    case "grid-sinusoid":
      return gridSinusoid(init.rows, init.columns, shape[1]!);
  }
}

/** P(X > x) of the standard normal for x >= 0, error below 1e-7 (Abramowitz and Stegun 26.2.17). */
function normalTail(x: number): number {
  const t = 1 / (1 + 0.2316419 * x);
  const series = t *
    (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI) * series;
}

/** The x with P(X < x) = p of the standard normal, relative error below 1.2e-9 (Acklam's rational approximation). */
function normalQuantile(p: number): number {
  if (p > 0.5) return -normalQuantile(1 - p);
  if (p < 0.02425) {
    const q = Math.sqrt(-2 * Math.log(p));
    return polynomial(TAIL_ABOVE, q) / polynomial(TAIL_BELOW, q);
  }
  const q = p - 0.5;
  return q * polynomial(CENTRE_ABOVE, q * q) / polynomial(CENTRE_BELOW, q * q);
}

/** Horner's rule, highest power first. */
function polynomial(coefficients: readonly number[], x: number): number {
  return coefficients.reduce((sum, coefficient) => sum * x + coefficient, 0);
}

const CENTRE_ABOVE = [
  -3.969683028665376e1,
  2.209460984245205e2,
  -2.759285104469687e2,
  1.383577518672690e2,
  -3.066479806614716e1,
  2.506628277459239,
];
const CENTRE_BELOW = [
  -5.447609879822406e1,
  1.615858368580409e2,
  -1.556989798598866e2,
  6.680131188771972e1,
  -1.328068155288572e1,
  1,
];
const TAIL_ABOVE = [
  -7.784894002430293e-3,
  -3.223964580411365e-1,
  -2.400758277161838,
  -2.549732539343734,
  4.374664141464968,
  2.938163982698783,
];
const TAIL_BELOW = [
  7.784695709041462e-3,
  3.224671290700398e-1,
  2.445134137142996,
  3.754408661907416,
  1,
];
