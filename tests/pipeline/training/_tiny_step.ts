/** A VideoMAE step that compiles and runs in no time: clips of eight tokens, of which a student sees two. */
import { videoMaeStep } from "../../../models/videomae.ts";
import type { TrainStep } from "../../../models/train_step.ts";

export const cube = { tubelet: 2, patch: 4 };
/** Of a slot of time: positions, and those that student and teacher see. */
export const sizes = { slots: 2, positions: 4, student: 1, teacher: 2 };

export function tinyStep(batch: number): TrainStep {
  return videoMaeStep({
    shape: {
      grid: { slots: 2, rows: 2, columns: 2 },
      cube,
      encoder: { width: 8, depth: 1, heads: 2 },
      decoder: { width: 8, depth: 1, heads: 2 },
    },
    batch,
    visible: 2,
    optimizer: { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.05, clipNorm: 1 },
    compute: "f32",
  });
}
