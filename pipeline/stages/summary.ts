/** The numbers of a run, gathered from what its stages left: for the terminal, the report and `--json`. */
import { readMetrics } from "../metrics.ts";
import { lossesAtEnd, trainedStages } from "../report/curves.ts";
import type { AccuracySummary, DataSummary, ProbeSummary, RunSummary, StageTime } from "../report/report_data.ts";
import type { RunFolder } from "../run_folder.ts";
import type { StageResults } from "./chain_state.ts";
import type { EvaluateResult } from "./evaluate.ts";
import type { ProbeResult } from "./probe.ts";

/**
 * Gathers the summary.
 *
 * @param stages Stages of this call, in order.
 * @param seconds Time of this call so far.
 */
export function gatherSummary(
  run: RunFolder,
  results: StageResults,
  stages: readonly StageTime[],
  seconds: number,
): RunSummary {
  const metrics = readMetrics(run.file("metrics.jsonl"));
  return {
    run: run.path,
    seconds,
    stages: [...stages],
    data: dataSummary(results),
    losses: trainedStages(metrics).flatMap((stage) => lossesAtEnd(metrics, stage) ?? []),
    accuracy: results.evaluate ? accuracySummary(results.evaluate, results.prepare!.val!.views, results.probe) : null,
    probe: results.probe ? probeSummary(results.probe) : null,
  };
}

function dataSummary({ prepare, teach }: StageResults): DataSummary | null {
  if (!prepare) return null;
  const parts = prepare.val ? [prepare.train, prepare.val] : [prepare.train];
  const sum = (key: "shards" | "bytes") => parts.reduce((total, part) => total + part[key], teach?.[key] ?? 0);
  return {
    trainClips: prepare.train.clips,
    valClips: prepare.val?.clips ?? 0,
    views: prepare.train.views,
    badClips: parts.flatMap(({ bad }) =>
      // Views of one clip share its defect.
      [...new Map(bad.map((view) => [view.item, view])).values()].map(({ name, reason, detail, byteOffset }) => ({
        name,
        reason: `${reason}: ${detail}`,
        byteOffset: byteOffset ?? undefined,
      }))
    ),
    shards: sum("shards"),
    bytes: sum("bytes"),
  };
}

function accuracySummary(
  { clips, classes, student, scratch }: EvaluateResult,
  views: number,
  probe: ProbeResult | undefined,
): AccuracySummary {
  return {
    kind: views === 1 ? "top-1 after fine-tuning" : `top-1 after fine-tuning, mean of ${views} views`,
    clips,
    chance: 1 / classes,
    student: student.top1,
    scratch: scratch?.top1 ?? null,
    // Among five of five everything is right.
    ...(classes > 5 && { top5: { student: student.top5, scratch: scratch?.top5 ?? null } }),
    others: probe ? probeRows(probe) : [],
  };
}

function probeRows({ student, scratch }: ProbeResult): AccuracySummary["others"] {
  return [
    { name: "frozen student, linear probe", accuracy: student.linear },
    { name: "frozen student, nearest neighbours", accuracy: student.knn },
    { name: "frozen random weights, linear probe", accuracy: scratch.linear },
    { name: "frozen random weights, nearest neighbours", accuracy: scratch.knn },
  ];
}

function probeSummary({ classes, student, scratch }: ProbeResult): ProbeSummary {
  return {
    knn: student.knn,
    linear: student.linear,
    knnScratch: scratch.knn,
    linearScratch: scratch.linear,
    chance: 1 / classes,
  };
}
