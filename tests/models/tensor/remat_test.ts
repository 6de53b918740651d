import { assertEquals } from "@std/assert";
import {
  add,
  exp,
  gradients,
  input,
  multiply,
  remat,
  sum,
  type Tensor,
  topologicalOrder,
} from "../../../models/tensor/mod.ts";
import { referenceEngine, tfjsEngine, xlaEngine } from "../_engines.ts";
import { run, type traced } from "./_run.ts";

const x = input("x", [2]), weight = input("weight", [2]);
const values: ReturnType<typeof traced>["values"] = {
  x: { shape: [2], dtype: "f32", numbers: [0.5, -1] },
  weight: { shape: [2], dtype: "f32", numbers: [0.25, 2] },
};

/** The loss of some layers that share one weight, and its gradients. */
function graph(again: boolean): Record<string, Tensor> {
  const layer = (from: Tensor) => exp(multiply(from, weight));
  const through = (from: Tensor) => again ? remat(layer, from) : layer(from);
  const loss = sum(through(add(through(x), weight)));
  const [byX, byWeight] = gradients(loss, [x, weight]);
  return { loss, byX: byX!, byWeight: byWeight! };
}

Deno.test("recomputed parts have the gradients of those that are kept, also where they share a weight", async () => {
  const expected = await run(referenceEngine(), graph(false), values);
  assertEquals(await run(referenceEngine(), graph(true), values), expected);
});

Deno.test("engines compute recomputed parts as those that are kept, bit for bit", async () => {
  for (const engine of [await tfjsEngine(), await xlaEngine()]) {
    if (engine) assertEquals(await run(engine, graph(true), values), await run(engine, graph(false), values));
  }
});

Deno.test("the way back reads the input of a recomputed part and nothing inside it", () => {
  const inside: Tensor[] = [];
  const loss = sum(remat((from) => {
    inside.push(exp(from));
    return multiply(inside.at(-1)!, inside.at(-1)!);
  }, x));
  const needed = new Set(topologicalOrder(gradients(loss, [x])));
  assertEquals(inside.map((tensor) => needed.has(tensor)), [false, true]);
});
