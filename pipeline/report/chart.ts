/**
 * Charts as SVG text, drawn by Vega when the page is written. Colours are variables of the page's style sheet, so that
 * charts follow light and dark; titles and legends are text of the page, where they can be read aloud and wrapped.
 */
import type { TopLevelSpec } from "vega-lite";
import { Html, html } from "./html.ts";
import { printable } from "./printable.ts";

/** A curve of a chart. */
export interface Series {
  name: string;
  /** A CSS colour, such as "var(--pixel)". */
  colour: string;
  points: readonly { step: number; value: number }[];
}

/** How the values of a chart are drawn. */
export interface ValueAxis {
  /** A d3 number format. */
  format: string;
  /** Whether the axis begins at 0. */
  zero: boolean;
  /** Equal factors get equal lengths; all values must be above 0. */
  logarithmic?: boolean;
  /** The axis reaches to this at least, so that small numbers look small. */
  atLeast?: number;
}

/** A share with its uncertainty. */
export interface Estimate {
  name: string;
  share: number;
  standardError: number;
}

/** Curves over training steps. */
export function lineChart(description: string, series: readonly Series[], axis: ValueAxis): Promise<Html> {
  const values = series.flatMap(({ name, points }) => points.map((point) => ({ ...point, name: printable(name) })));
  const isShort = series.every(({ points }) => points.length < 30);
  return draw({
    ...SIZE,
    description,
    data: { values },
    mark: { type: "line", strokeWidth: 1.6, ...(isShort ? { point: { filled: true, size: 16 } } : {}) },
    encoding: {
      x: {
        field: "step",
        type: "quantitative",
        title: "step",
        scale: { zero: false, nice: false },
        axis: { format: ",d", tickMinStep: 1, tickCount: 4, grid: false },
      },
      y: {
        field: "value",
        type: "quantitative",
        title: null,
        scale: axis.logarithmic ? { type: "log", nice: false } : { zero: axis.zero, ...reach(values, axis.atLeast) },
        axis: { format: axis.format, tickCount: 5, domain: false, ticks: false },
      },
      color: {
        field: "name",
        type: "nominal",
        legend: null,
        scale: { domain: series.map(({ name }) => printable(name)), range: series.map(({ colour }) => colour) },
      },
    },
  });
}

function reach(values: readonly { value: number }[], atLeast: number | undefined): { domainMax?: number } {
  return atLeast === undefined || values.some(({ value }) => value > atLeast) ? {} : { domainMax: atLeast };
}

/** Shares as points with two standard errors to either side, and a dashed line where guessing is. */
export function shareChart(description: string, estimates: readonly Estimate[], chance: number): Promise<Html> {
  const values = estimates.map(({ name, share, standardError }) => ({
    name: printable(name),
    share,
    low: Math.max(0, share - 2 * standardError),
    high: Math.min(1, share + 2 * standardError),
  }));
  const y = {
    field: "name",
    type: "nominal" as const,
    title: null,
    sort: null,
    // Names of two parts, such as "student, linear probe", are two lines, which leaves room for the shares.
    axis: {
      labelExpr: "split(datum.label, ', ')",
      labelLimit: 260,
      domain: false,
      ticks: false,
      grid: false,
      labelPadding: 8,
    },
  };
  const x = { type: "quantitative" as const, scale: { domain: [0, 1] } };
  return draw({
    ...SIZE,
    width: 400,
    height: 44 + 34 * estimates.length,
    description,
    data: { values },
    layer: [
      {
        data: { values: [{ chance }] },
        mark: { type: "rule", strokeDash: [4, 3], color: "var(--muted)", strokeWidth: 1.2 },
        encoding: { x: { ...x, field: "chance", title: null } },
      },
      {
        mark: { type: "rule", strokeWidth: 2, color: "var(--accent)" },
        encoding: {
          y,
          x: { ...x, field: "low", title: null, axis: { format: ".0%", tickCount: 5 } },
          x2: { field: "high" },
        },
      },
      {
        mark: { type: "point", filled: true, size: 70, color: "var(--accent)", opacity: 1 },
        encoding: { y, x: { ...x, field: "share" } },
      },
    ],
  });
}

const SIZE = { width: 380, height: 210, autosize: { type: "fit", contains: "padding" } } as const;

async function draw(spec: TopLevelSpec): Promise<Html> {
  // Loaded here, since only a report needs it and it takes half a second.
  const [vega, { compile }] = await Promise.all([import("vega"), import("vega-lite")]);
  const { description = "", ...rest } = spec;
  const view = new vega.View(vega.parse(compile({ ...rest, config: CONFIG }).spec), { renderer: "none" });
  try {
    const svg = await view.description(String(description)).toSVG();
    // The page scales the picture by its view box.
    return new Html(svg.replace(/^<svg[^>]*? viewBox="([^"]*)"[^>]*>/, (_, box) => svgStart(box, String(description))));
  } finally {
    view.finalize();
  }
}

function svgStart(viewBox: string, description: string): string {
  const attributes = html`viewBox="${viewBox}" role="img" aria-label="${description}"`.markup;
  return `<svg xmlns="http://www.w3.org/2000/svg" class="chart" ${attributes}>`;
}

const CONFIG = {
  background: "transparent",
  font: "inherit",
  aria: false,
  padding: 2,
  view: { stroke: null },
  axis: {
    labelColor: "var(--muted)",
    titleColor: "var(--muted)",
    gridColor: "var(--line)",
    domainColor: "var(--line)",
    tickColor: "var(--line)",
    labelFontSize: 11,
    titleFontSize: 11,
    titleFontWeight: "normal" as const,
    tickSize: 4,
  },
};
