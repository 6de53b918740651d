/** Settings so small that a whole chain takes seconds on TensorFlow.js, which needs no compilation. */
import { join } from "node:path";

/** Flags of a tiny run in a folder: 24 demo clips of 4 frames, networks 16 wide. */
export function tinyFlags(folder: string): Record<string, string> {
  return {
    "run": join(folder, "run"),
    "cache": join(folder, "cache"),
    "engine": "tfjs",
    "train-clips": "16",
    "val-clips": "8",
    "clip-frames": "4",
    "clip-size": "32",
    "frames": "4",
    "size": "16",
    "rows-per-shard": "7",
    "student-width": "16",
    "student-depth": "2",
    "student-heads": "2",
    "student-decoder-width": "16",
    "student-decoder-depth": "1",
    "student-layers": "1,2",
    "teacher-width": "16",
    "teacher-depth": "2",
    "teacher-heads": "2",
    "teacher-decoder-width": "16",
    "teacher-decoder-depth": "1",
    "teacher-decoder-heads": "2",
    "teacher-layers": "1,2",
    "generator-depth": "1",
    "student-ratio": "0.75",
    "teacher-ratio": "0.5",
    "teacher-epochs": "2",
    "teacher-warmup-epochs": "0",
    "teacher-batch": "8",
    "teach-batch": "8",
    "pretrain-epochs": "4",
    "pretrain-warmup-epochs": "1",
    "pretrain-batch": "8",
    "labelled": "16",
    "finetune-epochs": "2",
    "finetune-warmup-epochs": "0",
    "finetune-batch": "8",
    "eval-batch": "8",
    "checkpoint-steps": "3",
    "lanes": "1",
  };
}

/** The same as words of a command line. */
export function tinyArgs(folder: string): string[] {
  return Object.entries(tinyFlags(folder)).map(([flag, value]) => `--${flag}=${value}`);
}
