/**
 * Classifies the validation clips, all their views averaged after softmax: top-1 and top-5 accuracy, confusion matrix,
 * one CSV line a clip and one a class. Where fine-tuning keeps a moving average of the weights, that is evaluated. One that was stopped or killed goes on with the clips that are not judged yet, in
 * the same batches, so that it comes to the same numbers.
 */
import fs from "node:fs";
import { csvText } from "../csv.ts";
import type { FramesSet } from "../shards/frame_shards.ts";
import { readViewRecords } from "../shards/view_records.ts";
import { writeFileAtomically } from "../shards/_publish.ts";
import { Network } from "../training/network.ts";
import { readParameters, testedFile } from "../training/weights.ts";
import type { Settings } from "../settings.ts";
import { batchSetting } from "./batch_setting.ts";
import { ClipTally, judge, type Verdict, ViewMean } from "./clip_scores.ts";
import type { Start } from "./finetune.ts";
import { classification } from "./programs.ts";
import { computeType, type StageContext } from "./stage_context.ts";
import { VerdictJournal } from "./verdict_journal.ts";

/** The classifiers there may be. */
const STARTS: readonly Start[] = ["student", "scratch"];

/** How well a classifier did. */
export type Accuracy = {
  /** Shares of the clips, 0 to 1. */
  top1: number;
  top5: number;
  /** Clips by true class (row) and predicted class (column); without those that have no prediction. */
  confusion: number[][];
  /** Clips by true class. */
  clips: number[];
};

/** What the stage leaves behind. */
export type EvaluateResult = {
  /** Validation clips with a label that were decoded. */
  clips: number;
  classes: number;
  student: Accuracy;
  /** Null if there is no such classifier. */
  scratch: Accuracy | null;
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
  readonly scratch: string | null;
}

/**
 * Evaluates the classifiers.
 *
 * @param identity Hash of all that decides the result: what a killed evaluation of another one left is not taken up.
 * @throws {RangeError} if no validation clip can be used
 */
export async function evaluate(context: StageContext, data: EvaluateData, identity: string): Promise<EvaluateResult> {
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
  const weights = (folder: string) => readParameters(testedFile(folder), forward.parameters);
  const setting = batchSetting(settings, "finetune.evalBatch", programOf);
  using network = await Network.load(engine, forward, await weights(data.student), setting);
  const student = await classify(context, data, rows, network, "student", identity);
  let scratch: Accuracy | null = null;
  if (data.scratch !== null) {
    network.setParameters(await weights(data.scratch));
    scratch = await classify(context, data, rows, network, "scratch", identity);
  }
  for (const which of STARTS) fs.rmSync(context.run.file(journalName(which)), { force: true });
  return { clips: items.length, classes: classes.length, student, scratch };
}

/** @param rows Views of the clips, clip after clip. */
async function classify(
  context: StageContext,
  data: EvaluateData,
  rows: Uint32Array,
  network: Network,
  which: Start,
  identity: string,
): Promise<Accuracy> {
  const { frames, labels, classes } = data, { views } = frames.config, clips = rows.length / views;
  const { settings: { finetune: { evalBatch: batch } }, signal } = context;
  using journal = VerdictJournal.open(
    context.run.file(journalName(which)),
    `${identity} ${which} in batches of ${batch}`,
  );
  const verdicts = [...journal.found];
  using bar = context.progress.begin(`evaluate ${which}`, clips, "clips", { from: verdicts.length });
  const mean = new ViewMean(classes.length, views);
  // Batches begin where they would have begun: what a network says of a clip may depend on its place, in the last bits.
  let skipped = verdicts.length * views % batch;
  const first = verdicts.length * views - skipped;
  for await (const found of network.infer({ frames, rows: rows.subarray(first), batch, signal })) {
    const logits = found.outputs.get("logits") as Float32Array;
    const judged = found.rows.flatMap((row, i) => {
      if (skipped > 0 && skipped-- > 0) return [];
      const probabilities = mean.add(logits.subarray(i * classes.length, (i + 1) * classes.length));
      return probabilities ? [judge(probabilities, labels[Math.floor(row / views)]!)] : [];
    });
    journal.append(judged);
    verdicts.push(...judged);
    bar.update(verdicts.length);
  }
  const items = Array.from({ length: clips }, (_, i) => Math.floor(rows[i * views]! / views));
  return writeVerdicts(context, data, which, items, verdicts);
}

/** Writes the tables of a classifier, and counts. */
function writeVerdicts(
  { run }: StageContext,
  { frames, labels, classes }: EvaluateData,
  which: Start,
  items: readonly number[],
  verdicts: readonly Verdict[],
): Accuracy {
  const names = clipNames(frames), tally = new ClipTally(classes.length);
  const lines = items.map((item, i): (string | number)[] => {
    const { prediction = "", probability, labelProbability, best } = verdicts[i]!, label = labels[item]!;
    tally.add(label, verdicts[i]!);
    return [names[item]!, label, prediction, probability.toFixed(4), labelProbability.toFixed(4), best.join(" ")];
  });
  const head = ["clip", "label", "prediction", "probability", "label-probability", "top-5"];
  writeFileAtomically(run.file(`predictions-${which}.csv`), csvText([head, ...lines]));
  const table = [["class", "clips", "top-1", "top-5"], ...tally.perClass(classes)];
  writeFileAtomically(run.file(`per-class-${which}.csv`), csvText(table));
  const { top1, top5, confusion, clips } = tally;
  return { top1, top5, confusion, clips };
}

function journalName(which: Start): string {
  return `evaluate-${which}.journal`;
}

function clipNames(frames: FramesSet): string[] {
  const records = Array.from({ length: frames.shards }, (_, shard) => readViewRecords(frames, shard)).flat();
  return records.filter(({ view }) => view === 0).map(({ name }) => name);
}
