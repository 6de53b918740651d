/**
 * Every setting of the pipeline, once. The order is that of `--help`; a value is described by its constructor's
 * arguments: default, range, sentence, unit, stages whose result it changes. Numbers follow the AMD recipe for ViT-S on
 * Kinetics-400, sized for one machine; the recipes as published are in `presets/`.
 */
import { z } from "zod";
import {
  ascending,
  between0And1OrNone,
  choice,
  choiceOrNone,
  matching,
  matchingOrNone,
  path,
  pathOrNone,
  positiveOrNone,
  real,
  type Stage,
  STAGES,
  whole,
  yesNo,
} from "./_setting_fields.ts";
import { RAND_AUGMENT_FORM } from "./training/rand_augment_policy.ts";

const PREPARE: readonly Stage[] = ["prepare"];
const TRAINING: readonly Stage[] = ["train-teacher", "pretrain"];
const NETWORKS: readonly Stage[] = ["train-teacher", "teach", "pretrain", "finetune", "evaluate", "probe"];
const MILLION = 1_000_000;

const data = z.strictObject({
  data: pathOrNone({ about: "List of clips, or folder of them; none makes and uses the embedded demo (docs/data.md)" }),
  videos: path(".", { about: "Folder that the paths of the list start from; nothing outside it is read" }),
  format: choice("auto", ["auto", "ssv2", "kinetics", "videomae", "folder", "ucf101", "hmdb51", "csv", "jsonl"], {
    about: "Format of the list; auto looks at its name and first lines",
    affects: PREPARE,
  }),
  val: pathOrNone(
    { about: "List of validation clips; auto looks for it in --data and beside it, none holds clips of --data back" },
    "auto",
  ),
  valShare: real(0.1, 0, 0.9, {
    about: "Share of the clips held back for validation where there is no list of them",
    affects: PREPARE,
  }),
  decoder: choice("libav", ["libav", "ffmpeg"], {
    about: "Decode in process (libav) or through the ffmpeg command",
    affects: PREPARE,
  }),
  lanes: whole(0, 0, 1024, { about: "Decoders working side by side; 0 is one a core", unit: "processes" }),
  deadline: real(60, 1, 86_400, { about: "Time a clip may take before it counts as bad", unit: "seconds" }),
  maxBad: matching(
    "1%",
    /^(?:100(?:\.0*)?|\d{1,2}(?:\.\d+)?)%$|^\d{1,9}$/,
    "a share such as 1%, or a number of clips",
    {
      about: "More clips than this that cannot be decoded stop the run (exit code 3)",
    },
  ),
  views: whole(1, 1, 1000, {
    about: "Views (frames and crop) stored of each clip; epoch e trains on view e mod views",
    affects: PREPARE,
  }),
  limit: whole(0, 0, 1e9, {
    about: "Use only the first clips of the list; 0 uses all",
    unit: "clips",
    affects: PREPARE,
  }),
});

const demo = z.strictObject({
  kind: choice("digits", ["digits", "fashion-mnist"], {
    about: "What the demo shows: handwritten digits in motion, or clothes in pictures of one frame",
    affects: ["demo"],
    flag: "demo",
  }),
  trainClips: whole(4000, 8, MILLION, { about: "Training clips of the demo", unit: "clips", affects: ["demo"] }),
  valClips: whole(500, 8, MILLION, { about: "Validation clips of the demo", unit: "clips", affects: ["demo"] }),
  clipFrames: whole(8, 2, 600, { about: "Length of a demo clip", unit: "frames", affects: ["demo"] }),
  clipSize: whole(64, 16, 512, { about: "Width and height of a demo clip", unit: "pixels", affects: ["demo"] }),
  demoSeed: whole(0, 0, 2 ** 32, { about: "Seed of what the demo shows", affects: ["demo"] }),
});

