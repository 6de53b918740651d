/** Derivatives, held to central differences in float64 and, where there is no slope, to numbers checked by hand. */
import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { type ReferenceBuffer, ReferenceEngine } from "../../../models/runtime/reference.ts";
import {
  add,
  compare,
  constant,
  convert,
  customGradient,
  exp,
  gradients,
  input,
  isFloat,
  max,
  maximum,
  minimum,
  multiply,
  type OpKind,
  program,
  select,
  stopGradient,
  sum,
  type Tensor,
} from "../../../models/tensor/mod.ts";
import { CASES, type OpCase } from "./_cases.ts";
import { run, toHost, traced } from "./_run.ts";

const engine = new ReferenceEngine();
const STEP = 1e-5;

/** Slopes of the case's loss by each float of input `name`. */
async function slopes({ outputs, values }: ReturnType<typeof traced>, name: string): Promise<number[]> {
  using executable = await engine.compile(program("loss", { loss: outputs["loss"]! }));
  const lossWith = async (at: number, change: number) => {
    const buffers = new Map(
      Object.entries(values).map(([other, { shape, dtype, numbers }]) => {
        const changed = Float64Array.from(numbers);
        if (other === name) changed[at]! += change;
        return [other, engine.upload(isFloat(dtype) ? changed : toHost(numbers, dtype), shape, dtype)];
      }),
    );
    return ((await executable.run(buffers)).get("loss") as ReferenceBuffer).values[0]!;
  };
  const found: number[] = [];
  for (let at = 0; at < values[name]!.numbers.length; at++) {
    found.push((await lossWith(at, STEP) - await lossWith(at, -STEP)) / (2 * STEP));
  }
  return found;
}

const differentiable = (opCase: OpCase) => opCase.smooth !== false && "loss" in traced(opCase).outputs;

/** Operations through which no gradient passes, and why their cases have no slope to be checked. */
const WITHOUT_GRADIENT: Readonly<Partial<Record<OpKind, string>>> = {
  constant: "depends on nothing",
  iota: "depends on nothing",
  random_bits: "integers of integers",
  compare: "a step, flat on both sides",
  stop_gradient: "holds the gradient back by definition",
};

Deno.test("every operation has its gradient checked, or a reason to have none", () => {
  for (const [kind, cases] of Object.entries(CASES)) {
    const checked = cases.some(differentiable);
    assertEquals(checked, !(kind in WITHOUT_GRADIENT), `${kind}: ${checked ? "is" : "is not"} checked`);
  }
});

Deno.test("operations without a gradient give none", () => {
  for (const kind of Object.keys(WITHOUT_GRADIENT) as OpKind[]) {
    for (const { inputs, trace } of CASES[kind]) {
      const sources = inputs.map(({ shape, dtype }, i) => input(`x${i}`, shape, dtype));
      const result = trace(...sources);
      if (result.op.kind !== kind) continue;
      const loss = sum(convert(result, "f32"));
      for (const gradient of gradients(loss, sources)) assertEquals(gradient.op.kind, "constant", kind);
    }
  }
});

for (const opCase of Object.values(CASES).flat().filter(differentiable)) {
  Deno.test(`the gradient is the slope: ${opCase.name}`, async () => {
    const graph = traced(opCase);
    const results = await run(engine, graph.outputs, graph.values);
    for (const [i, { dtype }] of opCase.inputs.entries()) {
      if (!isFloat(dtype)) continue;
      const gradient = results.get(`gradient of x${i}`)!;
      const expected = await slopes(graph, `x${i}`);
      assertEquals(gradient.length, expected.length);
      gradient.forEach((number, at) =>
        assertAlmostEquals(number, expected[at]!, 2e-8 * Math.max(1, Math.abs(number)), `x${i}[${at}]`)
      );
    }
  });
}

/** The gradient of `sum(trace(x))` at `numbers`. */
async function gradientAt(numbers: number[], trace: (x: Tensor) => Tensor): Promise<number[]> {
  const x = input("x", [numbers.length]);
  const [gradient] = gradients(sum(trace(x)), [x]);
  const values = { x: { shape: x.shape, dtype: x.dtype, numbers } };
  return (await run(engine, { gradient: gradient! }, values)).get("gradient")!;
}

