/**
 * What the report and the summary at the end of a run are made from. The one who runs the chain fills it in; nothing
 * here is read from files.
 */
import type { CubeLayout } from "../../decoders/cubes.ts";
import type { Form } from "../../models/shapes.ts";
import type { Metric } from "../metrics.ts";
import type { ResolvedSettings } from "../settings.ts";

/** The numbers of a run, for the report, for the terminal and for --json. */
export interface RunSummary {
  /** Folder of the run. */
  run: string;
  /** Seconds of this call, all stages together. */
  seconds: number;
  /** In the order in which they ran. */
  stages: readonly StageTime[];
  /** Null before there are shards. */
  data: DataSummary | null;
  /** Losses at the end of each training, see `lossesAtEnd`. */
  losses: readonly FinalLosses[];
  /** Null if nothing was evaluated. */
  accuracy: AccuracySummary | null;
  /** Null if nothing was probed. */
  probe: ProbeSummary | null;
}

/** One stage. */
export interface StageTime {
  name: string;
  /** Working time, that of earlier attempts included. */
  seconds: number;
  /** Whether it was done before. */
  skipped: boolean;
}

/** What the frame shards hold. */
export interface DataSummary {
  trainClips: number;
  valClips: number;
  /** Stored views of each clip. */
  views: number;
  badClips: readonly BadClipNote[];
  /** Frame and feature shards. */
  shards: number;
  bytes: number;
}

/** A clip that was left out. */
export interface BadClipNote {
  name: string;
  reason: string;
  /** Where in the file decoding failed, if known. */
  byteOffset?: number | undefined;
}

/** Losses at the end of one training. */
export interface FinalLosses {
  stage: string;
  /** Steps that the training has done. */
  step: number;
  /** Steps that the means are over, the last ones. */
  over: number;
  /** Means by name, "total" first; then "pixel", "direct", "generation" as far as the stage has them. */
  losses: Readonly<Record<string, number>>;
}

/** How many validation clips the compared networks got right. */
export interface AccuracySummary {
  /** What was measured, such as "top-1 after fine-tuning". */
  kind: string;
  /** Validation clips; the same ones for all. */
  clips: number;
  /** Share that guessing would get right. */
  chance: number;
  /** Share that the pre-trained student got right; null if it was not evaluated. */
  student: number | null;
  /** The same network trained from random weights; null if there is none. */
  scratch: number | null;
  /** Shares of the two whose class is among the five most probable ones; absent where there are no more classes. */
  top5?: { student: number | null; scratch: number | null };
  /** Other networks or measures that are compared. */
  others: readonly { name: string; accuracy: number }[];
}

/** Shares of the validation clips that probes of frozen features got right, 0 to 1. */
export interface ProbeSummary {
  /** Nearest neighbours on the pre-trained student's features. */
  knn: number;
  /** A linear classifier on them. */
  linear: number;
  /** The same network with random weights. */
  knnScratch: number;
  linearScratch: number;
  /** Share that guessing would get right. */
  chance: number;
}

/** What the student's features were worth in the middle of its pre-training; shares 0 to 1, NaN if not finite. */
export interface ProbePoint {
  step: number;
  /** Nearest neighbours. */
  knn: number;
  /** A linear classifier; absent where none was fitted. */
  linear?: number;
}

/** A clip that the report shows. */
export interface ReportClip {
  name: string;
  /** What it shows, in words; null if it has no label. */
  label: string | null;
  layout: CubeLayout;
  /** The view, [N, P], uint8, as the shards hold it. */
  cubes: Uint8Array;
  /** Tokens that the student sees. */
  studentTokens: Int32Array;
  /** Tokens that the teacher sees and the student does not. */
  teacherOnlyTokens: Int32Array;
  /** What the student's pixel decoder makes of the clip; null if there is none. */
  prediction: ReportPrediction | null;
}

/** A reconstruction, as the program `reconstruction` puts it out. */
export interface ReportPrediction {
  /** Tokens hidden from the student, in the order of the rows of `values`. */
  tokens: Int32Array;
  /** Pixels normalised per cube and channel, or per cube with `mae`, [Nm, P], f32. */
  values: Float32Array;
  /** @default "videomae" */
  form?: Form | undefined;
}

/** What an evaluation took for what. */
export interface ConfusionMatrix {
  /** Names, [C]. */
  classes: readonly string[];
  /** Clips by true class (rows) and predicted class (columns), [C, C]. */
  counts: ArrayLike<number>;
  /** Clips by true class, those without an answer among them, [C]. @default the sums of the rows */
  clips?: readonly number[];
}

/** Everything on the page. */
export interface ReportData {
  /** Heading of the page. */
  title: string;
  written: Date;
  /** Task name and arguments. */
  command: readonly string[];
  /** Versions, engine, processor, system: whatever a reader needs to judge the numbers. */
  environment: readonly { name: string; value: string }[];
  summary: RunSummary;
  /** All lines of metrics.jsonl. */
  metrics: readonly Metric[];
  /** All lines of probes.jsonl, in order. @default none */
  probes?: readonly ProbePoint[];
  /** A few; more than four make the page long. */
  clips: readonly ReportClip[];
  settings: ResolvedSettings;
  /** Of the student's evaluation. */
  confusion?: ConfusionMatrix;
  /** Sentences that the reader must know, such as settings changed in the middle of the run. */
  notes?: readonly string[];
}
