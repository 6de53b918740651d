/** What a training is made of, whoever runs it. */
import type { Engine, Executable } from "../../models/runtime/engine.ts";
import type { CubeSize } from "../../models/shapes.ts";
import type { TrainStep } from "../../models/train_step.ts";
import type { CheckpointFolder } from "../checkpoint_folder.ts";
import type { MetricsFile } from "../metrics.ts";
import type { Progress } from "../progress.ts";
import { type Schedule, scheduleValue } from "../schedule.ts";
import type { BatchSource } from "./batch_source.ts";
import type { EvidenceOptions } from "./diverged_error.ts";
import type { BatchSetting } from "./fitting.ts";
import type { HostParameters } from "./weights.ts";
import type { Watch } from "./watch.ts";

/** What a training is made of. */
export interface Training {
  /** Name in metrics, progress and errors. */
  readonly name: string;
  readonly engine: Engine;
  readonly step: TrainStep;
  /** The compiled step, where several trainings share it. @default compiled here */
  readonly executable?: Executable;
  /** The setting of the batch: the step is compared with the memory that is free. @default nothing is compared */
  readonly batchSetting?: BatchSetting;
  /** Size of a cube. */
  readonly cube: CubeSize;
  /** Clips of a step. */
  readonly batch: number;
  /** Learning rate by step; its length is the training's. */
  readonly schedule: Schedule;
  readonly beta1: number;
  readonly beta2: number;
  /** Parameters of step 0, by name; called only where no checkpoint is taken up. */
  readonly initial: () => HostParameters | Promise<HostParameters>;
  /** Values of the step's frozen inputs, by name. */
  readonly frozen?: HostParameters;
  /** Batches from a step on. */
  readonly batches: (fromStep: number) => BatchSource;
  readonly checkpoints: CheckpointFolder;
  /** Steps between checkpoints. */
  readonly checkpointSteps: number;
  /** Steps between two looks of the progress at the losses. */
  readonly logSteps: number;
  /** Hash of all that decides the result: a checkpoint under another one is set aside. */
  readonly identity: string;
  /** Go on from a checkpoint of another identity. */
  readonly allowChange: boolean;
  /** Opens the metrics of this training for a run that goes on from a step. */
  readonly metrics: (fromStep: number) => MetricsFile;
  /** Where a step that is not finite is kept. @default it is not */
  readonly evidence?: EvidenceOptions;
  /** Looks at the network between steps. @default nobody does */
  readonly watch?: Watch | undefined;
  readonly signal: AbortSignal;
  readonly progress: Progress;
  readonly warn: (message: string) => void;
}

/** Scalar inputs of a step, from 0. */
export function stepScalars({ schedule, beta1, beta2 }: Training, step: number): Record<string, number> {
  return {
    learning_rate: scheduleValue(schedule, step),
    correction1: 1 / (1 - beta1 ** (step + 1)),
    correction2: 1 / (1 - beta2 ** (step + 1)),
  };
}
