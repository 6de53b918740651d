/** Means, spreads and what is made of them, by hand. */
import { assertAlmostEquals, assertEquals } from "@std/assert";
import {
  armRows,
  type ArmRun,
  difference,
  differenceLine,
  markdownTable,
  spread,
} from "../../bench/_evidence_table.ts";

const run = (arm: string, seed: number, top1: number, pretrainSeconds: number | null = null): ArmRun => {
  return { arm, seed, top1, linear: top1 / 2, knn: top1 / 4, pretrainSeconds, teachSeconds: null };
};

Deno.test("the spread is the deviation of a sample, and none of one value", () => {
  assertEquals(spread([1, 2, 3]), { mean: 2, deviation: 1 });
  assertEquals(spread([4]), { mean: 4, deviation: 0 });
});

Deno.test("a table has a row for each arm in the order of the runs, per cent with spreads, seconds where there are some", () => {
  const runs = [run("scratch", 0, 0.6), run("AMD", 0, 0.8, 100), run("scratch", 1, 0.62), run("AMD", 1, 0.8, 120)];
  assertEquals(markdownTable(armRows(runs)).split("\n"), [
    "|  | seeds | fine-tuned top-1, % | linear, % | kNN, % | pre-training, s | teacher's features, s |",
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    "| scratch | 2 | 61.0 ± 1.4 | 30.5 ± 0.7 | 15.3 ± 0.4 | – | – |",
    "| AMD | 2 | 80.0 ± 0.0 | 40.0 ± 0.0 | 20.0 ± 0.0 | 110 | – |",
  ]);
});

Deno.test("arms are compared seed by seed, which takes out what a seed does to both", () => {
  const runs = [0.5, 0.7, 0.6].flatMap((
    top1,
    seed,
  ) => [run("a", seed, top1), run("b", seed, top1 + 0.02 + seed / 1000)]);
  const found = difference([...runs, run("b", 7, 0)], "b", "a")!;
  assertAlmostEquals(found.mean, 0.021, 1e-12);
  assertAlmostEquals(found.deviation, 0.001, 1e-12);
  assertEquals([found.seeds, found.isBeyond], [3, true]);
  assertEquals(differenceLine("b", "a", found), "b less a: +2.1 ± 0.1 points over 3 seeds, beyond two standard errors");
  assertEquals(difference([run("a", 0, 0.5), run("b", 0, 0.6)], "a", "b")!.isBeyond, undefined);
  assertEquals(difference(runs, "a", "c"), undefined);
  // A difference of 1 point that goes up and down by 4.
  const noisy = [0.05, -0.03, 0.01].flatMap((by, seed) => [run("a", seed, 0.5), run("b", seed, 0.5 + by)]);
  assertEquals(difference(noisy, "b", "a")!.isBeyond, false);
});
