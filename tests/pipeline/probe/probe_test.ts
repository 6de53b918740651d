/** Probes on features that can be checked by hand. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { type ClipFeatures, isHit, standardized } from "../../../pipeline/probe/features.ts";
import { cholesky, solveLower, solveTransposed } from "../../../pipeline/probe/cholesky.ts";
import { minimize } from "../../../pipeline/probe/lbfgs.ts";
import { crossEntropy, fitLinearProbe, linearAccuracy } from "../../../pipeline/probe/linear_probe.ts";
import { neighbourAccuracy } from "../../../pipeline/probe/nearest_neighbours.ts";
import { uniforms } from "../../../pipeline/random.ts";

function clips(rows: readonly (readonly number[])[], labels: readonly number[]): ClipFeatures {
  return { values: Float32Array.from(rows.flat()), width: rows[0]!.length, labels: Int32Array.from(labels) };
}

/** `count` clips of 3 classes around 3 corners, with noise. */
function clouds(count: number, seed: number): ClipFeatures {
  const rows = Array.from({ length: count }, (_, i) => {
    return [...uniforms(3, seed, "cloud", i)].map((u, feature) => 1.6 * (u - 0.5) + (feature === i % 3 ? 1 : 0));
  });
  return clips(rows, rows.map((_, i) => i % 3));
}

Deno.test("features are scaled by the training clips alone, and constant ones become 0", () => {
  const scaled = standardized(
    clips([[1, 10, 7], [3, 30, 7]], [0, 1]),
    clips([[5, 20, 9]], [0]),
  );
  assertEquals([...scaled.train.values], [-1, -1, 0, 1, 1, 0]);
  assertEquals([...scaled.val.values], [3, 0, 0]);
  assertThrows(() => standardized(clips([[1]], []), clips([[1]], [0])), RangeError, "no labelled training clip");
});

Deno.test("ties and scores that are no numbers are no hits", () => {
  assertEquals([isHit([1, 2], 1), isHit([2, 2], 1), isHit([2, 2], 0), isHit([2, 1], 1)], [true, false, false, false]);
  assertEquals([isHit([NaN, 2], 1), isHit([1, NaN], 1), isHit([NaN, NaN], 0)], [false, false, false]);
});

Deno.test("one near neighbour outweighs two far ones, and only the nearest vote", async () => {
  // Angles of 10 degrees against 40: exp(0.985 / 0.07) is more than 20 times exp(0.766 / 0.07).
  const at = (degrees: number) => [Math.cos(degrees * Math.PI / 180), Math.sin(degrees * Math.PI / 180)];
  const train = clips([at(40), at(-40), at(10), at(90)], [0, 0, 1, 0]);
  const asked = (label: number) => clips([at(0)], [label]);
  assertEquals(await neighbourAccuracy(train, asked(1), 2), 1);
  assertEquals(await neighbourAccuracy(train, asked(0), 2), 0);
  const many = clips([...Array(60).fill(at(40)), at(10)], [...Array(60).fill(0), 1]);
  assertEquals(await neighbourAccuracy(many, asked(1), 2, { neighbours: 3 }), 1);
  assertEquals(await neighbourAccuracy(many, asked(1), 2, { neighbours: 60 }), 0);
});

Deno.test("the length of a feature vector says nothing to the neighbours, and a tied vote is no hit", async () => {
  const train = clips([[1, 0], [0, 100]], [0, 1]);
  assertEquals(await neighbourAccuracy(train, clips([[100, 1], [0.001, 0.1]], [0, 1]), 2), 1);
  const tied = clips([[1, 0], [1, 0]], [0, 1]);
  assertEquals(await neighbourAccuracy(tied, clips([[1, 0], [1, 0]], [0, 1]), 2), 0);
});

