/**
 * Fine-tunes a classifier on labelled clips twice under one protocol: from the pre-trained student's encoder, and (unless
 * that is not wanted) from random weights, so that what pre-training is worth can be read off. The official recipe (sections
 * 1.3, 6.4 and 7 of the method): mean-pooled tokens, label smoothing, drop path, layer-wise decay of the learning rate,
 * repeated augmentation, RandAugment, crops, erasing, mixup and cutmix, as far as the settings say; both starts get the same
 * clips. Other than there, crops are taken from the views that are stored.
 */
import { initialParameters } from "../../models/parameters.ts";
import type { Engine, Executable, HostArray } from "../../models/runtime/engine.ts";
import type { TrainStep } from "../../models/train_step.ts";
import { uniforms } from "../random.ts";
import { TrainingOrder } from "../row_order.ts";
import { trainingSchedule } from "../schedule.ts";
import type { FramesSet } from "../shards/frame_shards.ts";
import { clipDraws, mixDraws, mixedTargets } from "../training/augmentation_draws.ts";
import type { BatchRow } from "../training/mask_draws.ts";
import type { Settings } from "../settings.ts";
import { compileFitting } from "../training/fitting.ts";
import { batchSetting } from "./batch_setting.ts";
import { finetuneStep } from "./programs.ts";
import { labelledItems } from "./labelled_items.ts";
import { computeType, type StageContext } from "./stage_context.ts";
import { runTraining, type TrainedResult } from "./run_training.ts";
import type { Student } from "./student.ts";

/** A classifier's start: the pre-trained student, or random weights. */
export type Start = "student" | "scratch";

/** What the stage leaves behind. */
export type FinetuneResult = {
  /** Clips used. */
  labelled: number;
  classes: number;
  student: TrainedResult;
  /** Null if it was not wanted. */
  scratch: TrainedResult | null;
};

/** What to fine-tune on. */
export interface FinetuneData {
  readonly frames: FramesSet;
  /** Label of every item of the frames, -1 where it has none. */
  readonly labels: Int32Array;
  readonly classes: number;
  readonly student: Student;
}

/** Fine-tunes the classifiers. @throws {RangeError} if no clip has a label */
export async function finetune(context: StageContext, data: FinetuneData, identity: string): Promise<FinetuneResult> {
  const { settings } = context;
  const items = labelledItems(settings, data.frames, data.labels);
  const engine = await context.engine();
  const stepOf = (settings: Settings) => finetuneStep(settings, data.classes, computeType(settings, engine));
  const step = stepOf(settings);
  using executable = await compileFitting(engine, step.program, batchSetting(settings, "finetune.batch", stepOf));
  const parts = { context, data, items, engine, step, executable, identity };
  const student = await finetuneFrom("student", parts);
  const scratch = settings.finetune.scratch ? await finetuneFrom("scratch", parts) : null;
  return { labelled: items.length, classes: data.classes, student, scratch };
}

/** What both trainings share. */
interface Parts {
  context: StageContext;
  data: FinetuneData;
  items: Uint32Array;
  engine: Engine;
  step: TrainStep;
  executable: Executable;
  identity: string;
}

async function finetuneFrom(start: Start, parts: Parts): Promise<TrainedResult> {
  const { context, data: { frames, labels, classes, student }, items, engine, step, executable, identity } = parts;
  const { settings } = context;
  const { clip, finetune, pretrain } = settings;
  const { batch, dropPath, labelSmoothing, repeatedAugmentation: copies } = finetune;
  const seed = settings.run.seed;
  const name = `finetune-${start}`;
  const order = new TrainingOrder({ items, views: frames.config.views, seed, copies });
  const schedule = trainingSchedule(finetune, order.epochLength);
  const size = { height: clip.size, width: clip.size };
  const label = (row: number) => labels[Math.floor(row / frames.config.views)]!;
  const draw = (rows: readonly BatchRow[]) => {
    const { shares, inputs: mix } = mixDraws(rows, finetune, size, seed);
    const targets = mixedTargets(rows.map(({ row }) => label(row)), shares, classes, labelSmoothing);
    const inputs = new Map<string, HostArray>([["targets", targets], ...clipDraws(rows, finetune, size, seed), ...mix]);
    if (dropPath > 0) {
      const keys = rows.flatMap(({ row, epoch, copy = 0 }) => {
        return [...uniforms(2, seed, `drop path of ${name}`, epoch, row, ...copy > 0 ? [copy] : [])];
      });
      inputs.set("drop_keys", Uint32Array.from(keys, (key) => key * 2 ** 32));
    }
    return inputs;
  };
  return await runTraining(context, {
    name,
    engine,
    step,
    executable,
    batch,
    schedule,
    beta1: pretrain.beta1,
    beta2: finetune.beta2,
    initial: async () => {
      // One draw for both starts: head and encoder begin alike but for what the student brings.
      const random = initialParameters(
        step.parameters,
        (count, name) => uniforms(count, seed, "classifier start", name),
      );
      return start === "scratch" ? random : new Map([...random, ...await student.parameters(step.parameters)]);
    },
    frozen: initialParameters(step.frozen, () => []),
    order,
    fields: [{ name: "cubes", set: frames, dataset: "/cubes" }],
    draw,
    identity: `${identity}-${start}`,
  });
}
