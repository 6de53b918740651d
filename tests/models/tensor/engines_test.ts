/**
 * The engines, held to the reference engine operation by operation, derivatives included.
 *
 * Tolerances are relative to the largest number of a result, absolute below 1: 2e-6 (16 steps of float32) where all is
 * float32; one step of the type where 16-bit floats are involved, since engines round between operations or not.
 */
import { assertAlmostEquals, assertEquals } from "@std/assert";
import type { Engine } from "../../../models/runtime/engine.ts";
import { type DType, erf, layerNorm, matmul, multiply, softmax, sum, type Tensor } from "../../../models/tensor/mod.ts";
import { optimizingXlaEngine, referenceEngine, tfjsEngine } from "../_engines.ts";
import { CASES, type OpCase } from "./_cases.ts";
import { run, traced } from "./_run.ts";

const TOLERANCE: Readonly<Partial<Record<DType, number>>> = { f16: 2 ** -10, bf16: 2 ** -7 };

/** The coarsest type on the way decides. */
function toleranceOf(outputs: Readonly<Record<string, Tensor>>, { inputs }: OpCase): number {
  const types = [...Object.values(outputs), ...inputs].map(({ dtype }) => dtype);
  return Math.max(2e-6, ...types.map((dtype) => TOLERANCE[dtype] ?? 0));
}

/** Runs cases as one program, which compiles quicker than one each, on the engine and on the reference. */
async function compareCases(t: Deno.TestContext, engine: Engine, cases: readonly OpCase[]): Promise<void> {
  const parts = cases.map((opCase, i) => traced(opCase, `${i} `));
  const outputs = Object.assign({}, ...parts.map((part) => part.outputs));
  const values = Object.assign({}, ...parts.map((part) => part.values));
  const expected = await run(referenceEngine(), outputs, values);
  const found = await run(engine, outputs, values);
  for (const [i, opCase] of cases.entries()) {
    await t.step(opCase.name, () => {
      const tolerance = toleranceOf(parts[i]!.outputs, opCase);
      // The loss is a sum that may cancel: only results and gradients have a scale to be compared at.
      for (const name of Object.keys(parts[i]!.outputs).filter((name) => !name.endsWith("loss"))) {
        assertClose(found.get(name)!, expected.get(name)!, tolerance, name);
      }
    });
  }
}

function assertClose(found: readonly number[], expected: readonly number[], tolerance: number, name: string): void {
  assertEquals(found.length, expected.length, name);
  const scale = expected.reduce((largest, number) => Math.max(largest, Math.abs(number)), 1);
  found.forEach((number, i) => assertAlmostEquals(number, expected[i]!, tolerance * scale, `${name}[${i}]`));
}

/** Larger cases, where engines take other paths: split products, long sums. Numbers are uneven but small. */
const LARGE: readonly OpCase[] = [
  large("product of two matrices", [[70, 90], [110, 90]], (a, b) => matmul(a, b, { transposeB: true })),
  large("products over two axes", [[2, 3, 40, 64], [2, 3, 64, 40]], (a, b) => matmul(a, b)),
  large(
    "products with both sides transposed",
    [[3, 64, 40], [3, 44, 64]],
    (a, b) => matmul(a, b, { transposeA: true, transposeB: true }),
  ),
  large("long sum", [[40, 500]], (x) => sum(multiply(x, x))),
  large("wide softmax", [[30, 160]], (x) => softmax(multiply(x, 8))),
  large("wide layer norm", [[30, 384], [384], [384]], (x, scale, shift) => layerNorm(x, scale, shift, 1e-6)),
  large("erf between -4 and 4", [[1000]], (x) => erf(multiply(x, 4))),
];

function large(name: string, shapes: number[][], trace: (...inputs: Tensor[]) => Tensor): OpCase {
  const inputs = shapes.map((shape, which) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const numbers = Array.from({ length: size }, (_, i) => Math.fround(Math.sin(12.9898 * (i + 1) + which)));
    return { shape, dtype: "f32" as const, numbers };
  });
  return { name, inputs, trace, expected: [] };
}

async function agreement(t: Deno.TestContext, engine: Engine): Promise<void> {
  for (const cases of [...Object.values(CASES), LARGE]) await compareCases(t, engine, cases);
}

Deno.test("TensorFlow.js agrees with the reference on every operation and its derivative", async (t) => {
  await agreement(t, await tfjsEngine());
});

Deno.test("XLA agrees with the reference on every operation and its derivative", async (t) => {
  const engine = await optimizingXlaEngine();
  if (engine) await agreement(t, engine);
});