Deno.test("L-BFGS finds the bottom of an ill-conditioned bowl and of Rosenbrock's valley", async () => {
  const bowl = await minimize((point) => ({
    value: point.reduce((sum, x, i) => sum + 10 ** i * (x - i) ** 2 / 2, 0),
    gradient: point.map((x, i) => 10 ** i * (x - i)),
  }), new Float64Array(5).fill(9));
  bowl.forEach((x, i) => assertAlmostEquals(x, i, 2e-5));
  const valley = await minimize(([x, y]) => ({
    value: (1 - x!) ** 2 + 100 * (y! - x! * x!) ** 2,
    gradient: Float64Array.of(-2 * (1 - x!) - 400 * x! * (y! - x! * x!), 200 * (y! - x! * x!)),
  }), Float64Array.of(-1.2, 1));
  valley.forEach((x) => assertAlmostEquals(x, 1, 1e-5));
});

Deno.test("a Cholesky factor times itself is the matrix, and solves it", () => {
  const matrix = Float64Array.of(4, 2, 6, 2, 5, 5, 6, 5, 19);
  const lower = cholesky(matrix, 3);
  assertEquals([...lower], [2, 0, 0, 1, 2, 0, 3, 1, 3]);
  // The matrix times (1, 2, 3) is (26, 27, 73).
  const solution = Float64Array.of(26, 27, 73);
  solveLower(lower, solution);
  solveTransposed(lower, solution);
  assertEquals([...solution], [1, 2, 3]);
  assertThrows(() => cholesky(Float64Array.of(1, 2, 2, 1), 2), RangeError, "not positive definite");
});

Deno.test("the regression of two opposite clips solves l2 w = 1 / (1 + exp(2 w))", async () => {
  const weights = await fitLinearProbe(clips([[1], [-1]], [0, 1]), 2, { l2: 0.1 });
  const [w, b, w2, b2] = weights as unknown as [number, number, number, number];
  assertAlmostEquals(0.1 * w, 1 / (1 + Math.exp(2 * w)), 1e-5);
  assertAlmostEquals(w2, -w, 1e-9);
  assertAlmostEquals(b, b2, 1e-9);
});

Deno.test("the gradient is that of the loss, and vanishes where the regression ends", async () => {
  const train = clouds(30, 1);
  const random = Float64Array.from(uniforms(12, 2, "weights"), (u) => u - 0.5);
  const { gradient } = crossEntropy(train, 3, random, 0.5);
  random.forEach((_, i) => {
    const moved = (by: number) => crossEntropy(train, 3, random.map((w, k) => k === i ? w + by : w), 0.5).value;
    assertAlmostEquals(gradient[i]!, (moved(1e-5) - moved(-1e-5)) / 2e-5, 1e-8);
  });
  const weights = await fitLinearProbe(train, 3);
  assert(crossEntropy(train, 3, weights, 1e-3).gradient.every((entry) => Math.abs(entry) <= 1e-5));
  assertEquals(await fitLinearProbe(train, 3), weights);
});

Deno.test("both probes tell classes apart that are apart, and do not where labels are shuffled", async () => {
  const scaled = standardized(clouds(300, 1), clouds(150, 2));
  const linear = linearAccuracy(scaled.val, 3, await fitLinearProbe(scaled.train, 3));
  const near = await neighbourAccuracy(scaled.train, scaled.val, 3);
  assert(linear > 0.85 && near > 0.85, `${linear}, ${near}`);
  const shuffled = { ...scaled.train, labels: scaled.train.labels.map((_, i) => Math.floor(i / 100)) };
  const chance = linearAccuracy(scaled.val, 3, await fitLinearProbe(shuffled, 3));
  assert(chance < 0.5 && await neighbourAccuracy(shuffled, scaled.val, 3) < 0.5, `${chance}`);
});

Deno.test("a probe that is stopped throws what stopped it", async () => {
  const pause = () => {
    throw new DOMException("stop", "AbortError");
  };
  const stopped = [
    () => neighbourAccuracy(clouds(9, 1), clouds(3, 2), 3, { pause }),
    () => fitLinearProbe(clouds(9, 1), 3, { pause }),
  ];
  for (const work of stopped) {
    const error = await work().catch((reason) => reason);
    assert(error instanceof DOMException && error.message === "stop");
  }
});
