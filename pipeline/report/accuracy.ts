/**
 * What accuracies say and what they do not: the standard error of a proportion, and sentences that claim no more than
 * the validation clips bear out.
 */
import type { AccuracySummary } from "./report_data.ts";
import { formatAmount } from "../units.ts";

/** A row of the comparison. */
export interface ComparedAccuracy {
  name: string;
  accuracy: number;
  /** Of the accuracy, over the choice of validation clips. */
  standardError: number;
  /** Share within the five most probable classes; null where it was not measured. */
  top5: number | null;
}

/**
 * Standard error of a share, `sqrt(p (1 - p) / n)`.
 *
 * @param share The share, p, 0 to 1.
 * @param count What it is a share of, n.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { standardError } from "./accuracy.ts";
 *
 * assertEquals(standardError(0.8, 400), 0.02);
 * ```
 */
export function standardError(share: number, count: number): number {
  return Math.sqrt(share * (1 - share) / count);
}

/** The networks compared, the student first; guessing is not among them. */
export function comparedAccuracies({ student, scratch, top5, others, clips }: AccuracySummary): ComparedAccuracy[] {
  const rows = [
    ...(student === null ? [] : [{ name: "pre-trained student", accuracy: student, top5: top5?.student ?? null }]),
    ...(scratch === null ? [] : [{ name: "from random weights", accuracy: scratch, top5: top5?.scratch ?? null }]),
    ...others.map((other) => ({ ...other, top5: null })),
  ];
  return rows.map((row) => ({ ...row, standardError: standardError(row.accuracy, clips) }));
}

/** Points of a share with one decimal, such as "2.7 points". */
function points(share: number): string {
  return `${(share * 100).toFixed(1)} points`;
}

/**
 * Says in words what the accuracies bear out. A difference is called one from two standard errors on; the two networks
 * are taken as independent, which is on the cautious side as they answer for the same clips.
 */
export function accuracyVerdict(accuracy: AccuracySummary): string[] {
  const { student, scratch, clips } = accuracy;
  if (student === null) return ["The student was not evaluated."];
  return [
    ...(scratch === null ? ["There is no run from random weights to compare the student with."] : [
      scratchVerdict(student, scratch, clips),
    ]),
    chanceVerdict(student, accuracy),
    `The standard error covers the choice of ${
      formatAmount(clips, "validation clip")
    }, not the luck of one seed: another seed may move every number.`,
  ];
}

function scratchVerdict(student: number, scratch: number, clips: number): string {
  const difference = student - scratch;
  const error = Math.hypot(standardError(student, clips), standardError(scratch, clips));
  const scale = `standard error of the difference ${points(error)}`;
  if (difference <= 0) {
    const how = difference === 0 ? "exactly as good as" : `${points(-difference)} below`;
    return `The pre-trained student is not above the same network from random weights: it is ${how} it (${scale}).`;
  }
  if (difference < 2 * error) {
    return `The pre-trained student is ${
      points(difference)
    } above the same network from random weights, less than two standard errors: this run does not show a gain (${scale}).`;
  }
  return `The pre-trained student is ${points(difference)} above the same network from random weights (${scale}).`;
}

function chanceVerdict(student: number, { chance, clips }: AccuracySummary): string {
  return student - chance >= 2 * standardError(chance, clips)
    ? `It is above guessing (${(chance * 100).toFixed(1)} %).`
    : `It is not above guessing (${
      (chance * 100).toFixed(1)
    } %) by two standard errors: it has not learnt to tell the classes apart.`;
}
