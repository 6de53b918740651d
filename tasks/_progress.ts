/**
 * Progress for people: a bar that is redrawn in a terminal, a plain line now and then where the output goes to a file,
 * nothing with --quiet. The rate is that of the last half minute, so that the time left follows what happens.
 */
import { type Progress, type ProgressExtra, silentProgress, type StageProgress } from "../pipeline/progress.ts";
import { printable } from "../pipeline/report/printable.ts";
import { formatAmount, formatCount, formatDuration, formatRate, formatShare } from "../pipeline/units.ts";

/** What progress is written to. */
export interface ProgressOutput {
  write(text: string): void;
  /** Whether lines can be drawn over. */
  isTerminal: boolean;
  /** Width of the terminal, characters. */
  columns(): number;
}

/** Options of {@linkcode showProgress}. */
export interface ShowProgressOptions {
  quiet: boolean;
  /** @default the process's stderr, which leaves stdout to results */
  output?: ProgressOutput;
  /** Milliseconds that never run backwards. @default performance.now */
  clock?: () => number;
}

/** Progress that is shown, and lines printed beside it. */
export interface ShownProgress extends Progress {
  /** Calls `print` with the bar out of the way. */
  aside(print: () => void): void;
}

const REDRAW_MS = 100;
const PLAIN_LINE_MS = 10_000;
const RATE_WINDOW_MS = 30_000;
/** Readings closer than this are one; it bounds how many are kept. */
const READING_MS = 250;
const BAR = 12;
const ERASE_LINE = "\r\x1b[2K";

/** Progress for the process's own terminal, or for another output. */
export function showProgress(options: ShowProgressOptions): ShownProgress {
  if (options.quiet) return { ...silentProgress, aside: (print) => print() };
  const { output = standardError(), clock = () => performance.now() } = options;
  let live: ShownStage | undefined;
  return {
    begin: (stage, total, unit, { from = 0 } = {}) => {
      live?.[Symbol.dispose]();
      return live = new ShownStage({ stage, total, unit, from }, output, clock);
    },
    aside: (print) => live ? live.aside(print) : print(),
  };
}

interface StageAims {
  stage: string;
  total: number;
  unit: string;
  from: number;
}

class ShownStage implements StageProgress {
  readonly #start: number;
  readonly #rate: WindowRate;
  #done: number;
  #extra: ProgressExtra = {};
  #lastUpdate: number;
  #lastDrawn: number;
  #waitedMs = 0;
  #waitKnownMs = 0;
  #asideMs = 0;
  #ended = false;

  constructor(readonly aims: StageAims, readonly output: ProgressOutput, readonly clock: () => number) {
    this.#start = this.#lastUpdate = this.#lastDrawn = clock();
    this.#done = aims.from;
    this.#rate = new WindowRate(this.#start, aims.from);
    if (output.isTerminal) this.#draw();
    else output.write(`${aims.stage}: ${beginning(aims)}\n`);
  }

  update(done: number, extra: ProgressExtra = {}): void {
    if (this.#ended) return;
    const now = this.clock();
    const { waitShare, asideMs = 0 } = extra;
    if (waitShare !== undefined && Number.isFinite(waitShare)) {
      const spentMs = now - this.#lastUpdate - asideMs;
      this.#waitedMs += waitShare * spentMs;
      this.#waitKnownMs += spentMs;
    }
    this.#asideMs += asideMs;
    this.#lastUpdate = now;
    this.#done = done;
    this.#extra = extra;
    this.#rate.add(now - this.#asideMs, done);
    if (now - this.#lastDrawn < (this.output.isTerminal ? REDRAW_MS : PLAIN_LINE_MS)) return;
    this.#lastDrawn = now;
    if (this.output.isTerminal) this.#draw();
    else this.output.write(`${this.aims.stage}: ${this.#parts().join(", ")}\n`);
  }

  aside(print: () => void): void {
    const drawn = this.output.isTerminal && !this.#ended;
    if (drawn) this.output.write(ERASE_LINE);
    print();
    if (drawn) this.#draw();
  }

  [Symbol.dispose](): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.output.isTerminal) this.output.write(ERASE_LINE);
    this.output.write(`${this.aims.stage}: ${this.#ending()}\n`);
  }

