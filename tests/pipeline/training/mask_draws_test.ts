import { assert, assertAlmostEquals, assertEquals, assertNotEquals } from "@std/assert";
import { resolveSettings } from "../../../pipeline/settings.ts";
import { maskSizes } from "../../../pipeline/stages/stage_context.ts";
import { amdInputs, teacherInputs, teacherPositions, videoMaeInputs } from "../../../pipeline/training/mask_draws.ts";

const sizes = { slots: 8, positions: 196, student: 20, teacher: 49 };
const masks = (row: number) => teacherPositions(sizes, 7, row);

/** The positions of a list of tokens, checked to be one tube. */
function tubePositions(tokens: Int32Array, perSlot: number): number[] {
  const positions = Array.from(tokens.subarray(0, perSlot));
  const expected = Array.from({ length: sizes.slots }, (_, slot) => positions.map((p) => slot * 196 + p)).flat();
  assertEquals(Array.from(tokens), expected);
  return positions;
}

Deno.test("the student sees 20 of the teacher's 49 positions, and all lists of a batch fit together", () => {
  const rows = [{ row: 3, epoch: 0 }, { row: 11, epoch: 5 }];
  const inputs = amdInputs(rows, masks, sizes, 7);
  const teacher = teacherInputs(rows.map(({ row }) => row), masks, sizes).get("teacher_tokens")!;
  rows.forEach((_, i) => {
    const part = (name: string, all = inputs.get(name)!) => all.slice(i * all.length / 2, (i + 1) * all.length / 2);
    const seen = tubePositions(part("", teacher), 49);
    const student = tubePositions(part("student_tokens"), 20);
    const only = tubePositions(part("teacher_only_tokens"), 29);
    const hidden = tubePositions(part("hidden_tokens"), 176);
    assertEquals([...student, ...only].sort((a, b) => a - b), seen);
    assertEquals([...student, ...hidden].sort((a, b) => a - b), Array.from({ length: 196 }, (_, p) => p));
    // Rows point at the same tokens among the teacher's.
    const all = part("", teacher);
    assertEquals(part("student_rows").map((row) => all[row]!), part("student_tokens"));
    assertEquals(part("teacher_only_rows").map((row) => all[row]!), part("teacher_only_tokens"));
  });
});

Deno.test("of a picture's 14 x 14 tokens the student sees 20 of the teacher's 49, each time", () => {
  const ratios = { "student-ratio": "0.9", "teacher-ratio": "0.75" };
  const flags = { data: "list.csv", form: "mae", frames: "1", tubelet: "1", ...ratios };
  const picture = maskSizes(resolveSettings({ flags }).settings);
  assertEquals(picture, { slots: 1, positions: 196, student: 20, teacher: 49 });
  for (let epoch = 0; epoch < 20; epoch++) {
    const teacher = teacherPositions(picture, 7, 5), inputs = amdInputs([{ row: 5, epoch }], () => teacher, picture, 7);
    const student = new Set(inputs.get("student_tokens")!);
    assert(student.size === 20 && student.isSubsetOf(new Set(teacher)));
    assertEquals(student.union(new Set(inputs.get("hidden_tokens")!)).size, 196);
  }
});

Deno.test("a student's mask is the same for the same seed, and another in every epoch, row and seed", () => {
  const draw = (row: number, epoch: number, seed = 7) => amdInputs([{ row, epoch }], masks, sizes, seed);
  assertEquals(draw(3, 0), draw(3, 0));
  for (const other of [draw(3, 1), draw(4, 0), draw(3, 0, 8)]) {
    assertNotEquals(other.get("student_rows"), draw(3, 0).get("student_rows"));
  }
});

Deno.test("over many epochs a student sees each of the teacher's positions equally often", () => {
  const epochs = 2000;
  const counts = new Float64Array(49);
  for (let epoch = 0; epoch < epochs; epoch++) {
    const rows = amdInputs([{ row: 0, epoch }], masks, sizes, 1).get("student_rows")!;
    for (const place of rows.subarray(0, 20)) counts[place]!++;
  }
  // Binomial with p = 20 / 49: five standard deviations around the mean.
  const p = 20 / 49;
  const spread = 5 * Math.sqrt(p * (1 - p) / epochs);
  counts.forEach((count) => assertAlmostEquals(count / epochs, p, spread));
});

Deno.test("a view's students are drawn evenly from the teacher's 49 positions, pair by pair, and never repeat", () => {
  const epochs = 3000, [n, k] = [49, 20];
  const single = new Float64Array(n), pairs = new Float64Array(n * n), seen = new Set<string>();
  for (let epoch = 0; epoch < epochs; epoch++) {
    const inputs = amdInputs([{ row: 5, epoch }], masks, sizes, 3);
    const places = inputs.get("student_rows")!.slice(0, k);
    const student = Array.from(inputs.get("student_tokens")!.subarray(0, k));
    assertEquals(
      student,
      Array.from(places, (place) => masks(5)[place]!),
      "The student sees what the teacher does not",
    );
    seen.add(student.join());
    for (const i of places) {
      single[i]!++;
      for (const j of places) if (i < j) pairs[i * n + j]!++;
    }
  }
  assertEquals(seen.size, epochs);
  // Drawn without putting back, the counts have (1 - k / n) n / (n - 1) of the variance that chi-square takes for granted.
  const expected = epochs * k / n;
  const chiSquare = single.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0) /
    ((1 - k / n) * n / (n - 1));
  // 48 degrees of freedom: 0.1 % lie below 23.3, 0.1 % above 84.0.
  assert(chiSquare > 23.3 && chiSquare < 84.0, `chi-square is ${chiSquare}`);
  const p = k * (k - 1) / (n * (n - 1)), spread = Math.sqrt(epochs * p * (1 - p));
  const deviations = Array.from({ length: n }, (_, i) => Array.from(pairs.subarray(i * n + i + 1, (i + 1) * n)))
    .flat().map((count) => (count - epochs * p) / spread);
  assertEquals(deviations.length, n * (n - 1) / 2);
  const largest = Math.max(...deviations.map(Math.abs));
  assert(largest < 4.5, `A pair is ${largest} standard deviations off`);
});

Deno.test("over many rows a teacher sees each position equally often, and never changes its mind about a row", () => {
  const rows = 2000;
  const counts = new Float64Array(196);
  for (let row = 0; row < rows; row++) for (const position of masks(row)) counts[position]!++;
  const spread = 5 * Math.sqrt(0.25 * 0.75 / rows);
  counts.forEach((count) => assertAlmostEquals(count / rows, 0.25, spread));
  assertEquals(masks(12), masks(12));
});

Deno.test("a VideoMAE mask shows 20 positions and hides the others", () => {
  const inputs = videoMaeInputs([{ row: 5, epoch: 2 }], sizes, 7);
  const visible = tubePositions(inputs.get("visible_tokens")!, 20);
  const hidden = tubePositions(inputs.get("hidden_tokens")!, 176);
  assert(visible.every((position) => !hidden.includes(position)));
  assertNotEquals(videoMaeInputs([{ row: 5, epoch: 3 }], sizes, 7), inputs);
});
