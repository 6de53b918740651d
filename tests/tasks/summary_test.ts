/** The last lines of a run. */
import { assertEquals, assertFalse } from "@std/assert";
import type { RunSummary } from "../../pipeline/report/report_data.ts";
import { summaryLines } from "../../tasks/_summary.ts";

const SUMMARY: RunSummary = {
  run: "runs/demo",
  seconds: 423,
  stages: [{ name: "demo", seconds: 12, skipped: true }, { name: "pretrain", seconds: 180, skipped: false }],
  data: {
    trainClips: 3998,
    valClips: 500,
    views: 1,
    badClips: [
      { name: "a.mp4", reason: "no video stream" },
      ...["b", "c", "d", "e"].map((name) => ({ name: `${name}.mp4`, reason: "truncated", byteOffset: 1234 })),
    ],
    shards: 18,
    bytes: 212_000_000,
  },
  losses: [
    { stage: "train-teacher", step: 2500, over: 125, losses: { total: 0.62284, pixel: 0.62284 } },
    { stage: "pretrain", step: 1, over: 1, losses: { total: NaN, pixel: 1, direct: 2, generation: 3 } },
  ],
  accuracy: {
    kind: "top-1 after fine-tuning",
    clips: 500,
    chance: 0.125,
    student: 0.81,
    scratch: 0.666,
    top5: { student: 0.97, scratch: 0.912 },
    others: [],
  },
  probe: null,
};

Deno.test("the summary tells clips, bad clips, shards, losses, accuracy, time and report", () => {
  assertEquals(summaryLines(SUMMARY, "runs/demo/report.html"), [
    "clips      3,998 for training, 500 for validation, 1 view of each",
    "bad clips  5, left out",
    "  4 × truncated: b.mp4 (byte 1,234), c.mp4 (byte 1,234), d.mp4 (byte 1,234) and 1 more",
    "  1 × no video stream: a.mp4",
    "shards     18, 212 MB",
    "losses     at the end, means over the last epoch",
    "  train-teacher  total 0.6228, pixel 0.6228 (2,500 steps)",
    "  pretrain       total not finite, pixel 1, direct 2, generation 3 (1 step)",
    "accuracy   top-1 after fine-tuning, 500 validation clips, ± one standard error",
    "  pre-trained student   81.0 % ± 1.8 %, top-5 97.0 %",
    "  from random weights   66.6 % ± 2.1 %, top-5 91.2 %",
    "  guessing              12.5 %",
    "  The pre-trained student is 14.4 points above the same network from random weights (standard error of the difference 2.7 points).",
    "  It is above guessing (12.5 %).",
    "  The standard error covers the choice of 500 validation clips, not the luck of one seed: another seed may move every number.",
    "time       7 min 3 s; done before: demo",
    "report     runs/demo/report.html",
  ]);
});

Deno.test("a chain that stopped early tells what it has", () => {
  const summary = { ...SUMMARY, stages: [], data: null, losses: [], accuracy: null, seconds: 3 };
  assertEquals(summaryLines(summary, null), ["time       3 s"]);
});

Deno.test("many reasons are counted, and names cannot steer the terminal", () => {
  const badClips = ["1", "2", "3", "4", "5"].map((i) => ({ name: "\x1b[2J", reason: `reason ${i}\n` }));
  const lines = summaryLines({ ...SUMMARY, data: { ...SUMMARY.data!, badClips } }, null);
  assertEquals(lines.slice(1, 6), [
    "bad clips  5, left out",
    "  1 × reason 1\\u{a}: \\u{1b}[2J",
    "  1 × reason 2\\u{a}: \\u{1b}[2J",
    "  1 × reason 3\\u{a}: \\u{1b}[2J",
    "  2 for other reasons, see the report",
  ]);
  assertFalse(lines.join("").includes("\x1b"));
});