  #draw(): void {
    const { stage, total } = this.aims;
    const share = total > 0 ? Math.min(1, this.#done / total) : 0;
    const bar = "█".repeat(Math.round(share * BAR)).padEnd(BAR, "░");
    const line = [stage.padEnd(13), ...(total > 0 ? [bar] : []), ...this.#parts()].join("  ");
    // One column stays free: a full line would wrap, and only half of it could be drawn over.
    this.output.write(ERASE_LINE + [...line].slice(0, Math.max(0, this.output.columns() - 1)).join(""));
  }

  #parts(): string[] {
    const { total, unit } = this.aims;
    const perSecond = this.#rate.perSecond;
    const known = perSecond > 0;
    const elapsed = (this.#lastUpdate - this.#start) / 1000;
    const { waitShare, note } = this.#extra;
    return [
      counted(this.#done, total, unit),
      ...(total > 0 ? [formatShare(this.#done / total)] : []),
      ...(known ? [formatRate(perSecond, unit, singular(unit))] : []),
      ...(known && total > 0 ? [`${formatDuration(Math.max(0, total - this.#done) / perSecond)} left`] : []),
      `${formatDuration(Math.round(elapsed))} so far`,
      ...(waitShare === undefined ? [] : [`data wait ${formatShare(waitShare)}`]),
      ...(note === undefined ? [] : [printable(note)]),
    ];
  }

  /** Means of the whole stage, this attempt alone. */
  #ending(): string {
    const { total, unit, from } = this.aims;
    const passedMs = this.clock() - this.#start, seconds = passedMs / 1000;
    const rate = 1000 * (this.#done - from) / (passedMs - this.#asideMs);
    return [
      `${counted(this.#done, total, unit)} in ${formatDuration(seconds)}`,
      ...(rate > 0 && Number.isFinite(rate) ? [formatRate(rate, unit, singular(unit))] : []),
      ...(this.#waitKnownMs > 0 ? [`data wait ${formatShare(this.#waitedMs / this.#waitKnownMs)}`] : []),
      ...(this.#extra.note === undefined ? [] : [printable(this.#extra.note)]),
    ].join(", ");
  }
}

function beginning({ total, unit, from }: StageAims): string {
  const amount = total > 0 ? formatAmount(total, singular(unit), unit) : unit;
  return from > 0 ? `${amount}, going on from ${formatCount(from)}` : amount;
}

function counted(done: number, total: number, unit: string): string {
  return total > 0 ? `${formatCount(done)}/${formatCount(total)} ${unit}` : formatAmount(done, singular(unit), unit);
}

function singular(unit: string): string {
  return unit.replace(/s$/, "");
}

/** Readings of the last half minute, and the one before them, so that slow steps have a rate too. */
class WindowRate {
  readonly #readings: { time: number; done: number }[];

  constructor(time: number, done: number) {
    this.#readings = [{ time, done }];
  }

  add(time: number, done: number): void {
    const readings = this.#readings;
    const before = readings.at(-2);
    if (before && time - before.time < READING_MS) readings.pop();
    readings.push({ time, done });
    while (readings.length > 2 && (readings[1]?.time ?? time) <= time - RATE_WINDOW_MS) readings.shift();
  }

  /** NaN before there are two readings. */
  get perSecond(): number {
    const [first, last] = [this.#readings[0], this.#readings.at(-1)];
    return first && last ? 1000 * (last.done - first.done) / (last.time - first.time) : NaN;
  }
}

function standardError(): ProgressOutput {
  const encoder = new TextEncoder();
  const isTerminal = Deno.stderr.isTerminal();
  return {
    isTerminal,
    write: (text) => void Deno.stderr.writeSync(encoder.encode(text)),
    columns: () => isTerminal ? Deno.consoleSize().columns : Infinity,
  };
}
