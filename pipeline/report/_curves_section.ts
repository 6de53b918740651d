/** The part of the report on the trainings: how the losses and everything else that was measured went, step by step. */
import type { Metric } from "../metrics.ts";
import { formatAmount, formatCount, formatDuration } from "../units.ts";
import { lineChart, type Series, type ValueAxis } from "./chart.ts";
import { type Curve, curvesOf, formatLoss, LOSSES, thin, trainedStages } from "./curves.ts";
import { type Html, html } from "./html.ts";
import type { FinalLosses, ProbePoint, RunSummary } from "./report_data.ts";

const STAGE_TITLES: Record<string, string> = {
  "train-teacher": "Training of the teacher (masked autoencoder)",
  pretrain: "Pre-training of the student",
  finetune: "Fine-tuning of the student",
  "finetune-student": "Fine-tuning of the student",
  "finetune-scratch": "Training from random weights",
  scratch: "Training from random weights",
};

/** A stage's name in words, with the name itself where it is not known. */
export function stageTitle(name: string): string {
  return STAGE_TITLES[name] ?? name;
}

interface CurveLook extends ValueAxis {
  title: string;
  colour: string;
}

const LOOKS: Record<string, CurveLook> = {
  total: { title: "Total loss", colour: "var(--total)", format: "~r", zero: false },
  pixel: { title: "Pixel loss", colour: "var(--pixel)", format: "~r", zero: false },
  direct: { title: "Direct alignment loss", colour: "var(--direct)", format: "~r", zero: false },
  generation: { title: "Generation alignment loss", colour: "var(--generation)", format: "~r", zero: false },
  accuracy: { title: "Accuracy on the training clips", colour: "var(--accent)", format: ".0%", zero: true },
  lr: { title: "Learning rate", colour: "var(--accent)", format: "~r", zero: true },
  gradNorm: { title: "Gradient norm before clipping", colour: "var(--accent)", format: "~r", zero: true },
  clipsPerSecond: { title: "Clips a second", colour: "var(--accent)", format: ",~r", zero: true },
  waitShare: {
    title: "Time spent waiting for data",
    colour: "var(--accent)",
    format: ".1~%",
    zero: true,
    atLeast: 0.1,
  },
};

function lookOf(name: string): CurveLook {
  return LOOKS[name] ?? { title: name, colour: "var(--accent)", format: "~r", zero: false };
}

/** All trainings of a run. */
export async function curvesSection(
  metrics: readonly Metric[],
  summary: RunSummary,
  probes: readonly ProbePoint[] = [],
): Promise<Html> {
  const stages = await Promise.all(
    trainedStages(metrics).map(async (stage) => {
      const curves = curvesOf(metrics, stage);
      const end = summary.losses.find((losses) => losses.stage === stage);
      const seconds = summary.stages.find(({ name }) => name === stage)?.seconds;
      return html`<h3>${stageTitle(stage)}</h3>
${endOf(end, seconds)}
<div class="panels">${await panels(curves, stageTitle(stage))}${
        stage === "pretrain" && probes.length > 0 && await probePanel(probes)
      }</div>`;
    }),
  );
  return html`<section id="training" aria-labelledby="training-h">
<h2 id="training-h">Training</h2>
${stages.length > 0 ? stages : html`<p>Nothing was trained.</p>`}
</section>`;
}

function endOf(end: FinalLosses | undefined, seconds: number | undefined): Html | undefined {
  if (!end) return undefined;
  const steps = `${formatAmount(end.step, "step")}${seconds === undefined ? "" : ` in ${formatDuration(seconds)}`}`;
  const losses = Object.entries(end.losses).map(([name, value], i) =>
    html`${i > 0 && ", "}${name} <b>${formatLoss(value)}</b>`
  );
  return html`<p class="end">${steps}. At the end (mean over the last ${
    formatAmount(end.over, "step")
  }): ${losses}.</p>`;
}