Deno.test("elements that tie for the maximum share its gradient", async () => {
  assertEquals(await gradientAt([5, 1, 5, 5], (x) => multiply(max(x), 6)), [2, 0, 2, 2]);
});

Deno.test("of equal operands maximum and minimum give the first one the gradient", async () => {
  assertEquals(await gradientAt([1, 2], (x) => maximum(x, stopGradient(x))), [1, 1]);
  assertEquals(await gradientAt([1, 2], (x) => maximum(stopGradient(x), x)), [0, 0]);
  assertEquals(await gradientAt([1, 2], (x) => minimum(x, stopGradient(x))), [1, 1]);
});

Deno.test("a custom gradient replaces the derivative of what it wraps", async () => {
  const trace = (x: Tensor) => customGradient([x], exp(x), (g) => [multiply(g, 7)]);
  assertEquals(await gradientAt([1, 2], (x) => multiply(trace(x), 2)), [14, 14]);
});

Deno.test("a custom gradient may give none", async () => {
  assertEquals(await gradientAt([1, 2], (x) => add(x, customGradient([x], exp(x), () => [null]))), [1, 1]);
});

Deno.test("a custom gradient of another shape, type or number is an error naming both", () => {
  const x = input("x", [2]);
  for (const wrong of [() => [constant(1, [3])], () => [constant(1, [2], "bf16")], () => []]) {
    assertThrows(() => gradients(sum(customGradient([x], exp(x), wrong)), [x]), TypeError, "for (f32[2]) gave (");
  }
});

Deno.test("no gradient passes stopGradient", async () => {
  assertEquals(await gradientAt([3, 4], (x) => multiply(x, stopGradient(x))), [3, 4]);
  assertEquals(await gradientAt([3, 4], stopGradient), [0, 0]);
});

Deno.test("no gradient passes integers and comparisons", async () => {
  assertEquals(await gradientAt([1.5, 2.5], (x) => multiply(x, convert(convert(x, "i32"), "f32"))), [1, 2]);
  assertEquals(await gradientAt([1.5, 2.5], (x) => select(compare(x, "less", 2), multiply(x, 3), 0)), [3, 0]);
});

Deno.test("a tensor the loss does not depend on gets zeros of its type", async () => {
  const x = input("x", [2]), other = input("other", [3], "bf16");
  const [gradient] = gradients(sum(x), [other]);
  assertEquals(String(gradient), "bf16[3]");
  assertEquals((await run(engine, { gradient: gradient! }, {})).get("gradient"), [0, 0, 0]);
});

Deno.test("gradients reach tensors in the middle of the graph", async () => {
  const x = input("x", [2]), middle = multiply(x, 3);
  const [gradient] = gradients(sum(multiply(middle, middle)), [middle]);
  const values = { x: { shape: [2], dtype: "f32" as const, numbers: [1, 2] } };
  assertEquals((await run(engine, { gradient: gradient! }, values)).get("gradient"), [6, 12]);
});

Deno.test("gradients of gradients are right: the second derivative of x^3 is 6x", async () => {
  const cube = (x: Tensor) => multiply(x, multiply(x, x));
  const second = (x: Tensor) => gradients(sum(cube(x)), [x])[0]!;
  assertEquals(await gradientAt([1, 2], second), [6, 12]);
});

Deno.test("gradients have their target's type where types are mixed", () => {
  const low = input("low", [2, 2], "bf16"), full = input("full", [2, 2]);
  const loss = sum(multiply(convert(low, "f32"), full));
  assertEquals(gradients(loss, [low, full]).map(String), ["bf16[2, 2]", "f32[2, 2]"]);
});

Deno.test("a loss that is not a float scalar is an error naming it", () => {
  const x = input("x", [2]);
  assertThrows(() => gradients(x, [x]), TypeError, "Gradients need a scalar loss, found f32[2]");
  assertThrows(() => gradients(constant(1, [], "i32"), []), TypeError, "found i32[]");
});
