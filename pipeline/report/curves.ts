/** Curves out of metrics.jsonl: one for each number of each training stage, thinned by means so that nothing is hidden. */
import type { Metric } from "../metrics.ts";
import type { FinalLosses } from "./report_data.ts";

/** A point of a curve. */
export interface Point {
  step: number;
  value: number;
}

/** One number of a stage over its steps. */
export interface Curve {
  /** Name in metrics.jsonl, but "total" for "loss". */
  name: string;
  points: readonly Point[];
  /** Steps whose value was not finite; they are not among the points. */
  notFinite: number;
}

/** The loss terms, in the order of legends and tables. */
export const LOSSES: readonly string[] = ["total", "pixel", "direct", "generation"];

const NO_CURVES = new Set(["stage", "step", "epoch"]);

/** The stages with metrics, in the order in which they came. */
export function trainedStages(metrics: readonly Metric[]): string[] {
  return [...new Set(metrics.map(({ stage }) => stage))];
}

/** All curves of a stage: the losses first, the others in the order in which they came. */
export function curvesOf(metrics: readonly Metric[], stage: string): Curve[] {
  const curves = new Map<string, { points: Point[]; notFinite: number }>(
    LOSSES.map((name) => [name, { points: [], notFinite: 0 }]),
  );
  for (const metric of metrics) {
    if (metric.stage !== stage) continue;
    for (const [key, written] of Object.entries(metric)) {
      if (NO_CURVES.has(key) || key === "total" || written === undefined) continue;
      const name = key === "loss" ? "total" : key;
      const curve = curves.get(name) ?? { points: [], notFinite: 0 };
      curves.set(name, curve);
      // JSON has no NaN and no infinity; metrics.jsonl spells them out.
      const value = Number(written);
      if (Number.isFinite(value)) curve.points.push({ step: metric.step, value });
      else curve.notFinite++;
    }
  }
  return [...curves].map(([name, curve]) => ({ name, ...curve }))
    .filter(({ points, notFinite }) => points.length + notFinite > 0);
}

/**
 * Thins a long curve: steps in bins of equal length, each point the mean of a bin.
 *
 * @param points In any order.
 * @param most Points kept at most.
 */
export function thin(points: readonly Point[], most = 500): Point[] {
  if (points.length <= most) return points.toSorted((a, b) => a.step - b.step);
  const sorted = points.toSorted((a, b) => a.step - b.step);
  const [first, last] = [sorted[0]?.step ?? 0, sorted.at(-1)?.step ?? 0];
  const bins = Map.groupBy(
    sorted,
    ({ step }) => Math.min(most - 1, Math.floor((step - first) / (last - first) * most)),
  );
  return [...bins.values()].map((bin) => ({
    step: mean(bin.map(({ step }) => step)),
    value: mean(bin.map(({ value }) => value)),
  }));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/**
 * The losses at the end of a training: means over the lines of its last epoch, since single steps jump about.
 *
 * @returns Undefined if the stage has no metrics.
 */
export function lossesAtEnd(metrics: readonly Metric[], stage: string): FinalLosses | undefined {
  const lines = metrics.filter((metric) => metric.stage === stage);
  const last = lines.at(-1);
  if (!last) return undefined;
  const end = lines.filter(({ epoch }) => epoch === last.epoch);
  const losses = curvesOf(end, stage).filter(({ name }) => LOSSES.includes(name))
    .map(({ name, points, notFinite }) => [name, notFinite > 0 ? NaN : mean(points.map(({ value }) => value))]);
  return { stage, step: last.step, over: end.length, losses: Object.fromEntries(losses) };
}

/** A loss with four digits; "not finite" for what is no number. */
export function formatLoss(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(4))) : "not finite";
}
