/**
 * Training steps on images of 224 x 224 at the published sizes, batch in host memory, against PyTorch in the same run: MAE,
 * AMD of a ViT-S from a ViT-B, and fine-tuning.
 *
 *     TUBELET_PEER_PYTHON=... deno task bench image [--filter amd-image] [--rounds 3]
 *
 * `-online` runs the teacher in each step on both sides, `-cached` on neither. `amd-image-s-b-recipe` is ours with cached
 * features, as a run has them, against PyTorch with the teacher in each step, as others do.
 */
import type { Compute } from "../models/shapes.ts";
import type { Bench } from "./_bench.ts";
import { type StepRow, stepRow } from "./_step_row.ts";
import { IMAGE_MASKS, imageAmd, imageFinetune, imageMae } from "./_steps.ts";

const SCRIPT = new URL("./peers/torch_image_amd_step.py", import.meta.url).pathname;
const BATCH = 16;

const PRECISIONS: readonly Compute[] = ["f32", "bf16"];

const rows: readonly Pick<StepRow, "name" | "compute" | "build" | "args" | "sizes">[] = PRECISIONS.flatMap((
  compute,
) => [
  {
    name: `mae-s-${compute}`,
    compute,
    build: () => imageMae("S", BATCH, compute),
    args: ["--mode", "mae"],
    sizes: IMAGE_MASKS.mae,
  },
  ...([["cached", "cached"], ["online", "online"], ["recipe", "cached"]] as const).map(([name, mode]) => ({
    name: `amd-image-s-b-${compute}-${name}`,
    compute,
    build: () => imageAmd("S", "B", BATCH, compute, mode),
    args: ["--mode", "amd", ...(name === "cached" ? ["--cached"] : [])],
    sizes: IMAGE_MASKS.amd,
  })),
  {
    name: `finetune-image-s-${compute}`,
    compute,
    build: () => imageFinetune("S", BATCH, compute),
    args: ["--mode", "finetune"],
    sizes: IMAGE_MASKS.amd,
  },
]);

export const bench: Bench = {
  about: "Training steps on images at the published sizes, images a second.",
  rows: rows.map((row) => stepRow({ ...row, batch: BATCH, unit: "images/s", script: SCRIPT, peer: () => SCRIPT })),
};
