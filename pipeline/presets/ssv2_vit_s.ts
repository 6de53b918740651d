/**
 * AMD's ViT-S on Something-Something v2, from a VideoMAE ViT-L teacher: the released pre-training and fine-tuning scripts.
 *
 * Launch:   deno task pretrain-video --preset ssv2-vit-s --data ssv2.json --videos clips/ --teacher videomae-vit-l-ssv2.safetensors
 * Hardware: 32 GPUs in the published run; not run here. A device that cannot hold the step takes a smaller
 *           --pretrain-batch and --finetune-batch: the rates scale with it
 * Hours:    pre-training 17.5, fine-tuning 3.2 on one H100. Estimated, not measured: 187 GFLOP a clip over a cached
 *           teacher (57 GMAC forward when fine-tuning) x the clips seen, at 40 % of the bf16 peak (400 TFLOP/s)
 * Disk:     1.6 TB of frames and 1.1 TB of features with the four views, 0.4 TB of frames with the 6 views of a test
 * Expect:   70.2 % top-1, 92.5 % top-5 (2 x 3 views) after fine-tuning, as published by AMD (model zoo); not reproduced here
 *
 * The official step holds 512 videos four times over, each copy with its own crop and mask: 329 steps x 200 epochs.
 * Here a step holds 2,048 clips once and the copies are the four views, taken epoch by epoch: as many clips a step and
 * over the whole run, the same peak rate (2.4e-3; the official rule counts videos, this one clips, hence the base rate).
 *
 * Fine-tuning is the released recipe, but on the views that are stored. As published it has frames of its own: deno task
 * finetune --from RUN --preset ssv2-vit-s --sampling tsn --crop centre --run NEW takes those (docs/finetune.md).
 */
import type { Preset } from "./preset.ts";

export const ssv2VitS: Preset = {
  about: "AMD ViT-S on Something-Something v2 from a VideoMAE ViT-L teacher",
  needsData: true,
  // Names such as 123456.webm.
  published: { format: "ssv2", trainClips: 168_913, valClips: 24_777, classes: 174, nameBytes: 11 },
  settings: {
    data: { views: 4 },
    clip: { frames: 16, stride: 2, sampling: "ssv2", crop: "multi-scale", size: 224, patch: 16, tubelet: 2 },
    masks: { studentRatio: 0.9, teacherRatio: 0.75 },
    student: { width: 384, depth: 12, heads: 6, decoderWidth: 192, decoderDepth: 4, decoderHeads: 3 },
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
    // As released: 256 videos x 2 copies a step, 40 epochs, peak 1e-3; rates here are those of clips, half of videos'.
    finetune: {
      epochs: 40,
      warmupEpochs: 5,
      batch: 512,
      baseLr: 5e-4,
      minLr: 5e-7,
      layerDecay: 0.75,
      weightDecay: 0.05,
      beta2: 0.999,
      labelSmoothing: 0.1,
      dropPath: 0.1,
      repeatedAugmentation: 2,
      randAugment: "rand-m7-n4-mstd0.5-inc1",
      randomCrop: true,
      // Left and right tell classes apart.
      flip: 0,
      erasing: 0.25,
      mixup: 0.8,
      cutmix: 1,
      mixupProb: 1,
      mixupSwitch: 0.5,
      ema: null,
      evalSegments: 2,
      evalCrops: 3,
    },
    run: { checkpointSteps: 1000 },
  },
};
