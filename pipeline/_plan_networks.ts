/**
 * The programs that a planned run executes, and what each costs: arithmetic read off the traced graph (two operations a
 * multiply-add of the matrix products, the way back included), memory estimated from it. Nothing is compiled.
 */
import type { ParameterSpec } from "../models/parameters.ts";
import type { Compute } from "../models/shapes.ts";
import { DTYPE_BYTES, matmulFlop, sizeOf, workingBytes } from "../models/tensor/mod.ts";
import type { DataSpec, ForwardProgram, TrainStep } from "../models/train_step.ts";
import type { PlannedData } from "./_plan_data.ts";
import { trainingSchedule } from "./schedule.ts";
import type { Settings, Stage } from "./settings.ts";
import { MOST_PROBED } from "./stages/labelled_items.ts";
import { validation } from "./stages/prepare_splits.ts";
import {
  classification,
  finetuneStep,
  probedFeatures,
  studentStep,
  teacherFeatures,
  teacherStep,
} from "./stages/programs.ts";
import { learnsFrom } from "./stages/stage_context.ts";

/** Device memory of a program, bytes. An estimate: compilers keep more, or less, than the graph says. */
export interface PlannedMemory {
  /** Parameters, trained and frozen. */
  readonly parameters: number;
  /** AdamW's two moments, and the moving average of the parameters where there is one. */
  readonly moments: number;
  /** Inputs of a batch. */
  readonly batch: number;
  /** Activations and gradients at their most. */
  readonly working: number;
  readonly total: number;
}

/** A program, and how often it runs. */
export interface PlannedWork {
  readonly stage: Stage;
  readonly program: TrainStep | ForwardProgram;
  /** Clips of a batch. */
  readonly batch: number;
  /** Batches, all networks of the stage together. */
  readonly steps: number;
  /** Networks that the stage handles one after the other. */
  readonly networks: number;
  /** Whether the stage trains them. */
  readonly trains: boolean;
  /** Trained, or read by a forward pass. */
  readonly parameters: number;
  readonly flopPerStep: number;
  readonly memory: PlannedMemory;
}

/** Fine-tuning and what follows handle the student and the same network from random weights. */
const NETWORKS = 2;

/** The work of every stage that the run has, in order. */
export function plannedWork(settings: Settings, { train, val, classes }: PlannedData, compute: Compute): PlannedWork[] {
  const { data, teacher, teach, alignment, pretrain, finetune } = settings;
  const training = (stage: Stage, program: TrainStep, rates: typeof pretrain | typeof finetune, clips: number) =>
    work(stage, program, rates.batch, trainingSchedule(rates, clips).steps);
  const forward = (stage: Stage, program: ForwardProgram, batch: number, views: number) =>
    work(stage, program, batch, Math.ceil(views / batch));
  const found: PlannedWork[] = [];
  const learns = learnsFrom(settings);
  if (teacher.weights === null && learns === "teacher") {
    const rates = { ...pretrain, epochs: teach.trainEpochs, warmupEpochs: 0, batch: teach.trainBatch };
    found.push(training("train-teacher", teacherStep(settings, compute), rates, train.clips));
  }
  if (alignment.teacherMode === "cached" && learns === "teacher") {
    found.push(forward("teach", teacherFeatures(settings, compute), teach.batch, train.clips * data.views));
  }
  if (learns !== "nothing") found.push(training("pretrain", studentStep(settings, compute), pretrain, train.clips));
  if (train.labelled === 0 || classes < 2) return found;
  const labelled = Math.min(finetune.labelled || train.labelled, train.labelled);
  const copies = labelled * finetune.repeatedAugmentation;
  const both = finetune.scratch ? twice : (work: PlannedWork) => work;
  found.push(both(training("finetune", finetuneStep(settings, classes, compute), finetune, copies)));
  if (!val || val.labelled === 0) return found;
  const { evalBatch } = finetune;
  const valViews = validation(settings).data.views;
  const probed = Math.min(labelled, MOST_PROBED) + val.labelled;
  return [
    ...found,
    both(forward("evaluate", classification(settings, classes, compute), evalBatch, val.labelled * valViews)),
    twice(forward("probe", probedFeatures(settings, compute), evalBatch, probed)),
  ];
}

function twice(work: PlannedWork): PlannedWork {
  return { ...work, steps: work.steps * NETWORKS, networks: NETWORKS };
}

function work(stage: Stage, program: TrainStep | ForwardProgram, batch: number, steps: number): PlannedWork {
  const trains = "metrics" in program;
  const own = bytesOf(program.parameters);
  const memory = {
    parameters: own + bytesOf(program.frozen),
    moments: trains ? (program.averages ? 3 : 2) * own : 0,
    batch: bytesOf(program.data),
    working: workingBytes(program.program),
  };
  return {
    stage,
    program,
    batch,
    steps,
    networks: 1,
    trains,
    parameters: program.parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    flopPerStep: matmulFlop(program.program),
    memory: { ...memory, total: Object.values(memory).reduce((sum, bytes) => sum + bytes) },
  };
}

function bytesOf(specs: readonly (ParameterSpec | DataSpec)[]): number {
  return specs.reduce((sum, { shape, dtype }) => sum + sizeOf(shape) * DTYPE_BYTES[dtype], 0);
}
