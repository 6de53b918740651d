/** Layers with gradient rules of their own against plain automatic differentiation of their definition, in float64. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { attend } from "../../models/attention.ts";
import { block } from "../../models/block.ts";
import { rowsOf } from "../../models/encoder.ts";
import { gelu } from "../../models/gelu.ts";
import { linear } from "../../models/linear.ts";
import { accuracy, softCrossEntropy } from "../../models/losses.ts";
import { Parameters } from "../../models/parameters.ts";
import { pixelTarget } from "../../models/patch_embed.ts";
import type { ReferenceBuffer } from "../../models/runtime/reference.ts";
import {
  add,
  broadcast,
  erf,
  gradients,
  input,
  matmul,
  multiply,
  program,
  reshape,
  type Shape,
  sizeOf,
  slice,
  softmax,
  sum,
  type Tensor,
  transpose,
} from "../../models/tensor/mod.ts";
import { referenceEngine } from "./_engines.ts";

/** Numbers without pattern in [-1, 1). */
function noise(name: string, shape: Shape): Float32Array {
  let state = [...name].reduce((hash, letter) => Math.imul(hash, 31) + letter.charCodeAt(0) | 0, 7);
  return Float32Array.from({ length: sizeOf(shape) }, () => {
    state = Math.imul(state, 1664525) + 1013904223 | 0;
    return (state >>> 8) / 2 ** 23 - 1;
  });
}

/** Outputs of a program whose inputs are noise, or as given, unrounded. */
async function evaluate(outputs: Record<string, Tensor>, given: Record<string, readonly number[]> = {}) {
  const engine = referenceEngine();
  const traced = program("test", outputs);
  using executable = await engine.compile(traced);
  const inputs = new Map(traced.inputs.map(({ name, tensor: { shape, dtype } }) => {
    const values = given[name] ?? noise(name, shape);
    const data = dtype === "f32"
      ? Float32Array.from(values)
      : dtype === "u8"
      ? Uint8Array.from(values)
      : Int32Array.from(values);
    return [name, engine.upload(data, shape, dtype)] as const;
  }));
  const found = await executable.run(inputs);
  return new Map([...found].map(([name, buffer]) => [name, Array.from((buffer as ReferenceBuffer).values)]));
}

/** Checks that two ways to one result agree, in value and in the gradients of a random weighting of it. */
async function assertSameRule(inputs: readonly Tensor[], ours: Tensor, plain: Tensor): Promise<void> {
  const outputs: Record<string, Tensor> = { ours, plain };
  const weighting = input("weighting", ours.shape);
  for (const [name, y] of [["ours", ours], ["plain", plain]] as const) {
    const loss = sum(multiply(y, weighting));
    gradients(loss, inputs).forEach((gradient, i) => outputs[`${name} ${i}`] = gradient);
  }
  const found = await evaluate(outputs);
  for (const suffix of ["", ...inputs.map((_, i) => ` ${i}`)]) {
    const [a, b] = [found.get(`ours${suffix}`)!, found.get(`plain${suffix}`)!];
    assert(b.some((value) => Math.abs(value) > 1e-3), `The comparison${suffix} is empty`);
    a.forEach((value, i) => assertAlmostEquals(value, b[i]!, 1e-12, `element ${i} of${suffix || " the value"}`));
  }
}

Deno.test("the linear layer's gradient is that of its definition, with scale, bias and residual", async () => {
  const [x, weight, bias, residual] = [
    input("x", [2, 3, 4]),
    input("weight", [5, 4]),
    input("bias", [5]),
    input("residual", [2, 3, 5]),
  ];
  const flat = matmul(reshape(x, [6, 4]), multiply(weight, 0.25), { transposeB: true });
  const product = reshape(flat, [2, 3, 5]);
  const withBias = add(product, broadcast(multiply(bias, 0.25), product.shape));
  await assertSameRule(
    [x, weight, bias, residual],
    linear(x, weight, bias, { residual, scale: 0.25 }),
    add(withBias, residual),
  );
  await assertSameRule([x, weight], linear(x, weight, null, { scale: 0.25 }), product);
});

Deno.test("GELU's gradient is that of its definition", async () => {
  const x = input("x", [3, 7]);
  const wide = multiply(x, 3);
  const plain = multiply(multiply(wide, 0.5), add(erf(multiply(wide, Math.SQRT1_2)), 1));
  await assertSameRule([x], gelu(wide), plain);
});

