/** Runs a training of a stage in its run's folder: batches of stored views in, checkpoints, metrics and a result out. */
import { join } from "node:path";
import { sha256OfFile } from "../shards/file_hash.ts";
import { RowBatches, type RowBatchesOptions } from "../training/row_batches.ts";
import { train, type Training } from "../training/train.ts";
import { MODEL_FILE } from "../training/weights.ts";
import { cubeSize, type StageContext } from "./stage_context.ts";

/** What a training stage leaves behind. */
export type TrainedResult = {
  /** Folder of the last checkpoint. */
  checkpoint: string;
  /** Of its `model.safetensors`. */
  sha256: string;
  steps: number;
  metrics: { [name: string]: number };
};

/** What tells one training from another; where it writes and how often follows from the run. */
export type StageTraining =
  & Pick<Training, "name" | "engine" | "step" | "batch" | "schedule" | "beta1" | "beta2" | "initial" | "identity">
  & Pick<Training, "executable" | "batchSetting" | "frozen" | "watch">
  & Pick<RowBatchesOptions, "order" | "fields" | "view" | "draw">;

/** Trains to the end of the schedule, from the newest checkpoint if there is one. */
export async function runTraining(context: StageContext, training: StageTraining): Promise<TrainedResult> {
  const { settings, run, signal, progress, warn } = context;
  const { name, batch, schedule, order, fields, view, draw } = training;
  const { checkpoint, steps, metrics } = await train({
    ...training,
    cube: cubeSize(settings),
    batches: (fromStep) =>
      new RowBatches({ order, batch, fromStep, steps: schedule.steps, fields, draw, ...(view && { view }) }),
    checkpoints: run.checkpoints(name),
    checkpointSteps: settings.run.checkpointSteps,
    logSteps: settings.run.logSteps,
    allowChange: settings.run.allowChange,
    metrics: (fromStep) => run.metrics(name, fromStep),
    evidence: { folder: run.file("diverged"), seed: settings.run.seed },
    signal,
    progress,
    warn,
  });
  return { checkpoint, steps, metrics: { ...metrics }, sha256: await sha256OfFile(join(checkpoint, MODEL_FILE)) };
}
