/** Programs at the published sizes: what a benchmark runs. */
import { type AmdShape, amdStep } from "../models/amd.ts";
import type { Augmentation } from "../models/augmentation/augment.ts";
import { classifierForward, classifierStep, layerDecayScale } from "../models/classifier.ts";
import type { Compute, TransformerShape, VideoMaeShape } from "../models/shapes.ts";
import { teacherForward } from "../models/teacher.ts";
import type { ForwardProgram, TrainStep } from "../models/train_step.ts";
import { videoMaeStep } from "../models/videomae.ts";

/** 16 frames of 224 x 224. */
const GRID = { slots: 8, rows: 14, columns: 14 };
const CUBE = { tubelet: 2, patch: 16 };
/** Positions of a slot of time, and those that student and teacher see. */
export const MASKS = { slots: 8, positions: 196, student: 20, teacher: 49 };
const VISIBLE = MASKS.slots * MASKS.student;
const TEACHER_VISIBLE = MASKS.slots * MASKS.teacher;
const CLASSES = 400;

const OPTIMIZER = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.05, clipNorm: null };

/** The published sizes: encoder and decoder. */
const SIZES = {
  S: { encoder: { width: 384, depth: 12, heads: 6 }, decoder: { width: 192, depth: 4, heads: 3 } },
  B: { encoder: { width: 768, depth: 12, heads: 12 }, decoder: { width: 384, depth: 4, heads: 6 } },
  L: { encoder: { width: 1024, depth: 24, heads: 16 }, decoder: { width: 512, depth: 4, heads: 8 } },
} satisfies Record<string, { encoder: TransformerShape; decoder: TransformerShape }>;
export type Size = keyof typeof SIZES;

export function videoMae(size: Size, batch: number, compute: Compute): TrainStep {
  return videoMaeStep({ shape: shapeOf(size), batch, visible: VISIBLE, optimizer: OPTIMIZER, compute });
}

/** AMD with the teacher's features as inputs. */
export function amd(student: Size, teacher: Size, batch: number, compute: Compute): TrainStep {
  const alignment: Omit<AmdShape, "shape"> = {
    teacherWidth: SIZES[teacher].encoder.width,
    studentLayers: middleAndLast(student),
    generatorDepth: 2,
    generatorTokens: "trained",
    normalizeTargets: false,
    weights: { pixel: 1, direct: 1, generation: 1 },
  };
  return amdStep({
    shape: shapeOf(student),
    ...alignment,
    batch,
    visible: VISIBLE,
    teacherVisible: TEACHER_VISIBLE,
    optimizer: { ...OPTIMIZER, clipNorm: 0.02 },
    compute,
  });
}

export function finetune(size: Size, batch: number, compute: Compute, augmentation: Augmentation = {}): TrainStep {
  const { encoder } = SIZES[size];
  const learningRateScale = layerDecayScale(encoder.depth, 0.7);
  const optimizer = { ...OPTIMIZER, beta2: 0.999, learningRateScale };
  return classifierStep({
    grid: GRID,
    cube: CUBE,
    encoder,
    classes: CLASSES,
    batch,
    dropPath: 0.1,
    augmentation,
    optimizer,
    compute,
  });
}

export function evaluation(size: Size, batch: number, compute: Compute): ForwardProgram {
  return classifierForward({ grid: GRID, cube: CUBE, encoder: SIZES[size].encoder, classes: CLASSES, batch, compute });
}

export function teacher(size: Size, batch: number, compute: Compute): ForwardProgram {
  const { encoder } = SIZES[size];
  const layers = middleAndLast(size);
  return teacherForward({ grid: GRID, cube: CUBE, encoder, layers, batch, visible: TEACHER_VISIBLE, compute });
}

function shapeOf(size: Size): VideoMaeShape {
  return { grid: GRID, cube: CUBE, ...SIZES[size] };
}

function middleAndLast(size: Size): readonly number[] {
  const { depth } = SIZES[size].encoder;
  return [depth / 2, depth];
}

/** One picture of 224 x 224; the student of MAE sees a quarter of its positions, that of AMD a tenth. */
const IMAGE_GRID = { slots: 1, rows: 14, columns: 14 };
const IMAGE_CUBE = { tubelet: 1, patch: 16 };
export const IMAGE_MASKS = { mae: { slots: 1, positions: 196, student: 49, teacher: 98 }, amd: { ...MASKS, slots: 1 } };
const IMAGE_CLASSES = 1000;

export function imageMae(size: Size, batch: number, compute: Compute): TrainStep {
  return videoMaeStep({
    shape: imageShape(size),
    batch,
    visible: IMAGE_MASKS.mae.student,
    optimizer: OPTIMIZER,
    compute,
  });
}

/** AMD on images with the teacher's features as inputs, or with the teacher in the step. */
export function imageAmd(
  student: Size,
  teacher: Size,
  batch: number,
  compute: Compute,
  mode: "cached" | "online",
): TrainStep {
  const { encoder } = SIZES[teacher];
  return amdStep({
    shape: imageShape(student),
    teacherWidth: encoder.width,
    studentLayers: middleAndLast(student),
    generatorDepth: 2,
    generatorTokens: "trained",
    normalizeTargets: false,
    weights: { pixel: 1, direct: 1, generation: 1 },
    ...(mode === "online" && { teacher: { shape: encoder, layers: middleAndLast(teacher) } }),
    batch,
    visible: IMAGE_MASKS.amd.student,
    teacherVisible: IMAGE_MASKS.amd.teacher,
    optimizer: { ...OPTIMIZER, clipNorm: 0.02 },
    compute,
  });
}

export function imageFinetune(size: Size, batch: number, compute: Compute): TrainStep {
  const { encoder } = SIZES[size];
  return classifierStep({
    form: "mae",
    grid: IMAGE_GRID,
    cube: IMAGE_CUBE,
    encoder,
    classes: IMAGE_CLASSES,
    batch,
    dropPath: 0.1,
    augmentation: {},
    optimizer: { ...OPTIMIZER, beta2: 0.999, learningRateScale: layerDecayScale(encoder.depth, 0.7) },
    compute,
  });
}

function imageShape(size: Size): VideoMaeShape {
  return { form: "mae", grid: IMAGE_GRID, cube: IMAGE_CUBE, ...SIZES[size] };
}
