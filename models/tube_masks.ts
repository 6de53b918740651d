/**
 * Tube masks: which tokens of a clip each network sees. A position of the picture is masked in all temporal slots alike.
 * Pure functions of a random order; counts follow the official floors, so all clips of a batch agree.
 *
 * Where the official code hides everything at a teacher ratio of 0 (its slice `[-0:]`), nothing is hidden here.
 */

/** Positions that are visible in each slot. */
export interface MaskCounts {
  readonly studentVisible: number;
  readonly teacherVisible: number;
}

/**
 * How many positions each network sees: `positions - floor(ratio * positions)`.
 *
 * @param positions positions of a slot, rows * columns
 * @param studentRatio share hidden from the student
 * @param teacherRatio share hidden from the teacher, at most the student's
 * @throws {RangeError} if a ratio is outside [0, 1), or the teacher would see less than the student
 *
 * @example
 * ```ts
 * import { maskCounts } from "./tube_masks.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(maskCounts(196, 0.9, 0.75), { studentVisible: 20, teacherVisible: 49 });
 * ```
 */
export function maskCounts(positions: number, studentRatio: number, teacherRatio: number): MaskCounts {
  if (!(teacherRatio >= 0 && studentRatio >= teacherRatio && studentRatio < 1)) {
    throw new RangeError(
      `Mask ratios need 0 <= teacher <= student < 1, found teacher ${teacherRatio} and student ${studentRatio}`,
    );
  }
  return {
    studentVisible: positions - Math.floor(studentRatio * positions),
    teacherVisible: positions - Math.floor(teacherRatio * positions),
  };
}

/**
 * Tokens of a tube: the same positions in every slot.
 *
 * @param sortedPositions ascending positions of a slot
 * @param slots temporal slots
 * @param positions positions of a slot
 * @returns ascending tokens, `slot * positions + position`
 */
export function tubeTokens(
  sortedPositions: ArrayLike<number>,
  slots: number,
  positions: number,
): Int32Array<ArrayBuffer> {
  const count = sortedPositions.length;
  return Int32Array.from(
    { length: slots * count },
    (_, i) => Math.floor(i / count) * positions + sortedPositions[i % count]!,
  );
}

/** The first `count` of a random order, ascending, and the rest, ascending. */
export function splitPositions(order: Uint32Array, count: number): [first: Uint32Array, rest: Uint32Array] {
  return [order.slice(0, count).sort(), order.slice(count).sort()];
}

/** The student's share of what a teacher sees, as places in the teacher's ascending list of positions. */
export interface StudentInTeacher {
  /** Ascending places of the student's positions. */
  readonly student: Uint32Array;
  /** Ascending places of the positions that only the teacher sees. */
  readonly teacherOnly: Uint32Array;
}

/**
 * Picks a student's positions among the teacher's.
 *
 * @param order a random order of 0 .. teacher's visible positions - 1
 * @param studentVisible positions that the student sees
 * @throws {RangeError} if the student would see nothing, or as much as the teacher
 */
export function studentInTeacher(order: Uint32Array, studentVisible: number): StudentInTeacher {
  if (!(studentVisible >= 1 && studentVisible < order.length)) {
    throw new RangeError(
      `The student must see at least 1 and fewer than the teacher's ${order.length} positions, found ${studentVisible}`,
    );
  }
  const [student, teacherOnly] = splitPositions(order, studentVisible);
  return { student, teacherOnly };
}

/** The token lists of one clip in a VideoMAE step. */
export interface VideoMaeMask {
  readonly visibleTokens: Int32Array<ArrayBuffer>;
  readonly hiddenTokens: Int32Array<ArrayBuffer>;
}

/**
 * A plain tube mask.
 *
 * @param order a random order of the positions of a slot; the first `visible` are seen
 * @param slots temporal slots
 */
export function videoMaeMask(order: Uint32Array, visible: number, slots: number): VideoMaeMask {
  const [seen, hidden] = splitPositions(order, visible);
  return {
    visibleTokens: tubeTokens(seen, slots, order.length),
    hiddenTokens: tubeTokens(hidden, slots, order.length),
  };
}

/** The token lists of one clip in an AMD step; rows count within the teacher's ascending tokens. */
export interface AmdMask {
  readonly studentTokens: Int32Array<ArrayBuffer>;
  /** All tokens hidden from the student. */
  readonly hiddenTokens: Int32Array<ArrayBuffer>;
  readonly teacherOnlyTokens: Int32Array<ArrayBuffer>;
  readonly studentRows: Int32Array<ArrayBuffer>;
  readonly teacherOnlyRows: Int32Array<ArrayBuffer>;
}

/**
 * The mask of a student inside a teacher's.
 *
 * @param teacherPositions ascending positions of a slot that the teacher sees
 * @param order a random order of 0 .. teacherPositions.length - 1; the first `studentVisible` are the student's
 * @param slots temporal slots
 * @param positions positions of a slot
 */
export function amdMask(
  teacherPositions: Uint32Array,
  order: Uint32Array,
  studentVisible: number,
  slots: number,
  positions: number,
): AmdMask {
  const { student, teacherOnly } = studentInTeacher(order, studentVisible);
  const at = (places: Uint32Array) => places.map((place) => teacherPositions[place]!);
  const seen = at(student);
  const isSeen = new Set(seen);
  const hidden = Uint32Array.from({ length: positions }, (_, position) => position).filter((p) => !isSeen.has(p));
  const teacherVisible = teacherPositions.length;
  return {
    studentTokens: tubeTokens(seen, slots, positions),
    hiddenTokens: tubeTokens(hidden, slots, positions),
    teacherOnlyTokens: tubeTokens(at(teacherOnly), slots, positions),
    studentRows: tubeTokens(student, slots, teacherVisible),
    teacherOnlyRows: tubeTokens(teacherOnly, slots, teacherVisible),
  };
}
