/** The exact GELU, x * P(X < x) of the standard normal, with its own gradient. */
import { add, convert, customGradient, erf, exp, multiply, square, subtract, type Tensor } from "./tensor/mod.ts";

/** `x / 2 * (1 + erf(x / sqrt(2)))`, computed in f32, in the type of `x`. Only `x` is kept for the gradient. */
export function gelu(x: Tensor): Tensor {
  const value = convert(x, "f32");
  const y = multiply(multiply(value, 0.5), add(erf(multiply(value, Math.SQRT1_2)), 1));
  return customGradient([x], convert(y, x.dtype), (gradient) => {
    // -erf(-x) is erf(x), written so that no compiler shares it with the forward pass and keeps it in f32 until here.
    const below = multiply(subtract(1, erf(multiply(value, -Math.SQRT1_2))), 0.5);
    const density = multiply(exp(multiply(square(value), -0.5)), 1 / Math.sqrt(2 * Math.PI));
    const slope = add(below, multiply(value, density));
    return [convert(multiply(convert(gradient, "f32"), slope), x.dtype)];
  });
}
