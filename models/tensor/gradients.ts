/**
 * Reverse-mode differentiation: one table of rules, one walk over the graph.
 *
 * Each rule turns the gradient of a result into gradients of its inputs (null: none), as new symbolic tensors. The
 * result is part of the same graph and goes to the same compiler.
 */
import {
  add,
  broadcast,
  compare,
  constant,
  convert,
  divide,
  exp,
  gatherRows,
  matmul,
  mean,
  multiply,
  negate,
  pad,
  reshape,
  rsqrt,
  scatterRows,
  select,
  slice,
  square,
  subtract,
  sum,
  transpose,
} from "./ops.ts";
import { isFloat, type Op, type OpKind, sameShape, type Tensor, topologicalOrder } from "./tensor.ts";

/**
 * Gradients of a scalar with respect to tensors it depends on.
 *
 * @param loss a scalar float
 * @param targets tensors anywhere in the graph of `loss`; one it does not depend on gets zeros
 * @returns one tensor for each target, of the target's shape and type
 * @throws {TypeError} if `loss` is not a scalar float
 */
export function gradients(loss: Tensor, targets: readonly Tensor[]): Tensor[] {
  if (loss.rank !== 0 || !isFloat(loss.dtype)) throw new TypeError(`Gradients need a scalar loss, found ${loss}`);
  return carriedBack(loss, constant(1, [], loss.dtype), targets, new Set());
}

/**
 * A gradient carried back from a tensor to tensors it is a function of: the vector-Jacobian product.
 *
 * @param output a float of any shape
 * @param seed the gradient of `output`, of its shape and type
 * @param targets tensors anywhere in the graph of `output`, taken as independent of each other
 * @returns one tensor for each target, of the target's shape and type
 */
export function pullback(output: Tensor, seed: Tensor, targets: readonly Tensor[]): Tensor[] {
  return carriedBack(output, seed, targets, new Set(targets));
}

/** @param ends tensors that are not looked behind */
function carriedBack(output: Tensor, seed: Tensor, targets: readonly Tensor[], ends: ReadonlySet<Tensor>): Tensor[] {
  const order = topologicalOrder([output]);
  const wanted = new Set(targets);
  for (const tensor of order) if (tensor.inputs.some((input) => wanted.has(input))) wanted.add(tensor);
  const found = new Map<Tensor, Tensor>([[output, seed]]);
  for (const tensor of order.reverse()) {
    const gradient = found.get(tensor);
    if (gradient === undefined || !wanted.has(tensor) || ends.has(tensor) || tensor.inputs.length === 0) continue;
    inputGradients(tensor, gradient).forEach((part, i) => {
      const input = tensor.inputs[i]!;
      if (part === null || !wanted.has(input)) return;
      const before = found.get(input);
      found.set(input, before === undefined ? part : add(before, part));
    });
  }
  return targets.map((target) => found.get(target) ?? constant(0, target.shape, target.dtype));
}

type Rule<K extends OpKind> = (
  gradient: Tensor,
  output: Tensor,
  inputs: readonly Tensor[],
  op: Op & { kind: K },
) => readonly (Tensor | null)[];

function inputGradients(tensor: Tensor, gradient: Tensor): readonly (Tensor | null)[] {
  const rule = RULES[tensor.op.kind] as Rule<OpKind>;
  return rule(gradient, tensor, tensor.inputs, tensor.op as never);
}

/** For values that no gradient enters or leaves. */
const none = (_gradient: Tensor, _output: Tensor, inputs: readonly Tensor[]) => inputs.map(() => null);