const clip = z.strictObject({
  frames: whole(16, 1, 256, { about: "Frames of a view", unit: "frames", affects: PREPARE }),
  stride: whole(4, 1, 256, {
    about: "Source frames from one sampled frame to the next",
    unit: "frames",
    affects: PREPARE,
  }),
  sampling: choice("k400", ["k400", "ssv2", "ssv2-stride", "dense", "tsn", "uniform"], {
    about: "Rule that picks the frames of a view",
    affects: PREPARE,
  }),
  crop: choice("multi-scale", ["multi-scale", "random-resized", "random-resized-flip", "centre"], {
    about:
      "Rule that crops a view: VideoMAE's for clips, MAE's for pictures (with or without a flip), the middle square",
    affects: PREPARE,
  }),
  size: whole(224, 8, 1024, { about: "Width and height of a view", unit: "pixels", affects: PREPARE }),
  patch: whole(16, 2, 64, { about: "Width and height of a cube", unit: "pixels", affects: PREPARE }),
  tubelet: whole(2, 1, 16, { about: "Frames of a cube", unit: "frames", affects: PREPARE }),
  rowsPerShard: whole(512, 1, 65_536, { about: "Views in one shard file", unit: "rows", affects: PREPARE }),
  form: choice("videomae", ["videomae", "mae"], {
    about: "Published networks that are followed: VideoMAE's for clips, or MAE's for pictures, with a class token",
    affects: NETWORKS,
  }),
});

const masks = z.strictObject({
  studentRatio: real(0.9, 0, 1, { about: "Share of the cubes hidden from the student", affects: TRAINING }),
  teacherRatio: real(0.75, 0, 1, {
    about: "Share of the cubes hidden from the teacher, below the student's",
    affects: ["teach", "pretrain"],
  }),
  teacherMasks: choice("fixed", ["fixed", "fresh"], {
    about: "Keep the teacher's mask of a view, as cached features need it, or draw it anew in every epoch",
    affects: ["pretrain"],
  }),
  studentMasks: choice("fresh", ["fresh", "fixed"], {
    about: "Draw the student's masks anew in every epoch, or keep those of the first",
    affects: ["pretrain"],
  }),
});

const STUDENT: readonly Stage[] = ["pretrain", "finetune", "probe"];
const student = z.strictObject({
  weights: pathOrNone({
    about: "Encoder to fine-tune and probe, a run or a file of weights; none pre-trains one",
    flag: "student",
  }),
  width: whole(384, 8, 8192, { about: "Width of the student's encoder", affects: STUDENT }),
  depth: whole(12, 1, 100, {
    about: "Blocks of the student's encoder",
    unit: "blocks",
    affects: STUDENT,
  }),
  heads: whole(6, 1, 128, { about: "Attention heads of the student's encoder", affects: STUDENT }),
  decoderWidth: whole(192, 8, 8192, { about: "Width of the student's pixel decoder", affects: ["pretrain"] }),
  decoderDepth: whole(4, 1, 100, {
    about: "Blocks of the student's pixel decoder",
    unit: "blocks",
    affects: ["pretrain"],
  }),
  decoderHeads: whole(3, 1, 128, { about: "Attention heads of the student's pixel decoder", affects: ["pretrain"] }),
});

const TEACHER: readonly Stage[] = ["train-teacher", "teach", "pretrain"];
const teacher = z.strictObject({
  weights: pathOrNone({
    about: "Teacher checkpoint; none trains a VideoMAE teacher on the clips first",
    flag: "teacher",
  }),
  strict: yesNo(true, {
    about: "Refuse a teacher's or a student's file in which tensors are missing, unexpected or of another shape",
    affects: [...TEACHER, "finetune", "probe"],
  }),
  width: whole(1024, 8, 8192, { about: "Width of the teacher's encoder", affects: TEACHER }),
  depth: whole(24, 1, 100, { about: "Blocks of the teacher's encoder", unit: "blocks", affects: TEACHER }),
  heads: whole(16, 1, 128, { about: "Attention heads of the teacher's encoder", affects: TEACHER }),
  decoderWidth: whole(512, 8, 8192, { about: "Width of the teacher's pixel decoder", affects: ["train-teacher"] }),
  decoderDepth: whole(12, 1, 100, {
    about: "Blocks of the teacher's pixel decoder",
    unit: "blocks",
    affects: ["train-teacher"],
  }),
  decoderHeads: whole(8, 1, 128, {
    about: "Attention heads of the teacher's pixel decoder",
    affects: ["train-teacher"],
  }),
});

