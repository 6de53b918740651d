/** What accuracies are said to show: no more than they do. */
import { assertAlmostEquals, assertEquals, assertStringIncludes } from "@std/assert";
import { accuracyVerdict, comparedAccuracies, standardError } from "../../../pipeline/report/accuracy.ts";
import type { AccuracySummary } from "../../../pipeline/report/report_data.ts";

const summary = (student: number | null, scratch: number | null, clips = 400): AccuracySummary => ({
  kind: "top-1",
  clips,
  chance: 0.125,
  student,
  scratch,
  others: [{ name: "kNN", accuracy: 0.5 }],
});

Deno.test("the standard error of a share is sqrt(p (1 - p) / n)", () => {
  assertAlmostEquals(standardError(0.5, 100), 0.05, 1e-12);
  assertEquals(standardError(1, 100), 0);
});

Deno.test("the compared networks come with their standard errors, the student first", () => {
  assertEquals(comparedAccuracies({ ...summary(0.8, 0.5), top5: { student: 0.95, scratch: null } }), [
    { name: "pre-trained student", accuracy: 0.8, standardError: 0.02, top5: 0.95 },
    { name: "from random weights", accuracy: 0.5, standardError: 0.025, top5: null },
    { name: "kNN", accuracy: 0.5, standardError: 0.025, top5: null },
  ]);
  assertEquals(comparedAccuracies(summary(null, null)).map(({ name }) => name), ["kNN"]);
});

Deno.test("a gain is claimed from two standard errors of the difference on", () => {
  // Both near 0.5 of 400 clips: the standard error of the difference is 3.5 points.
  const said = (student: number) => accuracyVerdict(summary(student, 0.5))[0] ?? "";
  assertEquals(
    said(0.58),
    "The pre-trained student is 8.0 points above the same network from random weights (standard error of the difference 3.5 points).",
  );
  assertStringIncludes(said(0.56), "6.0 points above");
  assertStringIncludes(said(0.56), "less than two standard errors: this run does not show a gain");
});

Deno.test("a student that is not above the network from random weights is said not to be", () => {
  const said = (student: number) => accuracyVerdict(summary(student, 0.5))[0] ?? "";
  assertStringIncludes(said(0.44), "is not above the same network from random weights: it is 6.0 points below it");
  assertStringIncludes(said(0.5), "is not above the same network from random weights: it is exactly as good as it");
});

Deno.test("a student near guessing is said to have learnt nothing", () => {
  // Guessing 12.5 % of 400 clips has a standard error of 1.65 points.
  assertStringIncludes(accuracyVerdict(summary(0.15, null))[1] ?? "", "It is not above guessing (12.5 %)");
  assertEquals(accuracyVerdict(summary(0.16, null))[1], "It is above guessing (12.5 %).");
});

Deno.test("what was not measured is said, and the seed's luck always", () => {
  assertEquals(accuracyVerdict(summary(null, 0.5)), ["The student was not evaluated."]);
  const [comparison, , luck] = accuracyVerdict(summary(0.5, null, 1));
  assertEquals(comparison, "There is no run from random weights to compare the student with.");
  assertStringIncludes(luck ?? "", "the choice of 1 validation clip, not the luck of one seed");
});
