/**
 * The journal of an unfinished evaluation: a line for every clip that is judged, so that one that was killed goes on. Lines
 * are in the order of the clips; the first says what they belong to. A line that a crash tore ends what is taken up.
 */
import fs from "node:fs";
import * as z from "zod";
import { orDiskFull } from "../shards/_full_disk.ts";
import { crc32 } from "../shards/_positional.ts";
import { errorCode, writeFileAtomically } from "../shards/_publish.ts";
import type { Verdict } from "./clip_scores.ts";

/** A score that is no number is null in JSON. */
const score = z.number().nullable().transform((value) => value ?? NaN);
const verdictLine = z.strictObject({
  prediction: z.int().min(0).optional(),
  probability: score,
  labelProbability: score,
  best: z.array(z.int().min(0)),
  top1: z.boolean(),
  top5: z.boolean(),
});

/** A journal, open for more. */
export class VerdictJournal implements Disposable {
  readonly #fd: number;

  private constructor(
    private readonly path: string,
    /** Verdicts of the first clips. */
    readonly found: readonly Verdict[],
  ) {
    this.#fd = fs.openSync(path, "a");
  }

  /**
   * Opens a journal, what is whole of one that belongs to the same evaluation, or a new one.
   *
   * @param identity Hash of all that decides the verdicts and their order.
   */
  static open(path: string, identity: string): VerdictJournal {
    const [first, ...lines] = readLines(path);
    const found: Verdict[] = [];
    for (const line of first === identity ? lines : []) {
      const verdict = parse(line);
      if (verdict === undefined) break;
      found.push(verdict);
    }
    orDiskFull(
      path,
      () => writeFileAtomically(path, [identity, ...found.map(lineOf)].map((line) => `${line}\n`).join("")),
    );
    return new VerdictJournal(path, found);
  }

  append(verdicts: readonly Verdict[]): void {
    const text = verdicts.map((verdict) => `${lineOf(verdict)}\n`).join("");
    orDiskFull(this.path, () => fs.writeFileSync(this.#fd, text));
  }

  /** Removes it: what it was for is done. */
  remove(): void {
    fs.rmSync(this.path, { force: true });
  }

  [Symbol.dispose](): void {
    fs.closeSync(this.#fd);
  }
}

function readLines(path: string): string[] {
  try {
    return fs.readFileSync(path, "utf8").split("\n");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}

function lineOf(verdict: Verdict): string {
  const json = JSON.stringify(verdict);
  return `${sum(json)} ${json}`;
}

function parse(line: string): Verdict | undefined {
  const [, found, json] = /^([0-9a-f]{8}) (.+)$/.exec(line) ?? [];
  if (json === undefined || sum(json) !== found) return undefined;
  const parsed = verdictLine.safeParse(JSON.parse(json)).data;
  return parsed && { ...parsed, prediction: parsed.prediction };
}

function sum(text: string): string {
  return crc32(new TextEncoder().encode(text)).toString(16).padStart(8, "0");
}
