/** Classifies the validation clips, one view each: top-1 and top-5 accuracy, confusion matrix, one CSV line a clip. */
import type { FramesSet } from "../shards/frame_shards.ts";
import { readViewRecords } from "../shards/view_records.ts";
import { writeFileAtomically } from "../shards/_publish.ts";
import { Network } from "../training/network.ts";
import { checkpointParameters } from "../training/weights.ts";
import type { Start } from "./finetune.ts";
import { classification } from "./programs.ts";
import { computeType, type StageContext } from "./stage_context.ts";

/** How well a classifier did. */
export type Accuracy = {
  /** Shares of the clips, 0 to 1. */
  top1: number;
  top5: number;
  /** Clips by true class (row) and predicted class (column). */
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
  const rows = frames.goodItems().filter((item) => labels[item]! >= 0).map((item) => item * frames.config.views);
  if (rows.length === 0) {
    throw new RangeError("No validation clip with a label was decoded: there is nothing to evaluate");
  }
  const engine = await context.engine();
  const { settings } = context;
  const forward = classification(settings, classes.length, computeType(settings, engine));
  const weights = (which: Start) => checkpointParameters(data[which], forward.parameters);
  using network = await Network.load(engine, forward, await weights("student"));
  const student = await classify(context, data, rows, network, "student");
  network.setParameters(await weights("scratch"));
  const scratch = await classify(context, data, rows, network, "scratch");
  return { clips: rows.length, classes: classes.length, student, scratch };
}

async function classify(
  context: StageContext,
  { frames, labels, classes: { length: classes } }: EvaluateData,
  rows: Uint32Array,
  network: Network,
  which: Start,
): Promise<Accuracy> {
  using bar = context.progress.begin(`evaluate ${which}`, rows.length, "clips");
  const confusion = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  const names = clipNames(frames);
  const lines = ["clip,label,prediction,probability"];
  const batch = context.settings.finetune.evalBatch;
  let done = 0, inTop5 = 0;
  for await (const found of network.infer({ frames, rows, batch, signal: context.signal })) {
    const logits = found.outputs.get("logits") as Float32Array;
    found.rows.forEach((row, i) => {
      const scores = logits.subarray(i * classes, (i + 1) * classes);
      const item = Math.floor(row / frames.config.views);
      const label = labels[item]!;
      const { best, probability } = softmaxBest(scores);
      confusion[label]![best]!++;
      // A tie counts against the clip.
      if (scores.filter((score, other) => other !== label && score >= scores[label]!).length < 5) inTop5++;
      lines.push([quote(names[item]!), label, best, probability.toFixed(4)].join(","));
    });
    bar.update(done += found.rows.length);
  }
  writeFileAtomically(context.run.file(`predictions-${which}.csv`), lines.join("\n") + "\n");
  const hits = confusion.reduce((sum, line, label) => sum + line[label]!, 0);
  return { top1: hits / rows.length, top5: inTop5 / rows.length, confusion };
}

function softmaxBest(scores: Float32Array): { best: number; probability: number } {
  const best = scores.indexOf(Math.max(...scores));
  const sum = scores.reduce((total, score) => total + Math.exp(score - scores[best]!), 0);
  return { best, probability: 1 / sum };
}

function clipNames(frames: FramesSet): string[] {
  const records = Array.from({ length: frames.shards }, (_, shard) => readViewRecords(frames, shard)).flat();
  return records.filter(({ view }) => view === 0).map(({ name }) => name);
}

/** A CSV field. */
function quote(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
