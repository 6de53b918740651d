/** From logits to hits, with numbers that can be checked by hand. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { ClipTally, judge, softmax, ViewMean } from "../../../pipeline/stages/clip_scores.ts";

Deno.test("softmax is shares of powers, however large the logits", () => {
  assertEquals([...softmax([Math.log(1), Math.log(3)])].map((share) => share.toFixed(12)), [
    "0.250000000000",
    "0.750000000000",
  ]);
  assertEquals([...softmax([1000, 1000])], [0.5, 0.5]);
  assertEquals([...softmax(Float32Array.of(0, -2000))], [1, 0]);
});

Deno.test("views are averaged after softmax, which can decide otherwise than the mean of logits", () => {
  const views = new ViewMean(2, 3);
  // Two views are for class 1, and one so much for class 0 that the mean of logits would be as well.
  const logits = [[4, 0], [0, 1.6], [0, 1.6]];
  assert(logits.reduce((sum, [a, b]) => sum + a! - b!, 0) > 0);
  assertEquals(views.add(logits[0]!), undefined);
  assertEquals(views.add(logits[1]!), undefined);
  const mean = views.add(logits[2]!)!;
  const share = (x: number) => 1 / (1 + Math.exp(-x));
  assertAlmostEquals(mean[0]!, (share(4) + 2 * share(-1.6)) / 3, 1e-12);
  assertEquals(judge(mean, 1), {
    prediction: 1,
    probability: mean[1]!,
    labelProbability: mean[1]!,
    best: [1, 0],
    top1: true,
    top5: true,
  });
});

Deno.test("one clip's views have no part in the next one's", () => {
  const views = new ViewMean(2, 2);
  const first = [[5, 0], [5, 0]].map((view) => views.add(view)).at(-1)!;
  const second = [[0, 5], [0, 5]].map((view) => views.add(view)).at(-1)!;
  assertEquals([...second], [...first].reverse());
});

Deno.test("a tie is no hit, and the clip is taken for the other class", () => {
  const tied = Float64Array.of(0.4, 0.4, 0.2);
  assertEquals(judge(tied, 0), {
    prediction: 1,
    probability: 0.4,
    labelProbability: 0.4,
    best: [1, 0, 2],
    top1: false,
    top5: true,
  });
  assertEquals(judge(tied, 1).prediction, 0);
  assertEquals(judge(tied, 2).prediction, 0);
  // Six equal ones: the clip's own cannot be said to be among five.
  assertEquals(judge(new Float64Array(6).fill(1 / 6), 3).top5, false);
  assertEquals(judge(new Float64Array(5).fill(1 / 5), 3).top5, true);
});

Deno.test("the fifth is within the top five, the sixth is not", () => {
  const shares = Float64Array.of(0.3, 0.25, 0.2, 0.1, 0.08, 0.07);
  assertEquals([0, 4, 5].map((label) => judge(shares, label)).map(({ top1, top5 }) => [top1, top5]), [
    [true, true],
    [false, true],
    [false, false],
  ]);
  assertEquals(judge(shares, 5).best, [0, 1, 2, 3, 4]);
  assertEquals(judge(shares, 5).labelProbability, 0.07);
});

Deno.test("a view that is no number fails its clip, whatever the others say", () => {
  for (const broken of [[NaN, 1], [Infinity, 0], [Infinity, Infinity]]) {
    const views = new ViewMean(2, 2);
    views.add([9, 0]);
    const { prediction, best, top1, top5 } = judge(views.add(broken)!, 0);
    assertEquals([prediction, best, top1, top5], [undefined, [], false, false], String(broken));
  }
});

Deno.test("clips are counted by class, failed ones too", () => {
  const tally = new ClipTally(3);
  tally.add(0, judge(Float64Array.of(0.9, 0.1, 0), 0));
  tally.add(0, judge(Float64Array.of(0.1, 0.9, 0), 0));
  tally.add(1, judge(Float64Array.of(NaN, NaN, NaN), 1));
  assertEquals(tally.confusion, [[1, 1, 0], [0, 0, 0], [0, 0, 0]]);
  assertEquals([tally.top1, tally.top5], [1 / 3, 2 / 3]);
  assertEquals(tally.perClass(["up", "down", "still"]), [
    ["up", 2, "0.5000", "1.0000"],
    ["down", 1, "0.0000", "0.0000"],
    ["still", 0, "", ""],
  ]);
});
