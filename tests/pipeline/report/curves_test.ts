/** Curves out of metrics: names, thinning by means, the losses at the end. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import type { Metric } from "../../../pipeline/metrics.ts";
import { curvesOf, formatLoss, lossesAtEnd, thin, trainedStages } from "../../../pipeline/report/curves.ts";

const metric = (step: number, more: Partial<Metric> = {}): Metric => ({
  stage: "pretrain",
  step,
  epoch: 0,
  loss: step,
  lr: 0.5,
  ...more,
});

Deno.test("every number of a stage is a curve, losses first, and loss is called total", () => {
  const metrics = [
    metric(1, { stage: "finetune" }),
    metric(1, { mfu: 0.3, generation: 3, pixel: 1, total: 9 }),
    metric(2, { generation: 4 }),
  ];
  assertEquals(trainedStages(metrics), ["finetune", "pretrain"]);
  assertEquals(curvesOf(metrics, "pretrain"), [
    { name: "total", points: [{ step: 1, value: 1 }, { step: 2, value: 2 }], notFinite: 0 },
    { name: "pixel", points: [{ step: 1, value: 1 }], notFinite: 0 },
    { name: "generation", points: [{ step: 1, value: 3 }, { step: 2, value: 4 }], notFinite: 0 },
    { name: "lr", points: [{ step: 1, value: 0.5 }, { step: 2, value: 0.5 }], notFinite: 0 },
    { name: "mfu", points: [{ step: 1, value: 0.3 }], notFinite: 0 },
  ]);
});

Deno.test("values that are not finite are counted, spelled out or not", () => {
  const metrics = [metric(1, { gradNorm: NaN }), { ...metric(2), gradNorm: "Infinity" as unknown as number }];
  assertEquals(curvesOf(metrics, "pretrain").at(-1), { name: "gradNorm", points: [], notFinite: 2 });
});

Deno.test("a long curve is thinned to means of equal stretches, a short one stays", () => {
  const points = Array.from({ length: 1000 }, (_, i) => ({ step: i + 1, value: i % 2 }));
  const thinned = thin(points, 100);
  assertEquals(thinned.length, 100);
  assertEquals(thinned[0], { step: 5.5, value: 0.5 });
  assert(thinned.every(({ value }) => Math.abs(value - 0.5) <= 0.5 / 9));
  assertEquals(thin([{ step: 2, value: 1 }, { step: 1, value: 0 }], 2), [{ step: 1, value: 0 }, { step: 2, value: 1 }]);
});

Deno.test("a spike is not lost by thinning", () => {
  const points = Array.from({ length: 5000 }, (_, i) => ({ step: i + 1, value: i === 2500 ? 1000 : 0 }));
  assertAlmostEquals(Math.max(...thin(points).map(({ value }) => value)), 100, 10);
});

Deno.test("the losses at the end are means over the last epoch", () => {
  const metrics = [metric(1, { pixel: 5 }), metric(2, { epoch: 1, pixel: 3 }), metric(3, { epoch: 1, pixel: 4 })];
  assertEquals(lossesAtEnd(metrics, "pretrain"), {
    stage: "pretrain",
    step: 3,
    over: 2,
    losses: { total: 2.5, pixel: 3.5 },
  });
  assertEquals(lossesAtEnd(metrics, "finetune"), undefined);
});

Deno.test("a loss that was not finite at the end is told as such", () => {
  const end = lossesAtEnd([metric(1), metric(2, { loss: NaN })], "pretrain");
  assertEquals([end?.losses["total"], formatLoss(end?.losses["total"] ?? 0)], [NaN, "not finite"]);
  assertEquals([0.622843, 12345.6, 1, 2e-9].map(formatLoss), ["0.6228", "12350", "1", "2e-9"]);
});
