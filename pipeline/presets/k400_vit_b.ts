/**
 * AMD's ViT-B on Kinetics-400, from a VideoMAE ViT-L teacher: the released pre-training and fine-tuning scripts.
 *
 * Launch:   deno task pretrain-video --preset k400-vit-b --data k400.csv --videos clips/ --teacher videomae-vit-l-k400.safetensors
 * Hardware: 32 GPUs in the published run; not run here. A device that cannot hold the step takes a smaller
 *           --pretrain-batch and --finetune-batch: the rates scale with it
 * Hours:    pre-training 43.0, fine-tuning 32.3 on one H100. Estimated, not measured: 323 GFLOP a clip over a cached
 *           teacher (180 GMAC forward when fine-tuning) x the clips seen, at 40 % of the bf16 peak (400 TFLOP/s)
 * Disk:     2.3 TB of frames and 1.5 TB of features with the four views, 0.7 TB of frames with the 15 views of a test
 * Expect:   82.2 % top-1, 95.3 % top-5 (5 x 3 views) after fine-tuning, as published by AMD (model zoo); not reproduced here
 *
 * The official step holds 512 videos four times over, each copy with its own crop and mask: 469 steps x 200 epochs.
 * Here a step holds 2,048 clips once and the copies are the four views, taken epoch by epoch: as many clips a step and
 * over the whole run, the same peak rate (2.4e-3; the official rule counts videos, this one clips, hence the base rate).
 *
 * Fine-tuning is the released recipe, but on the views that are stored. As published it has frames of its own: deno task
 * finetune --from RUN --preset k400-vit-b --sampling dense --crop centre --run NEW takes those (docs/finetune.md).
 */
import type { Preset } from "./preset.ts";

export const k400VitB: Preset = {
  about: "AMD ViT-B on Kinetics-400 from a VideoMAE ViT-L teacher",
  needsData: true,
  // Names such as abcdefghijk_000010_000020.mp4.
  published: { format: "kinetics", trainClips: 240_436, valClips: 19_796, classes: 400, nameBytes: 29 },
  settings: {
    data: { views: 4 },
    clip: { frames: 16, stride: 4, sampling: "k400", crop: "multi-scale", size: 224, patch: 16, tubelet: 2 },
    masks: { studentRatio: 0.9, teacherRatio: 0.75 },
    student: { width: 768, depth: 12, heads: 12, decoderWidth: 384, decoderDepth: 4, decoderHeads: 6 },
    teacher: { width: 1024, depth: 24, heads: 16, decoderWidth: 512, decoderDepth: 12, decoderHeads: 8 },
    alignment: { studentLayers: [6, 12], teacherLayers: [12, 24], generatorDepth: 2, normalizeTargets: false },
    pretrain: {
      epochs: 800,
      warmupEpochs: 40,
      batch: 2048,
      baseLr: 3e-4,
      minLr: 2.5e-6,
      beta1: 0.9,
      beta2: 0.95,
      weightDecay: 0.05,
      clipNorm: 0.02,
    },
    // As released: 512 videos x 2 copies a step, 90 epochs, peak 1.4e-3; rates here are those of clips, half of videos'.
    finetune: {
      epochs: 90,
      warmupEpochs: 5,
      batch: 1024,
      baseLr: 3.5e-4,
      minLr: 5e-7,
      layerDecay: 0.75,
      weightDecay: 0.05,
      beta2: 0.999,
      labelSmoothing: 0.1,
      dropPath: 0.1,
      repeatedAugmentation: 2,
      randAugment: "rand-m7-n4-mstd0.5-inc1",
      randomCrop: true,
      flip: 0.5,
      erasing: 0.25,
      mixup: 0.8,
      cutmix: 1,
      mixupProb: 1,
      mixupSwitch: 0.5,
      ema: null,
      evalSegments: 5,
      evalCrops: 3,
    },
    run: { checkpointSteps: 1000 },
  },
};