function panels(curves: readonly Curve[], training: string): Promise<Html[]> {
  const total = curves.find(({ name }) => name === "total");
  // A single term with weight 1 is the total: one curve of the two is enough.
  const shown = curves.filter((curve) => curve === total || !isSame(curve, total));
  const losses = shown.filter(({ name, points }) => LOSSES.includes(name) && points.length > 0);
  if (losses.length < 3) return Promise.all(shown.map((curve) => panel(curve, training)));
  const others = shown.filter((curve) => curve !== total || curve.notFinite > 0);
  return Promise.all([lossPanel(losses, training), ...others.map((curve) => panel(curve, training))]);
}

function isSame({ points }: Curve, other: Curve | undefined): boolean {
  return points.length === other?.points.length && points.every(({ value }, i) => value === other.points[i]?.value);
}

/** All losses in one chart, on a logarithmic scale where they are far apart. */
async function lossPanel(losses: readonly Curve[], training: string): Promise<Html> {
  const series = losses.map(({ name, points }): Series => ({
    name,
    colour: lookOf(name).colour,
    points: thin(points),
  }));
  const values = series.flatMap(({ points }) => points.map(({ value }) => value));
  const [low, high] = extent(values);
  const logarithmic = low > 0 && high > 10 * low;
  const description = `Losses of ${training} over steps: ${losses.map(course).join("; ")}`;
  return html`<figure class="panel">
<figcaption><b>All losses</b>${logarithmic && ", logarithmic scale"} ${legend(series)}</figcaption>
${await lineChart(description, series, { format: "~r", zero: false, logarithmic })}
</figure>`;
}

/** What the frozen features were worth on the way, both probes in one chart. */
async function probePanel(probes: readonly ProbePoint[]): Promise<Html> {
  const measures = [
    { name: "nearest neighbours", colour: "var(--direct)", of: ({ knn }: ProbePoint) => knn },
    { name: "linear", colour: "var(--generation)", of: ({ linear }: ProbePoint) => linear },
  ];
  const series = measures.map(({ name, colour, of }): Series => {
    const points = probes.map((probe) => ({ step: probe.step, value: of(probe) ?? NaN }));
    return { name, colour, points: thin(points.filter(({ value }) => Number.isFinite(value))) };
  }).filter(({ points }) => points.length > 0);
  const lost = probes.filter(({ knn }) => !Number.isFinite(knn)).length;
  const courses = series.map(({ name, points }) => course({ name, points, notFinite: 0 }));
  const chart = series.length > 0 &&
    await lineChart(`Probes of the student over steps: ${courses.join("; ")}`, series, { format: ".0%", zero: true });
  return html`<figure class="panel">
<figcaption><b>Validation clips that probes of the frozen features got right</b> ${legend(series)}${
    lost > 0 && html`<b class="bad">${formatAmount(lost, "probe")} not finite</b>`
  }</figcaption>
${chart || html`<p>Not one probe found finite features.</p>`}
</figure>`;
}

function legend(series: readonly Series[]): Html {
  const keys = series.map(({ name, colour }) =>
    html`
      <span
        class="key"><svg viewBox="0 0 16 6" aria-hidden="true"><path d="M0 3H16" stroke="${colour}" stroke-width="3"/></svg>${name}</span>
    `
  );
  return html`<span class="legend">${keys}</span>`;
}

async function panel(curve: Curve, training: string): Promise<Html> {
  const { title, colour, ...axis } = lookOf(curve.name);
  const lost = curve.notFinite > 0 &&
    html`
      <b class="bad">${formatAmount(curve.notFinite, "step")} not finite</b>
    `;
  const chart = curve.points.length > 0 &&
    await lineChart(`${title}, ${training}, over steps: ${course(curve)}`, [{
      name: title,
      colour,
      points: thin(curve.points),
    }], axis);
  return html`<figure class="panel">
<figcaption><b>${title}</b>${lost}</figcaption>
${chart || html`<p>Not one step has a finite value.</p>`}
</figure>`;
}

/** What a curve does, in words, for those who do not see it. */
function course({ name, points }: Curve): string {
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last) return `${name} has no values`;
  const [low, high] = extent(points.map(({ value }) => value));
  return `${name} goes from ${formatLoss(first.value)} at step ${formatCount(first.step)} to ${
    formatLoss(last.value)
  } at step ${formatCount(last.step)}, lowest ${formatLoss(low)}, highest ${formatLoss(high)}`;
}

function extent(values: readonly number[]): [number, number] {
  return values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
}
