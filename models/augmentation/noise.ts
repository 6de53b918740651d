/** Normal noise inside programs: uniform bits through the inverse of the normal distribution function. */
import {
  add,
  compare,
  log,
  maximum,
  minimum,
  multiply,
  negate,
  select,
  sqrt,
  subtract,
  type Tensor,
  uniform,
} from "../tensor/mod.ts";

/** Coefficients of M. Giles, "Approximating the erfinv function" (GPU Computing Gems, 2011), single precision. */
const CENTRAL = [
  2.81022636e-08,
  3.43273939e-07,
  -3.5233877e-06,
  -4.39150654e-06,
  2.1858087e-04,
  -1.25372503e-03,
  -4.17768164e-03,
  2.46640727e-01,
  1.50140941,
];
const TAIL = [
  -2.00214257e-04,
  1.00950558e-04,
  1.34934322e-03,
  -3.67342844e-03,
  5.73950773e-03,
  -7.6224613e-03,
  9.43887047e-03,
  1.00167406,
  2.83297682,
];
const TAIL_BEGINS = 5;

/**
 * Independent normal numbers of mean 0 and variance 1, `u32[B, 2] -> f32[B, count]`, none beyond 5.4.
 *
 * @param keys two words for each sample, see `randomBits`
 */
export function normal(keys: Tensor, count: number): Tensor {
  // The middle of each of 2^24 steps, hence never 0 or 1.
  const u = add(uniform(keys, count), 2 ** -25);
  const lower = minimum(u, subtract(1, u));
  // erfinv(x) of x = 1 - 2 lower, from 1 - x^2 = 4 lower (1 - lower), which keeps the digits of the tail.
  const w = negate(log(multiply(multiply(lower, 4), subtract(1, lower))));
  const polynomial = (coefficients: readonly number[], z: Tensor) =>
    coefficients.slice(2).reduce(
      (sum, coefficient) => add(multiply(sum, z), coefficient),
      add(multiply(z, coefficients[0]!), coefficients[1]!),
    );
  const central = polynomial(CENTRAL, subtract(minimum(w, TAIL_BEGINS), 2.5));
  const tail = polynomial(TAIL, subtract(sqrt(maximum(w, TAIL_BEGINS)), 3));
  const factor = select(compare(w, "less", TAIL_BEGINS), central, tail);
  const size = multiply(multiply(factor, subtract(1, multiply(lower, 2))), Math.SQRT2);
  return select(compare(u, "less", 0.5), negate(size), size);
}