Deno.test("attention's gradient is that of its definition, for every head count", async () => {
  for (const heads of [1, 2, 3]) {
    const [batch, tokens, width] = [2, 4, 6];
    const [q, k, v] = ["q", "k", "v"].map((name) => input(name, [batch, tokens, width])) as [Tensor, Tensor, Tensor];
    const split = (x: Tensor) => transpose(reshape(x, [batch, tokens, heads, width / heads]), [0, 2, 1, 3]);
    const scores = matmul(split(q), split(k), { transposeB: true });
    const plain = reshape(transpose(matmul(softmax(scores), split(v)), [0, 2, 1, 3]), [batch, tokens, width]);
    await assertSameRule([q, k, v], attend(q, k, v, heads), plain);
  }
});

Deno.test("a block with branch scales of 0 is the identity, with scales of 1 the plain block", async () => {
  const parameters = new Parameters();
  const x = input("x", [2, 3, 8]);
  const scales = [input("scale1", [2, 1, 1]), input("scale2", [2, 1, 1])] as const;
  const options = { heads: 2, compute: "f32" } as const;
  const outputs = {
    plain: block(parameters, x, options),
    scaled: block(parameters, x, { ...options, branchScales: scales }),
    x: multiply(x, 1),
  };
  const found = await evaluate(outputs, { scale1: [0, 1], scale2: [0, 1] });
  const [plain, scaled, same] = [found.get("plain")!, found.get("scaled")!, found.get("x")!];
  assertEquals(scaled.slice(0, 24), same.slice(0, 24));
  scaled.slice(24).forEach((value, i) => assertAlmostEquals(value, plain[24 + i]!, 1e-12));
});

Deno.test("a block of some wanted tokens is the rest of the whole block, in value and in gradients", async () => {
  const parameters = new Parameters();
  const x = input("x", [2, 5, 8]);
  const options = { heads: 2, compute: "f32" } as const;
  const whole = block(parameters, x, options);
  await assertSameRule(
    [x, ...parameters.tensors],
    block(parameters, x, { ...options, wanted: 3 }),
    slice(whole, 1, 2, 5),
  );
});

Deno.test("rows of one table serve a whole batch", async () => {
  const rows = rowsOf(input("table", [3, 2]), input("index", [2, 2], "i32"));
  const found = await evaluate({ rows }, { table: [0, 1, 10, 11, 20, 21], index: [2, 0, 1, 1] });
  assertEquals(rows.shape, [2, 2, 2]);
  assertEquals(found.get("rows"), [20, 21, 0, 1, 10, 11, 10, 11]);
});

Deno.test("a pixel target has mean 0 and unbiased variance 1 in each channel, and is 0 for one colour", async () => {
  const cubes = input("cubes", [1, 2, 12], "u8");
  const levels = [10, 0, 200, 20, 0, 100, 30, 255, 50, 40, 255, 0];
  const found = await evaluate({ target: pixelTarget(cubes) }, { cubes: [...levels, ...Array(12).fill(77)] });
  const target = found.get("target")!;
  for (const channel of [0, 1, 2]) {
    const values = [0, 1, 2, 3].map((pixel) => target[pixel * 3 + channel]!);
    assertAlmostEquals(values.reduce((a, b) => a + b), 0, 1e-9);
    assertAlmostEquals(values.reduce((a, b) => a + b * b, 0) / 3, 1, 1e-4);
  }
  assertEquals(target.slice(12), Array(12).fill(0));
});

Deno.test("cross entropy and accuracy of soft targets are those computed by hand", async () => {
  const [logits, targets] = [input("logits", [2, 3]), input("targets", [2, 3])];
  const outputs = { loss: softCrossEntropy(logits, targets), accuracy: accuracy(logits, targets) };
  const found = await evaluate(outputs, {
    logits: [0, 0, Math.log(2), 1000, 0, 0],
    targets: [0, 0.5, 0.5, 0, 0.75, 0.25],
  });
  // Sample 1: probabilities 1/4, 1/4, 1/2. Sample 2: log probabilities 0, -1000, -1000.
  assertAlmostEquals(found.get("loss")![0]!, (1.5 * Math.log(2) + 1000) / 2, 1e-6);
  const ranked = await evaluate(outputs, { logits: [0, 1, 2, 5, 4, 3], targets: [0.1, 0.2, 0.7, 0.1, 0.8, 0.1] });
  assertEquals(ranked.get("accuracy"), [0.5]);
});

Deno.test("parameters keep one tensor a name and refuse two shapes", () => {
  const parameters = new Parameters();
  const inner = parameters.scope("blocks.0");
  assertEquals(inner.vector("norm1.weight", 4), parameters.vector("blocks.0.norm1.weight", 4));
  assertEquals(parameters.specs.map(({ name }) => name), ["blocks.0.norm1.weight"]);
  assertThrows(() => inner.vector("norm1.weight", 5), RangeError, "declared as [4] and as [5]");
});
