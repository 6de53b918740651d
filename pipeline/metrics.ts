/**
 * `metrics.jsonl`: one JSON line a step, appended as the run goes. A run that died leaves lines behind its last
 * checkpoint and maybe half a line; opening the file for a resumed stage cuts them off, so that a curve holds every
 * step once. Lines of other stages stay. The numbers of a step that is run again are the same bits by exact resume.
 */
import fs from "node:fs";
import { orDiskFull } from "./shards/_full_disk.ts";
import { errorCode, writeFileAtomically } from "./shards/_publish.ts";

/** One step. Losses not named here may be added under their own names. */
export interface Metric {
  stage: string;
  /** Optimiser steps done in this stage, this one included: 1 is the first. */
  step: number;
  /** Epoch of the step, from 0. */
  epoch: number;
  loss: number;
  lr: number;
  /** Global L2 norm before clipping. */
  gradNorm?: number;
  clipsPerSecond?: number;
  /** Share of the step's time spent waiting for data, 0 to 1. */
  waitShare?: number;
  /** Loss terms and other numbers. JSON has no NaN or infinity: they are written as text, "NaN", "Infinity". */
  [name: string]: number | string | undefined;
}

/** What every line has. */
export interface StepLine {
  readonly stage: string;
  readonly step: number;
}

/** Where to go on. */
export interface ResumePoint {
  stage: string;
  /** Steps of the stage that its checkpoint holds; 0 to begin anew. Later lines of the stage are removed. */
  step: number;
}

/** The open file, of metrics or of other lines by step. One writer at a time: the run's lock sees to that. */
export class MetricsFile<Line extends StepLine = Metric> implements Disposable {
  readonly #fd: number;
  #closed = false;

  /**
   * Opens or creates the file and removes what the resumed stage will write again.
   *
   * @param path The file.
   * @param resume Stage and step that the run goes on from.
   */
  constructor(readonly path: string, resume: ResumePoint) {
    truncate(path, resume);
    this.#fd = orDiskFull(path, () => fs.openSync(path, "a"));
  }

  /** Appends a line. It is with the system at return, on the disk after `sync()`. */
  write(line: Line): void {
    orDiskFull(this.path, () => fs.appendFileSync(this.#fd, `${JSON.stringify(line, spellNonFinite)}\n`));
  }

  /** Waits until every line is on the disk; call it before a checkpoint is published. */
  sync(): void {
    orDiskFull(this.path, () => fs.fsyncSync(this.#fd));
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    fs.closeSync(this.#fd);
  }
}

function spellNonFinite(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
}

/**
 * Reads all whole lines. A half line at the end, left by a killed run, is left out.
 *
 * @throws {SyntaxError} if a line before the last cannot be read
 */
export function readMetrics<Line extends StepLine = Metric>(path: string): Line[] {
  return wholeLines(path).map(({ line }) => line as Line);
}

function wholeLines(path: string): { readonly text: string; readonly line: StepLine }[] {
  let text: string;
  try {
    text = fs.readFileSync(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
  const lines = text.split("\n");
  // What follows the last line end is empty or half a line.
  lines.pop();
  return lines.flatMap((line, i) => {
    const parsed = parseLine(line);
    if (parsed) return [{ text: line, line: parsed }];
    // After a power cut the end of a file may be zeros although its length was recorded.
    if (i === lines.length - 1) return [];
    throw new SyntaxError(`Line ${i + 1} of ${path} is no metric: ${JSON.stringify(line.slice(0, 80))}`);
  });
}

function parseLine(line: string): StepLine | undefined {
  try {
    const value = JSON.parse(line);
    return typeof value?.stage === "string" && Number.isInteger(value.step) ? value as StepLine : undefined;
  } catch {
    return undefined;
  }
}

/** Rewrites the file without the lines to come again, through a temporary file; a file that needs none is not touched. */
function truncate(path: string, { stage, step }: ResumePoint): void {
  const kept = wholeLines(path).filter(({ line }) => line.stage !== stage || line.step <= step);
  const text = kept.map((line) => `${line.text}\n`).join("");
  if (!fs.existsSync(path) || fs.statSync(path).size === new TextEncoder().encode(text).length) return;
  writeFileAtomically(path, text);
}
