/** From the numbers of runs to a table with means and spreads, and to what they bear out. */

/** What one run of an arm came to. */
export interface ArmRun {
  readonly arm: string;
  readonly seed: number;
  /** Shares, 0 to 1. */
  readonly top1: number;
  readonly linear: number;
  readonly knn: number;
  /** Working time of pre-training, s; null where there is none. */
  readonly pretrainSeconds: number | null;
  /** Working time of the teacher's features, s; null where they are not cached. */
  readonly teachSeconds: number | null;
}

/** An arm over its seeds. */
export interface ArmRow {
  readonly arm: string;
  readonly seeds: readonly number[];
  readonly top1: Spread;
  readonly linear: Spread;
  readonly knn: Spread;
  readonly pretrainSeconds: Spread | null;
  readonly teachSeconds: Spread | null;
}

/** Mean, and standard deviation of the sample; 0 for one value. */
export interface Spread {
  readonly mean: number;
  readonly deviation: number;
}

/** Mean and spread of values. */
export function spread(values: readonly number[]): Spread {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : 0 };
}

/** One row an arm, in the order in which they first appear. */
export function armRows(runs: readonly ArmRun[]): ArmRow[] {
  return [...Map.groupBy(runs, ({ arm }) => arm)].map(([arm, of]) => ({
    arm,
    seeds: of.map(({ seed }) => seed),
    top1: spread(of.map(({ top1 }) => top1)),
    linear: spread(of.map(({ linear }) => linear)),
    knn: spread(of.map(({ knn }) => knn)),
    pretrainSeconds: secondsOf(of.map(({ pretrainSeconds }) => pretrainSeconds)),
    teachSeconds: secondsOf(of.map(({ teachSeconds }) => teachSeconds)),
  }));
}

function secondsOf(values: readonly (number | null)[]): Spread | null {
  const known = values.filter((value) => value !== null);
  return known.length > 0 ? spread(known) : null;
}

/** The rows as a table in Markdown; shares in per cent. */
export function markdownTable(rows: readonly ArmRow[]): string {
  const cells = rows.map(({ arm, seeds, top1, linear, knn, pretrainSeconds, teachSeconds }) => [
    arm,
    String(seeds.length),
    percent(top1),
    percent(linear),
    percent(knn),
    seconds(pretrainSeconds),
    seconds(teachSeconds),
  ]);
  const head = ["", "seeds", "fine-tuned top-1, %", "linear, %", "kNN, %", "pre-training, s", "teacher's features, s"];
  return [head, head.map((_, i) => i === 0 ? "---" : "---:"), ...cells].map((row) => `| ${row.join(" | ")} |`).join(
    "\n",
  );
}

function percent({ mean, deviation }: Spread): string {
  return `${(100 * mean).toFixed(1)} ± ${(100 * deviation).toFixed(1)}`;
}

function seconds(value: Spread | null): string {
  return value === null ? "–" : value.mean.toFixed(0);
}

/** A difference of two arms over the seeds that both have. */
export interface Difference extends Spread {
  readonly seeds: number;
  /** Whether the mean is beyond the spread: more than two standard errors from 0. Undefined with fewer than two seeds. */
  readonly isBeyond: boolean | undefined;
}

/** Top-1 of `first` less that of `second`, seed by seed, which takes out what a seed does to both. */
export function difference(runs: readonly ArmRun[], first: string, second: string): Difference | undefined {
  const of = (arm: string) => new Map(runs.filter((run) => run.arm === arm).map(({ seed, top1 }) => [seed, top1]));
  const others = of(second);
  const values = [...of(first)].flatMap(([seed, top1]) => others.has(seed) ? [top1 - others.get(seed)!] : []);
  if (values.length === 0) return undefined;
  const found = spread(values), error = found.deviation / Math.sqrt(values.length);
  return { ...found, seeds: values.length, isBeyond: values.length > 1 ? Math.abs(found.mean) > 2 * error : undefined };
}

/** A difference in words. */
export function differenceLine(first: string, second: string, found: Difference): string {
  const points = (share: number) => (100 * share).toFixed(1);
  const verdict = found.isBeyond === undefined
    ? "one seed says nothing of the spread"
    : found.isBeyond
    ? "beyond two standard errors"
    : "within two standard errors";
  return `${first} less ${second}: ${found.mean >= 0 ? "+" : ""}${points(found.mean)} ± ${
    points(found.deviation)
  } points ` +
    `over ${found.seeds} seed${found.seeds === 1 ? "" : "s"}, ${verdict}`;
}
