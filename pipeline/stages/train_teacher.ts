/**
 * Trains a VideoMAE teacher on the run's own clips, for those who have no teacher's weights: masked autoencoding with
 * tube masks (Tong et al. 2022), the same decoder and loss as the student's pixel branch.
 */
import { join } from "node:path";
import { initialParameters } from "../../models/parameters.ts";
import { uniforms } from "../random.ts";
import { TrainingOrder } from "../row_order.ts";
import { trainingSchedule } from "../schedule.ts";
import { sha256OfFile } from "../shards/config_hash.ts";
import type { FramesSet } from "../shards/frame_shards.ts";
import { videoMaeInputs } from "../training/mask_draws.ts";
import { RowBatches } from "../training/row_batches.ts";
import { train } from "../training/train.ts";
import { teacherStep } from "./programs.ts";
import { computeType, cubeSize, maskSizes, type StageContext } from "./stage_context.ts";

/** What a training stage leaves behind. */
export type TrainedResult = {
  /** Folder of the last checkpoint. */
  checkpoint: string;
  /** Of its `model.safetensors`. */
  sha256: string;
  steps: number;
  metrics: { [name: string]: number };
};

/** Trains the teacher. */
export async function trainTeacher(context: StageContext, frames: FramesSet, identity: string): Promise<TrainedResult> {
  const { settings, run } = context;
  const { teach, pretrain } = settings;
  const engine = await context.engine();
  const sizes = maskSizes(settings);
  const seed = settings.run.seed;
  const batch = teach.trainBatch;
  const order = new TrainingOrder({ items: frames.goodItems(), views: frames.config.views, seed });
  const schedule = trainingSchedule({
    epochs: teach.trainEpochs,
    warmupEpochs: teach.trainWarmupEpochs,
    batch,
    baseLr: teach.trainBaseLr,
    minLr: teach.trainMinLr,
  }, order.epochLength);
  const step = teacherStep(settings, computeType(settings, engine));
  const result = await train({
    name: "train-teacher",
    engine,
    step,
    cube: cubeSize(settings),
    batch,
    schedule,
    beta1: pretrain.beta1,
    beta2: pretrain.beta2,
    initial: () => initialParameters(step.parameters, (count, name) => uniforms(count, seed, "teacher start", name)),
    frozen: initialParameters(step.frozen, () => []),
    batches: (fromStep) =>
      new RowBatches({
        order,
        batch,
        fromStep,
        steps: schedule.steps,
        fields: [{ name: "cubes", set: frames, dataset: "/cubes" }],
        draw: (rows) => videoMaeInputs(rows, sizes, seed),
      }),
    checkpoints: run.checkpoints("train-teacher"),
    checkpointSteps: settings.run.checkpointSteps,
    logSteps: settings.run.logSteps,
    identity,
    allowChange: settings.run.allowChange,
    metrics: (fromStep) => run.metrics("train-teacher", fromStep),
    signal: context.signal,
    progress: context.progress,
    warn: context.warn,
  });
  return await trainedResult(result);
}

/** A training's result with the hash of its weights. */
export async function trainedResult(
  { checkpoint, steps, metrics }: { checkpoint: string; steps: number; metrics: { readonly [name: string]: number } },
): Promise<TrainedResult> {
  return {
    checkpoint,
    steps,
    metrics: { ...metrics },
    sha256: await sha256OfFile(join(checkpoint, "model.safetensors")),
  };
}
