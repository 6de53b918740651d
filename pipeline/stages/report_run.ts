/**
 * The `report` stage: gathers what the page shows, among it a few clips with their masks and with what the student's
 * pixel decoder makes of the hidden cubes.
 */
import os from "node:os";
import { cubeLayout } from "../../decoders/cubes.ts";
import { tokensOf } from "../../models/shapes.ts";
import { reconstruction } from "../../models/videomae.ts";
import { readMetrics } from "../metrics.ts";
import type { ReportClip, RunSummary } from "../report/report_data.ts";
import { writeReport } from "../report/write_report.ts";
import { type FramesSet, openFramesSet } from "../shards/frame_shards.ts";
import { readViewRecords } from "../shards/view_records.ts";
import type { Settings } from "../settings.ts";
import type { StageRecord } from "../stage_log.ts";
import { Network } from "../training/network.ts";
import { amdInputs, teacherPositions, videoMaeInputs } from "../training/mask_draws.ts";
import { checkpointParameters } from "../training/weights.ts";
import type { ChainState, ReportResult } from "./chain_state.ts";
import { PROBES_FILE, readProbes } from "./probe_watch.ts";
import { computeType, learnsFrom, maskSizes, studentShape, tokenGrid } from "./stage_context.ts";

/** Clips that the report shows. */
const SHOWN_CLIPS = 4;

/** Writes the report of a run. */
export async function reportRun(state: ChainState): Promise<ReportResult> {
  const { run, results } = state;
  const path = run.file("report.html");
  const { evaluate, prepare } = results;
  using bar = state.progress.begin("report", 1, "pages");
  await writeReport(path, {
    title: `Tubelet: ${state.resolved.preset ?? "run"} in ${run.path}`,
    written: new Date(),
    command: state.command,
    environment: await environment(state),
    summary: withStages(state.summary(), run.stages.records),
    metrics: readMetrics(run.file("metrics.jsonl")),
    probes: readProbes(run.file(PROBES_FILE)),
    clips: await shownClips(state),
    settings: state.resolved,
    ...(evaluate && {
      confusion: {
        classes: prepare!.classes,
        counts: evaluate.student.confusion.flat(),
        clips: evaluate.student.clips,
      },
    }),
    notes: run.changes.map(({ flag, before, after }) =>
      `--${flag} was changed from ${JSON.stringify(before)} to ${JSON.stringify(after)} in the middle of this run`
    ),
  });
  bar.update(1);
  return { path };
}

/** A summary with the stages of earlier calls among those of this one, such as a report that is written again. */
function withStages(summary: RunSummary, records: readonly StageRecord[]): RunSummary {
  const stages = records.filter(({ name }) => name !== "report").map(({ name, seconds }) => {
    return summary.stages.find((stage) => stage.name === name) ?? { name, seconds, skipped: true };
  });
  return { ...summary, stages };
}

async function environment(state: ChainState): Promise<{ name: string; value: string }[]> {
  const { description } = await state.engine();
  const cpus = os.cpus();
  return [
    { name: "Engine", value: description },
    { name: "Processor", value: `${cpus[0]?.model ?? "unknown"}, ${os.availableParallelism()} threads` },
    { name: "Memory", value: `${Math.round(os.totalmem() / 2 ** 30)} GiB` },
    { name: "System", value: `${os.type()} ${os.release()} ${os.arch()}` },
    { name: "Deno", value: Deno.version.deno },
  ];
}

/** Clips spread over the validation part, or over the training part where nothing is held back. */
async function shownClips(state: ChainState): Promise<ReportClip[]> {
  const { settings, results } = state;
  const { train, val } = results.prepare!;
  using frames = openFramesSet((val && val.badClips < val.clips ? val : train).folder);
  const items = frames.goodItems();
  const count = Math.min(SHOWN_CLIPS, items.length);
  if (count === 0) return [];
  const rows = Array.from({ length: count }, (_, i) => items[Math.floor((i + 0.5) * items.length / count)]!)
    .map((item) => item * frames.config.views);
  const masks = (shown: readonly number[]) => shownMasks(settings, shown);
  const tokens = masks(rows);
  const predictions = results.pretrain && await predict(state, frames, rows, masks);
  const { frames: length, size, tubelet, patch } = settings.clip;
  const layout = cubeLayout(length, size, size, tubelet, patch);
  const part = <T extends Int32Array | Float32Array>(values: T, i: number) =>
    values.subarray(i * values.length / count, (i + 1) * values.length / count) as T;
  return await Promise.all(rows.map(async (row, i) => {
    const cubes = new Uint8Array(layout.bytes);
    await frames.readRow("/cubes", row, cubes);
    const { name, label } = readViewRecords(frames, frames.shardOf(row))[row % frames.config.rowsPerShard]!;
    const hidden = part(tokens.get("hidden_tokens")!, i);
    return {
      name,
      label: label === null ? null : results.prepare!.classes[label]!,
      layout,
      cubes,
      studentTokens: part(tokens.get("student_tokens")!, i),
      teacherOnlyTokens: part(tokens.get("teacher_only_tokens")!, i),
      prediction: predictions ? { tokens: hidden, values: part(predictions, i), form: settings.clip.form } : null,
    };
  }));
}

/** The masks of the first epoch; without a teacher no token is its own, without pre-training all are seen. */
function shownMasks(settings: Settings, rows: readonly number[]): ReadonlyMap<string, Int32Array> {
  const none = new Int32Array(0);
  if (learnsFrom(settings) === "nothing") {
    const all = tokensOf(tokenGrid(settings));
    const seen = Int32Array.from({ length: rows.length * all }, (_, i) => i % all);
    return new Map([["student_tokens", seen], ["hidden_tokens", none], ["teacher_only_tokens", none]]);
  }
  const sizes = maskSizes(settings), { seed } = settings.run;
  const drawn = rows.map((row) => ({ row, epoch: 0 }));
  if (learnsFrom(settings) === "teacher") {
    return amdInputs(drawn, (row) => teacherPositions(sizes, seed, row), sizes, seed);
  }
  const tokens = videoMaeInputs(drawn, sizes, seed, "student mask");
  return new Map([
    ["student_tokens", tokens.get("visible_tokens")!],
    ["hidden_tokens", tokens.get("hidden_tokens")!],
    ["teacher_only_tokens", none],
  ]);
}

/** What the student makes of the hidden cubes, [clips, hidden tokens, P]. */
async function predict(
  state: ChainState,
  frames: FramesSet,
  rows: readonly number[],
  masks: (rows: readonly number[]) => ReadonlyMap<string, Int32Array>,
): Promise<Float32Array> {
  const { settings, results } = state;
  const engine = await state.engine();
  const sizes = maskSizes(settings);
  const forward = reconstruction({
    shape: studentShape(settings),
    batch: rows.length,
    visible: sizes.slots * sizes.student,
    compute: computeType(settings, engine),
  });
  const parameters = await checkpointParameters(results.pretrain!.checkpoint, forward.parameters);
  const inputs = (shown: readonly number[]) => {
    const tokens = masks(shown);
    return new Map([
      ["visible_tokens", tokens.get("student_tokens")!],
      ["hidden_tokens", tokens.get("hidden_tokens")!],
    ]);
  };
  using network = await Network.load(engine, forward, parameters);
  for await (const { outputs } of network.infer({ frames, rows, batch: rows.length, inputs })) {
    return outputs.get("prediction") as Float32Array;
  }
  throw new RangeError("There is no clip to show");
}
