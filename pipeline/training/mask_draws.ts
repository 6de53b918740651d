/**
 * Seeded draws for tube masks, as the token lists of a batch. The teacher's mask of a view never changes, since its
 * features are cached; the student's is drawn anew inside it for every epoch (section 3 of the AMD paper: what the
 * student sees is a subset of what the teacher sees, the same in every temporal slot), or once for all where epochs are
 * given as 0.
 */
import { amdMask, tubeTokens, videoMaeMask } from "../../models/tube_masks.ts";
import { permutation } from "../random.ts";

/** Positions of a temporal slot, and how many of them each network sees. */
export interface MaskSizes {
  readonly slots: number;
  readonly positions: number;
  /** The student, and a teacher in its own VideoMAE training. */
  readonly student: number;
  /** The teacher that gives features. */
  readonly teacher: number;
}

/** A view of a batch. */
export interface BatchRow {
  /** Row of the frame set. */
  readonly row: number;
  readonly epoch: number;
  /** Which of its copies in the epoch it is. @default 0 */
  readonly copy?: number;
}

/** How the teacher's masks come about; part of what feature shards are hashed by. */
export const TEACHER_MASK_RULE = "first positions of a seeded permutation per row, ascending";

/** The positions that the teacher sees of a view, ascending; of one epoch, or always. */
export function teacherPositions(
  { positions, teacher }: MaskSizes,
  seed: number,
  row: number,
  epoch?: number,
): Uint32Array {
  const place = epoch === undefined ? [row] : [row, epoch];
  return permutation(positions, seed, "teacher mask", ...place).slice(0, teacher).sort();
}

/** `teacher_tokens`, [rows, Nt], for the positions that the teacher sees of each row. */
export function teacherInputs(
  rows: readonly number[],
  masks: (row: number) => ArrayLike<number>,
  { slots, positions }: MaskSizes,
): Map<string, Int32Array> {
  return new Map([["teacher_tokens", stacked(rows.map((row) => tubeTokens(masks(row), slots, positions)))]]);
}

/**
 * `visible_tokens` and `hidden_tokens` of a VideoMAE step, fresh in every epoch.
 *
 * @param purpose Tells the draws of one training from those of another.
 */
export function videoMaeInputs(
  rows: readonly BatchRow[],
  { slots, positions, student }: MaskSizes,
  seed: number,
  purpose = "teacher training mask",
): Map<string, Int32Array> {
  const masks = rows.map(({ row, epoch }) => {
    return videoMaeMask(permutation(positions, seed, purpose, epoch, row), student, slots);
  });
  return new Map([
    ["visible_tokens", stacked(masks.map(({ visibleTokens }) => visibleTokens))],
    ["hidden_tokens", stacked(masks.map(({ hiddenTokens }) => hiddenTokens))],
  ]);
}

/**
 * The token lists of an AMD step: a fresh student mask inside the teacher's.
 *
 * @param masks The teacher's positions of a row in an epoch, ascending.
 */
export function amdInputs(
  rows: readonly BatchRow[],
  masks: (row: number, epoch: number) => ArrayLike<number>,
  { slots, positions, student, teacher }: MaskSizes,
  seed: number,
): Map<string, Int32Array> {
  const drawn = rows.map(({ row, epoch }) => {
    const order = permutation(teacher, seed, "student mask", epoch, row);
    return amdMask(Uint32Array.from(masks(row, epoch)), order, student, slots, positions);
  });
  return new Map([
    ["student_tokens", stacked(drawn.map((mask) => mask.studentTokens))],
    ["hidden_tokens", stacked(drawn.map((mask) => mask.hiddenTokens))],
    ["teacher_only_tokens", stacked(drawn.map((mask) => mask.teacherOnlyTokens))],
    ["student_rows", stacked(drawn.map((mask) => mask.studentRows))],
    ["teacher_only_rows", stacked(drawn.map((mask) => mask.teacherOnlyRows))],
  ]);
}

/** Equal lists one behind the other. */
function stacked(lists: readonly Int32Array[]): Int32Array<ArrayBuffer> {
  const length = lists[0]?.length ?? 0;
  const all = new Int32Array(lists.length * length);
  lists.forEach((list, i) => all.set(list, i * length));
  return all;
}
