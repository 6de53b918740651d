/**
 * Training steps and forward passes at the published sizes, batch in host memory, against PyTorch in the same run.
 *
 *     TUBELET_PEER_PYTHON=... deno task bench engine [--filter videomae-S] [--rounds 3]
 *
 * The peer of a row is the faster of eager and compiled PyTorch; an AMD row, which reads cached features, stands against
 * PyTorch that runs the teacher in each step (`-online`), which is what others do, and against PyTorch with the features in
 * memory (`-cached`).
 */
import type { Compute } from "../models/shapes.ts";
import type { Bench } from "./_bench.ts";
import { stepRow, type StepWork } from "./_step_row.ts";
import { amd, evaluation, finetune, MASKS, teacher, videoMae } from "./_steps.ts";

const PRECISIONS: readonly Compute[] = ["f32", "bf16"];

const works: readonly StepWork[] = PRECISIONS.flatMap((compute): StepWork[] => [
  ...(["S", "B"] as const).flatMap((size) =>
    [2, 8].map((batch) => ({
      name: `videomae-${size}-${compute}-b${batch}`,
      batch,
      compute,
      build: () => videoMae(size, batch, compute),
      script: "torch_videomae_step.py",
      args: ["--student", size],
    }))
  ),
  ...(["B", "L"] as const).flatMap((size) =>
    ["online", "cached"].map((mode) => ({
      name: `amd-S-from-${size}-${compute}-${mode}`,
      batch: 2,
      compute,
      build: () => amd("S", size, 2, compute),
      script: "torch_amd_step.py",
      args: ["--student", "S", "--teacher", size, ...(mode === "cached" ? ["--cached"] : [])],
    }))
  ),
  {
    name: `finetune-S-${compute}`,
    batch: 2,
    compute,
    build: () => finetune("S", 2, compute),
    script: "torch_finetune_step.py",
    args: ["--model", "S"],
  },
  {
    name: `evaluate-S-${compute}`,
    batch: 2,
    compute,
    build: () => evaluation("S", 2, compute),
    script: "torch_eval.py",
    args: ["--model", "S", "--views", "2"],
  },
  ...(["B", "L"] as const).map((size): StepWork => ({
    name: `teacher-${size}-${compute}`,
    batch: 2,
    compute,
    build: () => teacher(size, 2, compute),
    script: "torch_teacher_features.py",
    args: ["--teacher", size],
  })),
]);

export const bench: Bench = {
  about: "Training steps and forward passes at the published sizes, clips a second.",
  rows: works.map((work) =>
    stepRow({ ...work, sizes: MASKS, unit: "clips/s", peer: (peers) => peers && `${peers}/${work.script}` })
  ),
};
