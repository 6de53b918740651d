/**
 * The programs of a run: what the settings make of the networks. The stages run them, the plan reckons with them, so that
 * what is planned is what is run.
 */
import { amdStep } from "../../models/amd.ts";
import {
  classifierForward,
  type ClassifierOptions,
  classifierStep,
  layerDecayScale,
  pooledFeatures,
} from "../../models/classifier.ts";
import type { Compute } from "../../models/shapes.ts";
import { teacherForward } from "../../models/teacher.ts";
import type { ForwardProgram, TrainStep } from "../../models/train_step.ts";
import { videoMaeStep } from "../../models/videomae.ts";
import type { Settings } from "../settings.ts";
import { augmentationOf } from "../training/augmentation_draws.ts";
import { cubeSize, maskSizes, studentShape, teacherShape, tokenGrid } from "./stage_context.ts";

/** A step of the teacher's own VideoMAE training. */
export function teacherStep(settings: Settings, compute: Compute): TrainStep {
  const { slots, student } = maskSizes(settings);
  return videoMaeStep({
    shape: teacherShape(settings),
    batch: settings.teach.trainBatch,
    visible: slots * student,
    optimizer: { ...settings.pretrain, clipNorm: null },
    ...savings(settings),
    compute,
  });
}

/** The frozen teacher over a batch of views, for the cache. */
export function teacherFeatures(settings: Settings, compute: Compute): ForwardProgram {
  const { slots, teacher } = maskSizes(settings);
  return teacherForward({
    form: settings.clip.form,
    grid: tokenGrid(settings),
    cube: cubeSize(settings),
    encoder: settings.teacher,
    layers: settings.alignment.teacherLayers,
    batch: settings.teach.batch,
    visible: slots * teacher,
    featureDtype: settings.teach.featureDtype,
    compute,
  });
}

/** A step of pre-training the student; with AMD the teacher is inside it unless its features are cached. */
export function studentStep(settings: Settings, compute: Compute): TrainStep {
  const { alignment, pretrain, teacher } = settings;
  const sizes = maskSizes(settings);
  if (pretrain.method === "videomae") {
    const visible = sizes.slots * sizes.student;
    const shape = studentShape(settings);
    return videoMaeStep({ shape, batch: pretrain.batch, visible, optimizer: pretrain, ...savings(settings), compute });
  }
  return amdStep({
    shape: studentShape(settings),
    teacherWidth: teacher.width,
    studentLayers: alignment.studentLayers,
    arrangement: alignment.arrangement,
    generatorDepth: alignment.generatorDepth,
    generatorTokens: alignment.generatorTokens,
    normalizeTargets: alignment.normalizeTargets,
    weights: {
      pixel: alignment.pixelWeight,
      direct: alignment.directWeight,
      generation: alignment.generationWeight,
    },
    batch: pretrain.batch,
    visible: sizes.slots * sizes.student,
    teacherVisible: sizes.slots * sizes.teacher,
    ...(alignment.teacherMode === "cached" ? {} : { teacher: { shape: teacher, layers: alignment.teacherLayers } }),
    featureDtype: settings.teach.featureDtype,
    optimizer: pretrain,
    ...savings(settings),
    compute,
  });
}

/** A step of fine-tuning. */
export function finetuneStep(settings: Settings, classes: number, compute: Compute): TrainStep {
  const { finetune, pretrain, student } = settings;
  return classifierStep({
    ...classifier(settings, classes, compute),
    batch: finetune.batch,
    dropPath: finetune.dropPath,
    augmentation: augmentationOf(finetune),
    averageDecay: finetune.ema,
    ...savings(settings),
    optimizer: {
      beta1: pretrain.beta1,
      beta2: finetune.beta2,
      eps: pretrain.eps,
      weightDecay: finetune.weightDecay,
      clipNorm: null,
      learningRateScale: layerDecayScale(student.depth, finetune.layerDecay),
    },
  });
}

/** The fine-tuned network over a batch of views. */
export function classification(settings: Settings, classes: number, compute: Compute): ForwardProgram {
  return classifierForward({ ...classifier(settings, classes, compute), batch: settings.finetune.evalBatch });
}

/** The student's features of a batch of whole clips, for the probes: the mean of the tokens, however a classifier pools. */
export function probedFeatures(settings: Settings, compute: Compute): ForwardProgram {
  const { form, grid, cube, encoder } = classifier(settings, 0, compute);
  return pooledFeatures({ form, grid, cube, encoder, batch: settings.finetune.evalBatch, compute });
}

/** How every training saves memory. */
function savings({ run: { accumulate, remat } }: Settings): { accumulate: number; remat: boolean } {
  return { accumulate, remat };
}

function classifier(settings: Settings, classes: number, compute: Compute): Omit<ClassifierOptions, "batch"> {
  const { clip: { form }, finetune: { pooling }, student: encoder } = settings;
  return { form, pooling, grid: tokenGrid(settings), cube: cubeSize(settings), encoder, classes, compute };
}
