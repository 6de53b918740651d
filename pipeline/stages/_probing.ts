/** What the probe of a finished student and those in the middle of its training share: clips in, features and accuracies out. */
import type { ClipFeatures } from "../probe/features.ts";
import type { FramesSet } from "../shards/frame_shards.ts";
import type { Network } from "../training/network.ts";
import type { StageContext } from "./stage_context.ts";

/** How long the host may compute before it looks for an interruption, ms. */
const UNHEARD_MS = 100;

/** A part of the data set. */
export interface ProbePart {
  readonly frames: FramesSet;
  /** Label of every item, -1 where it has none. */
  readonly labels: Int32Array;
  /** Which view of a clip is looked at. */
  readonly view: number;
}

/** Labelled clips to learn from and to ask about. */
export interface ProbeParts {
  readonly train: ProbePart;
  readonly val: ProbePart;
  readonly classes: number;
}

/** The items of a part that have a label and were decoded, ascending. */
export function labelledOf({ frames, labels }: ProbePart): Uint32Array {
  return frames.goodItems().filter((item) => labels[item]! >= 0);
}

/** Features of one view of each item. */
export async function readFeatures(
  { settings, signal }: StageContext,
  network: Network,
  { frames, labels, view }: ProbePart,
  items: Uint32Array,
  advance: (clips: number) => void = () => {},
): Promise<ClipFeatures> {
  const width = settings.student.width;
  const values = new Float32Array(items.length * width);
  const rows = items.map((item) => item * frames.config.views + view);
  let done = 0;
  for await (const found of network.infer({ frames, rows, batch: settings.finetune.evalBatch, signal })) {
    const features = found.outputs.get("features") as Float32Array;
    values.set(features.subarray(0, found.rows.length * width), done * width);
    done += found.rows.length;
    advance(found.rows.length);
  }
  return { values, width, labels: Int32Array.from(items, (item) => labels[item]!) };
}

/** Lets signals through now and then, and throws the reason of an interruption. */
export function interruptible(signal: AbortSignal): () => Promise<void> | void {
  let heard = performance.now();
  return () => {
    if (performance.now() - heard < UNHEARD_MS) return;
    return new Promise<void>((resolve) => setTimeout(resolve)).then(() => {
      signal.throwIfAborted();
      heard = performance.now();
    });
  };
}