const PRETRAIN: readonly Stage[] = ["pretrain"];
const alignment = z.strictObject({
  studentLayers: ascending([6, 12], { about: "Student blocks aligned, counted from 1", affects: PRETRAIN }),
  teacherLayers: ascending([12, 24], {
    about: "Teacher blocks they are aligned to, counted from 1",
    affects: ["teach", "pretrain"],
  }),
  arrangement: choice("serial", ["serial", "parallel"], {
    about: "Generators start from the projections of direct alignment (as published) or from their own",
    affects: PRETRAIN,
    flag: "alignment",
  }),
  generatorDepth: whole(2, 1, 24, { about: "Blocks of a generator", unit: "blocks", affects: PRETRAIN }),
  pixelWeight: real(1, 0, 1e6, { about: "Weight of the pixel reconstruction loss", affects: PRETRAIN }),
  directWeight: real(1, 0, 1e6, {
    about: "Weight of the direct alignment loss; 0 leaves it out",
    affects: PRETRAIN,
  }),
  generationWeight: real(1, 0, 1e6, {
    about: "Weight of the generation alignment loss; 0 leaves it and the generators out",
    affects: PRETRAIN,
  }),
  normalizeTargets: yesNo(false, { about: "Normalise every teacher token before it is a target", affects: PRETRAIN }),
  generatorTokens: choice("trained", ["trained", "frozen"], {
    about: "Train the generators' mask tokens (as published) or freeze them (as the released code)",
    affects: PRETRAIN,
  }),
  teacherMode: choice("cached", ["cached", "online"], {
    about: "Run the teacher once over all views, or inside every step",
    affects: ["teach", "pretrain"],
  }),
});

const pretrain = z.strictObject({
  method: choice("amd", ["amd", "videomae"], {
    about: "Distil from a teacher (AMD), or learn from the pixels alone (VideoMAE), without any teacher",
    affects: PRETRAIN,
    flag: "method",
  }),
  epochs: whole(800, 1, 100_000, { about: "Epochs of pre-training the student", unit: "epochs", affects: PRETRAIN }),
  warmupEpochs: whole(40, 0, 100_000, { about: "Epochs of rising learning rate", unit: "epochs", affects: PRETRAIN }),
  batch: whole(64, 1, 65_536, { about: "Clips of a pre-training step", unit: "clips", affects: PRETRAIN }),
  baseLr: real(3e-4, 0, 10, {
    about: "Peak learning rate at 256 clips a step; scaled by batch / 256",
    affects: PRETRAIN,
  }),
  minLr: real(2.5e-6, 0, 10, { about: "Learning rate the cosine falls to, scaled alike", affects: PRETRAIN }),
  beta1: real(0.9, 0, 0.9999, { about: "AdamW's decay of the first moment, teacher training too", affects: TRAINING }),
  beta2: real(0.95, 0, 0.99999, {
    about: "AdamW's decay of the second moment, teacher training too",
    affects: TRAINING,
  }),
  eps: real(1e-8, 1e-16, 1, { about: "AdamW's epsilon, teacher training too", affects: TRAINING }),
  weightDecay: real(0.05, 0, 1, { about: "Decoupled weight decay, teacher training too", affects: TRAINING }),
  clipNorm: positiveOrNone(0.02, 1e6, { about: "Global gradient norm is cut to this", affects: PRETRAIN }),
  probeEpochs: whole(0, 0, 100_000, {
    about: "Epochs from one probe of the student in training to the next; 0 probes it only afterwards",
    unit: "epochs",
    flag: "probe-epochs",
  }),
});

