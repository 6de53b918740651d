/** A run on its way through the stages: what they work with and what they left. */
import type { RunSummary } from "../report/report_data.ts";
import type { ResolvedSettings } from "../settings.ts";
import type { ClipSources, DemoResult } from "./clip_sources.ts";
import type { EvaluateResult } from "./evaluate.ts";
import type { FinetuneResult } from "./finetune.ts";
import type { PrepareResult } from "./prepare_splits.ts";
import type { ProbeResult } from "./probe.ts";
import type { StageContext } from "./stage_context.ts";
import type { Student } from "./student.ts";
import type { Teacher } from "./teacher.ts";
import type { TeachResult } from "./teach.ts";
import type { TrainedResult } from "./run_training.ts";

/** What the stages left, by name; a stage that does not apply leaves nothing. */
export interface StageResults {
  demo?: DemoResult;
  prepare?: PrepareResult;
  "train-teacher"?: TrainedResult;
  teach?: TeachResult;
  pretrain?: TrainedResult;
  finetune?: FinetuneResult;
  evaluate?: EvaluateResult;
  probe?: ProbeResult;
  report?: ReportResult;
}

/** What the `report` stage leaves behind. */
export type ReportResult = { path: string };

/** A run on its way through the stages. */
export interface ChainState extends StageContext {
  readonly command: readonly string[];
  readonly resolved: ResolvedSettings;
  readonly results: StageResults;
  /** Clips of the run, read once. */
  sources?: ClipSources;
  /** The teacher, resolved once. */
  teacher?: Teacher;
  /** The encoder that is fine-tuned and probed, resolved once. */
  student?: Student;
  /** The numbers so far. */
  readonly summary: () => RunSummary;
}