/** `g` is the gradient of the result `y`, made from `x, ...` */
const RULES: { readonly [K in OpKind]: Rule<K> } = {
  input: none,
  constant: none,
  iota: none,
  random_bits: none,
  compare: none,
  stop_gradient: none,

  negate: (g) => [negate(g)],
  abs: (g, _y, [x]) => [select(compare(x!, "less", 0), negate(g), g)],
  exp: (g, y) => [multiply(g, y)],
  log: (g, _y, [x]) => [divide(g, x!)],
  sqrt: (g, y) => [divide(multiply(g, 0.5), y)],
  rsqrt: (g, y) => [multiply(multiply(g, -0.5), multiply(y, square(y)))],
  erf: (g, _y, [x]) => [multiply(g, multiply(exp(negate(square(x!))), 2 / Math.sqrt(Math.PI)))],
  tanh: (g, y) => [multiply(g, subtract(1, square(y)))],

  add: (g) => [g, g],
  subtract: (g) => [g, negate(g)],
  multiply: (g, _y, [a, b]) => [multiply(g, b!), multiply(g, a!)],
  divide: (g, y, [, b]) => [divide(g, b!), negate(divide(multiply(g, y), b!))],
  maximum: (g, _y, [a, b]) => [select(compare(a!, "less", b!), 0, g), select(compare(a!, "less", b!), g, 0)],
  minimum: (g, _y, [a, b]) => [select(compare(b!, "less", a!), 0, g), select(compare(b!, "less", a!), g, 0)],
  select: (g, _y, [condition]) => [null, select(condition!, g, 0), select(condition!, 0, g)],
  convert: (g, _y, [x]) => [isFloat(x!.dtype) ? convert(g, x!.dtype) : null],

  reshape: (g, _y, [x]) => [reshape(g, x!.shape)],
  transpose: (g, _y, _x, { permutation }) => [transpose(g, permutation.map((_, axis) => permutation.indexOf(axis)))],
  broadcast: (g, y, [x], { axes }) => {
    const repeated = y.shape.map((_, axis) => axis).filter((axis) => {
      const source = axes.indexOf(axis);
      return source < 0 || x!.shape[source] !== y.shape[axis];
    });
    return [reshape(sum(g, repeated), x!.shape)];
  },
  concatenate: (g, _y, parts, { axis }) => {
    let start = 0;
    return parts.map((part) => slice(g, axis, start, start += part.shape[axis]!));
  },
  slice: (g, _y, [x], { axis, start, end }) => [pad(g, axis, start, x!.shape[axis]! - end)],
  pad: (g, _y, [x], { axis, before }) => [slice(g, axis, before, before + x!.shape[axis]!)],

  sum: (g, _y, [x], { axes }) => [broadcast(keptAxes(g, x!, axes), x!.shape)],
  max: (g, y, [x], { axes }) => {
    // Ties share the gradient, so that the sum over the axes is right.
    const hit = convert(compare(x!, "equal", broadcast(keptAxes(y, x!, axes), x!.shape)), x!.dtype);
    return [divide(multiply(hit, keptAxes(g, x!, axes)), sum(hit, axes, { keepAxes: true }))];
  },

  matmul: (g, _y, [a, b], { transposeA, transposeB }) => {
    const gradient = convert(g, a!.dtype);
    return [
      transposeA
        ? matmul(b!, gradient, { transposeA: transposeB, transposeB: true })
        : matmul(gradient, b!, { transposeB: !transposeB }),
      transposeB
        ? matmul(gradient, a!, { transposeA: true, transposeB: transposeA })
        : matmul(a!, gradient, { transposeA: !transposeA }),
    ];
  },
  // dx = y * (g - sum(g * y)), over the last axis.
  softmax: (g, y, [x]) => {
    const [gradient, out] = [convert(g, "f32"), convert(y, "f32")];
    const inner = sum(multiply(gradient, out), [-1], { keepAxes: true });
    return [convert(multiply(out, subtract(gradient, inner)), x!.dtype)];
  },
  // With n = (x - mean) * r, r = 1 / sqrt(variance + epsilon), s = g * scale: dx = r * (s - mean(s) - n * mean(s * n)).
  layer_norm: (g, _y, [x, scale], { epsilon }) => {
    const [value, gradient] = [convert(x!, "f32"), convert(g, "f32")];
    const centred = subtract(value, mean(value, [-1], { keepAxes: true }));
    const r = rsqrt(add(mean(square(centred), [-1], { keepAxes: true }), epsilon));
    const normal = multiply(centred, r);
    const scaled = multiply(gradient, scale!);
    const flat = x!.shape.slice(0, -1).map((_, axis) => axis);
    const spread = multiply(normal, mean(multiply(scaled, normal), [-1], { keepAxes: true }));
    const dx = multiply(r, subtract(subtract(scaled, mean(scaled, [-1], { keepAxes: true })), spread));
    return [convert(dx, x!.dtype), sum(multiply(gradient, normal), flat), sum(gradient, flat)];
  },
  gather_rows: (g, _y, [x, index]) => [scatterRows(g, index!, x!.shape[1]!), null],
  scatter_rows: (g, _y, [, index]) => [gatherRows(g, index!), null],

  custom_gradient: (g, _y, [, ...inputs], { backward }) => {
    const parts = backward(g);
    const fits = parts.length === inputs.length &&
      parts.every((part, i) =>
        part === null || (sameShape(part.shape, inputs[i]!.shape) && part.dtype === inputs[i]!.dtype)
      );
    if (!fits) throw new TypeError(`A custom gradient for (${inputs.join("; ")}) gave (${parts.join("; ")})`);
    return [null, ...parts];
  },
  barrier: (g, _y, inputs) => inputs.map((_, i) => i === 0 ? g : null),
};

/** A reduced tensor with its reduced axes put back as size 1. */
function keptAxes(reduced: Tensor, source: Tensor, axes: readonly number[]): Tensor {
  return reshape(reduced, source.shape.map((size, axis) => axes.includes(axis) ? 1 : size));
}