const TRAIN_TEACHER: readonly Stage[] = ["train-teacher"];
const teach = z.strictObject({
  trainEpochs: whole(800, 1, 100_000, {
    about: "Epochs of the teacher's own VideoMAE pre-training",
    unit: "epochs",
    affects: TRAIN_TEACHER,
    flag: "teacher-epochs",
  }),
  trainWarmupEpochs: whole(40, 0, 100_000, {
    about: "Its epochs of rising learning rate",
    unit: "epochs",
    affects: TRAIN_TEACHER,
    flag: "teacher-warmup-epochs",
  }),
  trainBatch: whole(64, 1, 65_536, {
    about: "Clips of a step of it",
    unit: "clips",
    affects: TRAIN_TEACHER,
    flag: "teacher-batch",
  }),
  trainBaseLr: real(1.5e-4, 0, 10, {
    about: "Its peak learning rate at 256 clips a step; scaled by batch / 256",
    affects: TRAIN_TEACHER,
    flag: "teacher-base-lr",
  }),
  trainMinLr: real(1e-5, 0, 10, {
    about: "Learning rate its cosine falls to, scaled alike",
    affects: TRAIN_TEACHER,
    flag: "teacher-min-lr",
  }),
  batch: whole(32, 1, 65_536, { about: "Views the teacher reads at once when it fills the cache", unit: "views" }),
  featureDtype: choice("f16", ["f16", "u8"], {
    about: "Number format of cached features; u8 is half the bytes, with a scale and an offset per token",
    affects: ["teach", "pretrain"],
  }),
});

const FINETUNE: readonly Stage[] = ["finetune"];
const finetune = z.strictObject({
  labelled: whole(0, 0, 1e9, {
    about: "Labelled clips used; 0 uses all",
    unit: "clips",
    affects: ["finetune", "probe"],
  }),
  epochs: whole(75, 1, 100_000, { about: "Epochs of fine-tuning", unit: "epochs", affects: FINETUNE }),
  warmupEpochs: whole(5, 0, 100_000, { about: "Epochs of rising learning rate", unit: "epochs", affects: FINETUNE }),
  batch: whole(32, 1, 65_536, { about: "Clips of a fine-tuning step", unit: "clips", affects: FINETUNE }),
  baseLr: real(5e-4, 0, 10, {
    about: "Peak learning rate at 256 clips a step; scaled by batch / 256",
    affects: FINETUNE,
  }),
  minLr: real(1e-6, 0, 10, { about: "Learning rate the cosine falls to, scaled alike", affects: FINETUNE }),
  layerDecay: real(0.75, 0.01, 1, {
    about: "Factor on the learning rate from one block to the one below",
    affects: FINETUNE,
  }),
  weightDecay: real(0.05, 0, 1, { about: "Decoupled weight decay", affects: FINETUNE }),
  beta2: real(0.999, 0, 0.99999, { about: "AdamW's decay of the second moment", affects: FINETUNE }),
  labelSmoothing: real(0.1, 0, 0.99, { about: "Share of the target spread over all classes", affects: FINETUNE }),
  pooling: choice("mean", ["mean", "class"], {
    about: "What is classified: the mean of the tokens, or the class token of --form mae, as the hub's ViT has it",
    affects: [...FINETUNE, "evaluate"],
  }),
  dropPath: real(0.1, 0, 0.99, {
    about: "Chance of skipping the last block's branches, rising from 0",
    affects: FINETUNE,
  }),
  repeatedAugmentation: whole(1, 1, 64, {
    about: "Copies of each clip in an epoch, each with draws of its own; a step of B clips holds B / copies videos",
    unit: "copies",
    affects: FINETUNE,
  }),
  randAugment: matchingOrNone(RAND_AUGMENT_FORM, "rand-mM-nN-mstdS-inc1 with M from 0 to 10 and N from 1 to 15", {
    about: "RandAugment: N operations a clip at strength M, with standard deviation S",
    affects: FINETUNE,
  }),
  randomCrop: yesNo(false, {
    about: "Train on a random box of each view, 8 to 100 % of its area, resized",
    affects: FINETUNE,
  }),
  flip: real(0, 0, 1, {
    about: "Chance of a mirrored clip; 0 where left and right tell classes apart, as in SSv2",
    affects: FINETUNE,
  }),
  erasing: real(0, 0, 1, { about: "Chance that a box of a clip is erased by noise", affects: FINETUNE }),
  mixup: real(0, 0, 2, {
    about: "Both parameters of the beta distribution of mixup; 0 is no mixup",
    affects: FINETUNE,
  }),
  cutmix: real(0, 0, 2, { about: "The same of cutmix; 0 is no cutmix", affects: FINETUNE }),
  mixupProb: real(1, 0, 1, { about: "Chance that clips are mixed, where there is mixup or cutmix", affects: FINETUNE }),
  mixupSwitch: real(0.5, 0, 1, { about: "Chance of cutmix where there are both", affects: FINETUNE }),
  ema: between0And1OrNone({
    about: "Decay of a moving average of the weights, such as 0.9999, which is evaluated in their place",
    affects: [...FINETUNE, "evaluate"],
  }),
  scratch: yesNo(true, {
    about: "Fine-tune the same network from random weights too, to compare with",
    affects: ["finetune"],
  }),
  evalBatch: whole(64, 1, 65_536, { about: "Views classified at once", unit: "views" }),
  evalSegments: whole(1, 1, 32, {
    about: "Views in time of a validation clip; softmax is averaged over all its views",
    affects: PREPARE,
  }),
  evalCrops: whole(1, 1, 3, {
    about: "Crops of each of them along the long side: 1 the centre, 2 the ends, 3 ends and centre",
    affects: PREPARE,
  }),
});

