/**
 * Classifies the validation clips, all their views averaged after softmax: top-1 and top-5 accuracy, confusion matrix,
 * one CSV line a clip and one a class.
 */
import { csvText } from "../csv.ts";
import type { FramesSet } from "../shards/frame_shards.ts";
import { readViewRecords } from "../shards/view_records.ts";
import { writeFileAtomically } from "../shards/_publish.ts";
import { Network } from "../training/network.ts";
import { checkpointParameters } from "../training/weights.ts";
import type { Settings } from "../settings.ts";
import { batchSetting } from "./batch_setting.ts";
import { ClipTally, judge, ViewMean } from "./clip_scores.ts";
import type { Start } from "./finetune.ts";
import { classification } from "./programs.ts";
import { computeType, type StageContext } from "./stage_context.ts";

/** How well a classifier did. */
export type Accuracy = {
  /** Shares of the clips, 0 to 1. */
  top1: number;
  top5: number;
  /** Clips by true class (row) and predicted class (column); without those that have no prediction. */
  confusion: number[][];
};

/** What the stage leaves behind. */
export type EvaluateResult = {
  /** Validation clips with a label that were decoded. */
  clips: number;
  classes: number;
  student: Accuracy;
  scratch: Accuracy;
};

/** What to evaluate. */
export interface EvaluateData {
  /** Validation views. */
  readonly frames: FramesSet;
  /** Label of every item, -1 where it has none. */
  readonly labels: Int32Array;
  readonly classes: readonly string[];
  /** Folders of the classifiers' checkpoints. */
  readonly student: string;
  readonly scratch: string;
}

/** Evaluates both classifiers. @throws {RangeError} if no validation clip can be used */
export async function evaluate(context: StageContext, data: EvaluateData): Promise<EvaluateResult> {
  const { frames, labels, classes } = data;
  const { views } = frames.config;
  const items = frames.goodItems().filter((item) => labels[item]! >= 0);
  if (items.length === 0) {
    throw new RangeError("No validation clip with a label was decoded: there is nothing to evaluate");
  }
  const rows = Uint32Array.from({ length: items.length * views }, (_, i) => {
    return items[Math.floor(i / views)]! * views + i % views;
  });
  const engine = await context.engine();
  const { settings } = context;
  const programOf = (settings: Settings) => classification(settings, classes.length, computeType(settings, engine));
  const forward = programOf(settings);
  const weights = (which: Start) => checkpointParameters(data[which], forward.parameters);
  const setting = batchSetting(settings, "finetune.evalBatch", programOf);
  using network = await Network.load(engine, forward, await weights("student"), setting);
  const student = await classify(context, data, rows, network, "student");
  network.setParameters(await weights("scratch"));
  const scratch = await classify(context, data, rows, network, "scratch");
  return { clips: items.length, classes: classes.length, student, scratch };
}

async function classify(
  context: StageContext,
  { frames, labels, classes }: EvaluateData,
  rows: Uint32Array,
  network: Network,
  which: Start,
): Promise<Accuracy> {
  const { views } = frames.config;
  using bar = context.progress.begin(`evaluate ${which}`, rows.length / views, "clips");
  const mean = new ViewMean(classes.length, views), tally = new ClipTally(classes.length);
  const names = clipNames(frames);
  const lines: (string | number)[][] = [["clip", "label", "prediction", "probability"]];
  const batch = context.settings.finetune.evalBatch;
  let done = 0;
  for await (const found of network.infer({ frames, rows, batch, signal: context.signal })) {
    const logits = found.outputs.get("logits") as Float32Array;
    found.rows.forEach((row, i) => {
      const probabilities = mean.add(logits.subarray(i * classes.length, (i + 1) * classes.length));
      if (!probabilities) return;
      const item = Math.floor(row / views), label = labels[item]!;
      const verdict = judge(probabilities, label);
      tally.add(label, verdict);
      lines.push([names[item]!, label, verdict.prediction ?? "", verdict.probability.toFixed(4)]);
    });
    bar.update(Math.floor((done += found.rows.length) / views));
  }
  writeFileAtomically(context.run.file(`predictions-${which}.csv`), csvText(lines));
  const table = [["class", "clips", "top-1"], ...tally.perClass(classes)];
  writeFileAtomically(context.run.file(`per-class-${which}.csv`), csvText(table));
  const { top1, top5, confusion } = tally;
  return { top1, top5, confusion };
}

function clipNames(frames: FramesSet): string[] {
  const records = Array.from({ length: frames.shards }, (_, shard) => readViewRecords(frames, shard)).flat();
  return records.filter(({ view }) => view === 0).map(({ name }) => name);
}
