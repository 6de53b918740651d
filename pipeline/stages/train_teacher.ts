/**
 * Trains a VideoMAE teacher on the run's own clips, for those who have no teacher's weights: masked autoencoding with
 * tube masks (Tong et al. 2022), the same decoder and loss as the student's pixel branch.
 */
import { runTraining, type TrainedResult } from "./run_training.ts";
import { initialParameters } from "../../models/parameters.ts";
import { uniforms } from "../random.ts";
import { TrainingOrder } from "../row_order.ts";
import { trainingSchedule } from "../schedule.ts";
import type { FramesSet } from "../shards/frame_shards.ts";
import { videoMaeInputs } from "../training/mask_draws.ts";
import { batchSetting } from "./batch_setting.ts";
import { teacherStep } from "./programs.ts";
import { computeType, maskSizes, type StageContext } from "./stage_context.ts";

/** Trains the teacher. */
export async function trainTeacher(context: StageContext, frames: FramesSet, identity: string): Promise<TrainedResult> {
  const { settings } = context;
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
  const compute = computeType(settings, engine);
  const step = teacherStep(settings, compute);
  return await runTraining(context, {
    name: "train-teacher",
    engine,
    step,
    batchSetting: batchSetting(settings, "teach.trainBatch", (other) => teacherStep(other, compute)),
    batch,
    schedule,
    beta1: pretrain.beta1,
    beta2: pretrain.beta2,
    initial: () => initialParameters(step.parameters, (count, name) => uniforms(count, seed, "teacher start", name)),
    frozen: initialParameters(step.frozen, () => []),
    order,
    fields: [{ name: "cubes", set: frames, dataset: "/cubes" }],
    draw: (rows) => videoMaeInputs(rows, sizes, seed),
    identity,
  });
}