const run = z.strictObject({
  run: path("runs/PRESET", { about: "Folder of this run's checkpoints, curves and report" }),
  cache: path("cache", { about: "Folder of shards, shared between runs" }),
  seed: whole(0, 0, 2 ** 32, { about: "Seed of every random choice", affects: ["prepare", ...NETWORKS] }),
  engine: choice("auto", ["auto", "xla", "tfjs"], { about: "What executes the networks", affects: NETWORKS }),
  device: choice("auto", ["auto", "cpu", "cuda", "tpu"], { about: "Where they run", affects: NETWORKS }),
  devices: whole(1, 1, 1024, {
    about: "Devices of this machine that share every batch; on cpu they are virtual and share the cores",
    unit: "devices",
  }),
  precision: choice("auto", ["auto", "f32", "bf16"], { about: "Number format of matrix products", affects: NETWORKS }),
  accumulate: whole(1, 1, 1024, {
    about:
      "Parts that every training batch is worked through in, for less memory; a batch is still what one step takes",
    unit: "parts",
  }),
  remat: yesNo(false, {
    about: "Keep only the input of each block in training and compute the rest again: less memory, more time",
  }),
  checkpointSteps: whole(500, 1, 1e9, { about: "Steps between checkpoints", unit: "steps" }),
  keepCheckpoints: whole(3, 1, 1000, { about: "Checkpoints kept, the newest ones" }),
  logSteps: whole(20, 1, 1e6, { about: "Steps between two looks at the losses", unit: "steps" }),
  allowChange: yesNo(false, { about: "Go on with a run although settings have changed" }),
  quiet: yesNo(false, { about: "Print nothing but errors" }),
  json: yesNo(false, { about: "Print one JSON object as the last line of stdout" }),
  until: choiceOrNone(STAGES, { about: "Stop after this stage" }),
  from: choiceOrNone(STAGES, { about: "Start at this stage; what lies before it must be there" }),
  only: choiceOrNone(STAGES, { about: "Run this stage alone" }),
});

/** All settings by group. */
export const settingsSchema = z.strictObject({
  data,
  demo,
  clip,
  masks,
  student,
  teacher,
  alignment,
  pretrain,
  teach,
  finetune,
  run,
});

/** The complete settings of a run. */
export type Settings = z.infer<typeof settingsSchema>;

/** Values of a preset: any part of the settings. */
export type PartialSettings = { [Group in keyof Settings]?: Partial<Settings[Group]> };
