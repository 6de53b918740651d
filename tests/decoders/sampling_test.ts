import { assert, assertEquals, assertThrows } from "@std/assert";
import { sampleFrames, samplingDraws, type SamplingRule } from "../../decoders/sampling.ts";
import { goldenJson } from "./_golden.ts";

interface Row {
  frames: number;
  index?: number[];
  views?: number[][];
  draw?: number | null;
  draw_end?: number | null;
  draws?: number[] | null;
  draw_range?: [number, number] | null;
}

const golden = await goldenJson<{ rules: Record<string, { rows: Row[]; segments?: number }> }>("sampling.json");

/** The uniform draw that makes `draw` the outcome of `randint(low, high)`. */
function uniformFor(draw: number, low: number, high: number): number {
  return (draw - low + 0.5) / (high - low);
}

const startRules: [string, SamplingRule][] = [
  ["pretrain-k400-stride4", { kind: "k400", frames: 16 }],
  ["pretrain-stride2", { kind: "ssv2-stride", frames: 16 }],
  ["pretrain-ssv2-amd", { kind: "ssv2", frames: 16 }],
  ["finetune-k400-dense", { kind: "dense", frames: 16 }],
];
for (const [name, rule] of startRules) {
  Deno.test(`${rule.kind} takes the frames of the official ${name} rule`, () => {
    const rows = golden.rules[name]!.rows;
    assert(rows.length > 10);
    for (const row of rows) {
      const draw = row.draw ?? row.draw_end;
      const u = draw === null || draw === undefined ? 0.3 : uniformFor(draw, row.draw_range![0], row.draw_range![1]);
      assertEquals([...sampleFrames(rule, row.frames, [u])], row.index, `${row.frames} frames, draw ${draw}`);
    }
  });
}

Deno.test("tsn takes the frames of the official SSv2 fine-tuning rule", () => {
  for (const row of golden.rules["finetune-ssv2-uniform"]!.rows) {
    const part = Math.floor(row.frames / 16);
    const draws = row.draws?.map((draw) => uniformFor(draw, 0, part)) ?? new Array(16).fill(0.3);
    assertEquals([...sampleFrames({ kind: "tsn", frames: 16 }, row.frames, draws)], row.index);
  }
});

for (const [name, kind] of [["k400-5x3", "k400"], ["k400-10x3", "k400"], ["ssv2-2x3", "ssv2"], ["ssv2-3x3", "ssv2"]]) {
  Deno.test(`the test segments of ${name} are the official views`, () => {
    const { rows, segments } = golden.rules[`test-${name}`]!;
    for (const row of rows) {
      assertEquals(row.views!.length, segments);
      row.views!.forEach((view, segment) => {
        const rule = { kind: `segments-${kind}`, frames: 16, segments: segments!, segment } as SamplingRule;
        assertEquals([...sampleFrames(rule, row.frames, [])], view, `${row.frames} frames, segment ${segment}`);
      });
    }
  });
}

Deno.test("uniform takes the middle of equal parts", () => {
  assertEquals([...sampleFrames({ kind: "uniform", frames: 4 }, 16, [])], [2, 6, 10, 14]);
  assertEquals([...sampleFrames({ kind: "uniform", frames: 4 }, 2, [])], [0, 0, 1, 1]);
  assertEquals([...sampleFrames({ kind: "uniform", frames: 3 }, 1, [])], [0, 0, 0]);
});

Deno.test("one test segment is the middle window", () => {
  const rule: SamplingRule = { kind: "segments-k400", frames: 2, stride: 1, segments: 1, segment: 0 };
  assertEquals([...sampleFrames(rule, 8, [])], [3, 4]);
});

Deno.test("every rule stays inside the clip, never goes back and uses the draws it declares", () => {
  const rules: SamplingRule[] = [
    ...startRules.map(([, rule]) => rule),
    { kind: "tsn", frames: 16 },
    { kind: "uniform", frames: 16 },
    { kind: "segments-k400", frames: 16, segments: 5, segment: 4 },
    { kind: "segments-ssv2", frames: 16, segments: 2, segment: 1 },
  ];
  for (const rule of rules) {
    for (const u of [0, 0.37, 1 - 2 ** -53]) {
      for (let count = 1; count < 150; count++) {
        const picked = sampleFrames(rule, count, new Array(samplingDraws(rule)).fill(u));
        assertEquals(picked.length, 16);
        picked.forEach((frame, i) => {
          assert(frame >= (i > 0 ? picked[i - 1]! : 0) && frame < count, `${rule.kind} ${count} ${u}: ${picked}`);
        });
      }
    }
  }
});

Deno.test("sampling refuses settings, counts and draws outside their range", () => {
  assertThrows(() => sampleFrames({ kind: "k400", frames: 16 }, 0, [0]), RangeError, "0 frames");
  assertThrows(() => sampleFrames({ kind: "k400", frames: 0 }, 9, [0]), RangeError, "frames must be");
  assertThrows(() => sampleFrames({ kind: "k400", frames: 16, stride: 1.5 }, 9, [0]), RangeError, "stride");
  assertThrows(() => sampleFrames({ kind: "k400", frames: 16 }, 9, []), RangeError, "needs 1 draws, got 0");
  assertThrows(() => sampleFrames({ kind: "k400", frames: 16 }, 9, [1]), RangeError, "below 1, got 1");
  assertThrows(() => sampleFrames({ kind: "tsn", frames: 2 }, 9, [0, NaN]), RangeError, "got NaN");
  assertThrows(
    () => sampleFrames({ kind: "segments-ssv2", frames: 16, segments: 2, segment: 2 }, 9, []),
    RangeError,
    "segment must be a whole number from 0 to 1, got 2",
  );
  assertThrows(() => sampleFrames({ kind: "every" } as unknown as SamplingRule, 9, []), RangeError, "Unknown sampling");
});
