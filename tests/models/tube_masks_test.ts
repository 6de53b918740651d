/** Tube masks: properties that hold for every draw, and counts that make no sense. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  amdMask,
  maskCounts,
  splitPositions,
  studentInTeacher,
  tubeTokens,
  videoMaeMask,
} from "../../models/tube_masks.ts";

const [SLOTS, POSITIONS] = [3, 16];

function shuffled(count: number, seed: number): Uint32Array {
  let state = seed;
  const keys = Array.from({ length: count }, () => state = Math.imul(state, 1664525) + 1013904223 | 0);
  return Uint32Array.from(keys.keys()).sort((a, b) => keys[a]! - keys[b]!);
}

Deno.test("a tube repeats its positions in every slot", () => {
  assertEquals([...tubeTokens([1, 3], 3, 4)], [1, 3, 5, 7, 9, 11]);
});

Deno.test("the student's mask lies inside the teacher's, and the three classes cover the clip", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const { studentVisible, teacherVisible } = maskCounts(POSITIONS, 0.8, 0.5);
    const [teacher, hidden] = splitPositions(shuffled(POSITIONS, seed), teacherVisible);
    const mask = amdMask(teacher, shuffled(teacherVisible, seed + 1000), studentVisible, SLOTS, POSITIONS);
    const teacherTokens = tubeTokens(teacher, SLOTS, POSITIONS);
    const seen = new Set(teacherTokens);
    assert(mask.studentTokens.every((token) => seen.has(token)));
    assertEquals([...mask.studentTokens, ...mask.teacherOnlyTokens].sort((a, b) => a - b), [...teacherTokens]);
    assertEquals(
      [...mask.teacherOnlyTokens, ...tubeTokens(hidden, SLOTS, POSITIONS)].sort((a, b) => a - b),
      [...mask.hiddenTokens],
    );
    assertEquals([...mask.studentRows].map((row) => teacherTokens[row]!), [...mask.studentTokens]);
    assertEquals([...mask.teacherOnlyRows].map((row) => teacherTokens[row]!), [...mask.teacherOnlyTokens]);
  }
});

Deno.test("a VideoMAE mask splits the clip into two ascending lists", () => {
  const { visibleTokens, hiddenTokens } = videoMaeMask(Uint32Array.of(2, 0, 3, 1), 1, 2);
  assertEquals([[...visibleTokens], [...hiddenTokens]], [[2, 6], [0, 1, 3, 4, 5, 7]]);
});

Deno.test("a teacher ratio of 0 hides nothing", () => {
  assertEquals(maskCounts(196, 0.9, 0), { studentVisible: 20, teacherVisible: 196 });
});

Deno.test("ratios and counts that leave a network nothing of its own are refused", () => {
  assertThrows(() => maskCounts(196, 0.5, 0.75), RangeError, "teacher 0.75 and student 0.5");
  assertThrows(() => maskCounts(196, 1, 0.75), RangeError, "< 1");
  assertThrows(() => maskCounts(196, NaN, 0), RangeError, "NaN");
  assertThrows(() => studentInTeacher(shuffled(4, 1), 4), RangeError, "fewer than the teacher's 4 positions");
  assertThrows(() => studentInTeacher(shuffled(4, 1), 0), RangeError, "at least 1");
});
