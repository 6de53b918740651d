/** Where numbers stop being finite: the first tensor in the order of computing, in words that lead to the place. */
import { assertEquals, assertThrows } from "@std/assert";
import {
  add,
  describeTensor,
  divide,
  finiteWatch,
  input,
  log,
  matmul,
  program,
  subtract,
  sum,
} from "../../../models/tensor/mod.ts";
import { runOnce } from "../../golden/_run.ts";
import { referenceEngine, tfjsEngine, xlaEngine } from "../_engines.ts";

const x = input("x", [2, 2]), weight = input("parameter/head.weight", [2, 2]);
const product = matmul(x, weight);
const loss = sum(divide(log(product), subtract(sum(x, [1], { keepAxes: true }), 3)));
const watched = program("step", { loss, other: add(product, 1) }, { batch: [x] });

for (
  const [name, open] of [["the reference", referenceEngine], ["TensorFlow.js", tfjsEngine], ["XLA", xlaEngine]] as const
) {
  Deno.test(`the first tensor that is not finite is found, on ${name}`, async () => {
    const engine = await open();
    if (engine === undefined) return;
    const first = async (numbers: number[], weights: number[]) => {
      const watch = finiteWatch(watched, "loss");
      const found = await runOnce(engine, watch.program, new Map([["x", numbers], ["parameter/head.weight", weights]]));
      const at = Array.from(found.get("bad")!).findIndex((bad) => bad !== 0);
      return at < 0 ? null : describeTensor(watch.tensors[at]!);
    };
    const one = [1, 0, 0, 1];
    assertEquals(await first([1, 1, 2, 2], one), null);
    assertEquals(await first([1, NaN, 2, 2], one), "the input x, f32[2, 2]");
    assertEquals(await first([1, 1, 2, 2], [1, Infinity, 0, 1]), "the input parameter/head.weight, f32[2, 2]");
    // 1e30 x 1e30 does not fit; log(0) does not exist; 1 + 2 - 3 divides.
    const near = "made from parameter/head.weight";
    assertEquals(await first([1e30, 1, 2, 2], [1e30, 0, 0, 1]), `a matmul, f32[2, 2], ${near}`);
    assertEquals(await first([1, 0, 2, 2], one), `a log, f32[2, 2], ${near}`);
    assertEquals(await first([1, 2, 2, 2], one), `a divide, f32[2, 2], ${near}`);
  });
}

Deno.test("batch inputs stay batch inputs, and an output that is not there is an error", () => {
  assertEquals([...finiteWatch(watched, "loss").program.batch], ["x"]);
  assertThrows(() => finiteWatch(watched, "lost"), TypeError, "Program step has no output lost");
});
