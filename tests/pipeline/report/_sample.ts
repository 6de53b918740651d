/** A made-up run for the tests of the report: smooth curves, discs that move over a gradient, names that attack. */
import { type CubeLayout, cubeLayout, cutCubes } from "../../../decoders/cubes.ts";
import type { Metric } from "../../../pipeline/metrics.ts";
import { uniforms } from "../../../pipeline/random.ts";
import { lossesAtEnd } from "../../../pipeline/report/curves.ts";
import { normalisedCubes } from "../../../pipeline/report/frames.ts";
import type { ReportClip, ReportData } from "../../../pipeline/report/report_data.ts";
import { resolveSettings } from "../../../pipeline/settings.ts";

/** A name that would do harm wherever it were not escaped. */
export const HOSTILE = `"><script>alert(1)</script><img src=https://example.org/x onerror='a()'>&amp;\u202egpj.\x1b[2J`;

/** Sizes of the demo's views. */
export const DEMO_LAYOUT: CubeLayout = cubeLayout(8, 32, 32, 2, 8);

/** A disc that moves over a gradient, [T, H, W, 3]. */
export function movingDisc({ frames, height, width, bytes }: CubeLayout, phase: number): Uint8Array {
  const clip = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i++) {
    const [channel, x] = [i % 3, Math.floor(i / 3) % width];
    const y = Math.floor(i / 3 / width) % height;
    const t = Math.floor(i / 3 / width / height) / frames;
    const distance = Math.hypot(x / width - 0.2 - 0.6 * t, y / height - 0.5 - 0.25 * Math.sin(6 * t + phase));
    clip[i] = distance < 0.16 ? [250, 220, 90][channel] ?? 0 : 40 + 60 * (channel === 2 ? y / height : x / width);
  }
  return clip;
}

/** A clip of which a quarter of the positions is visible and another quarter to the teacher only. */
export function sampleClip(layout: CubeLayout, name: string, phase = 0): ReportClip {
  const cubes = new Uint8Array(layout.bytes);
  cutCubes(movingDisc(layout, phase), layout, cubes);
  const order = [...uniforms(layout.gridHeight * layout.gridWidth, 1, "report", phase)]
    .map((key, position) => ({ key, position })).sort((a, b) => a.key - b.key).map(({ position }) => position);
  const tokensAt = (positions: number[]) =>
    Int32Array.from(
      Array.from({ length: layout.gridFrames }, (_, slot) => positions.map((p) => slot * order.length + p)).flat(),
    ).sort();
  const quarter = order.length / 4;
  const hidden = tokensAt(order.slice(quarter));
  const target = normalisedCubes(hidden, cubes, layout);
  const noise = uniforms(target.values.length, 2, "report", phase);
  return {
    name,
    label: "right",
    layout,
    cubes,
    studentTokens: tokensAt(order.slice(0, quarter)),
    teacherOnlyTokens: tokensAt(order.slice(quarter, 2 * quarter)),
    prediction: { tokens: hidden, values: target.values.map((value, i) => 0.7 * value + (noise[i] ?? 0) - 0.5) },
  };
}

function training(stage: string, steps: number, start: number, end: number, terms: Record<string, number>): Metric[] {
  const noise = uniforms(steps, 3, "report", steps);
  return Array.from({ length: steps }, (_, i) => {
    const loss = end + (start - end) * Math.exp(-5 * i / steps) + 0.04 * ((noise[i] ?? 0) - 0.5);
    const rise = Math.min(1, (i + 1) / (steps / 20));
    return {
      stage,
      step: i + 1,
      epoch: Math.floor(20 * i / steps),
      loss,
      lr: 1e-3 * rise * (0.5 + 0.5 * Math.cos(Math.PI * i / steps)),
      gradNorm: 1 + loss * (noise[i] ?? 0),
      clipsPerSecond: 180 + 20 * (noise[i] ?? 0),
      waitShare: 0.02 * (noise[i] ?? 0),
      ...Object.fromEntries(Object.entries(terms).map(([name, share]) => [name, loss * share])),
    };
  });
}

/** A whole report like the demo's. */
export function sampleReport(): ReportData {
  const metrics = [
    ...training("train-teacher", 2500, 1.05, 0.62, { pixel: 1 }),
    ...training("pretrain", 2500, 3.4, 1.3, { pixel: 0.5, direct: 0.2, generation: 0.3 }),
    ...training("finetune-student", 320, 2.1, 0.5, { accuracy: 0.3 }),
    ...training("finetune-scratch", 320, 2.1, 1.2, { accuracy: 0.2 }),
  ];
  const stages = ["train-teacher", "pretrain", "finetune-student", "finetune-scratch"];
  const directions = ["right", "left", "up", "down", "clockwise", "grow", "shrink", "still"];
  return {
    title: "Tubelet: moving digits",
    written: new Date("2026-01-02T03:04:05Z"),
    command: ["pretrain-video", "--seed", "7", "--videos", "my clips"],
    environment: [
      { name: "Tubelet", value: "0.1.0" },
      { name: "Deno", value: "2.9.6" },
      { name: "Engine", value: "XLA, PJRT CPU plugin, 2 threads" },
      { name: "System", value: "Linux, x86_64, 2 cores" },
    ],
    summary: {
      run: "runs/demo",
      seconds: 423,
      stages: [
        { name: "demo", seconds: 12.2, skipped: true },
        { name: "prepare", seconds: 9.1, skipped: true },
        { name: "train-teacher", seconds: 140, skipped: false },
        { name: "teach", seconds: 6, skipped: false },
        { name: "pretrain", seconds: 180, skipped: false },
        { name: "finetune", seconds: 90, skipped: false },
        { name: "evaluate", seconds: 3, skipped: false },
      ],
      data: {
        trainClips: 3998,
        valClips: 500,
        views: 1,
        badClips: [
          { name: "train/0007.mp4", reason: "the stream ends in frame 5 of 8", byteOffset: 18_231 },
          { name: "train/0031.mp4", reason: "no video stream" },
        ],
        shards: 18,
        bytes: 212_000_000,
      },
      losses: stages.map((stage) => lossesAtEnd(metrics, stage)!),
      accuracy: {
        kind: "top-1 after fine-tuning",
        clips: 500,
        chance: 0.125,
        student: 0.81,
        scratch: 0.666,
        top5: { student: 0.97, scratch: 0.912 },
        others: [{ name: "nearest neighbours, student", accuracy: 0.58 }],
      },
      probe: { knn: 0.58, linear: 0.6, knnScratch: 0.3, linearScratch: 0.4, chance: 0.125 },
    },
    metrics,
    clips: [0, 1, 2].map((i) => sampleClip(DEMO_LAYOUT, `val/${String(i).padStart(4, "0")}.mp4`, i)),
    settings: resolveSettings({ preset: "demo", flags: { seed: "7", videos: "my clips" } }),
    confusion: {
      classes: directions,
      counts: directions.flatMap((_, i) => directions.map((_, j) => i === j ? 50 : (3 * i + 5 * j) % 4)),
    },
  };
}
