/**
 * AMD's ViT-S on ImageNet-1k, from MAE's ViT-L as teacher. AMD's settings for pictures are not published: what comes from
 * AMD's paper, from the released MAE recipe, from AMD's recipe for clips, and what is our choice, is said at each value.
 *
 * Launch:   deno task pretrain-image --preset imagenet-vit-s --data imagenet/train --teacher mae_pretrain_vit_large.pth
 * Hardware: not run here. A device that cannot hold the step takes a smaller --pretrain-batch and --finetune-batch: the
 *           rates scale with it; --accumulate works through a batch in parts
 * Hours:    pre-training 12.8, fine-tuning 5.0 on one H100. Estimated by deno task plan, not measured: at 40 % of the bf16 peak
 *           (400 TFLOP/s), and with the cached features at hand
 * Disk:     0.8 TB of frames and 1.0 TB of features with the four views; --teacher-mode online needs no features
 * Expect:   82.1 % top-1 after fine-tuning, as published by AMD; not reproduced here
 *
 * MAE draws a crop and a flip anew in every epoch and resizes bicubically. Here four crops of a picture are stored, some of
 * them mirrored, resized bilinearly and taken epoch by epoch; fine-tuning draws a box and a flip of its own in each of them.
 */
import type { Preset } from "./preset.ts";

export const imagenetVitS: Preset = {
  about: "AMD ViT-S on ImageNet-1k from an MAE ViT-L teacher",
  needsData: true,
  // Names such as n01440764/n01440764_10026.JPEG.
  published: { format: "folder", trainClips: 1_281_167, valClips: 50_000, classes: 1000, nameBytes: 30 },
  settings: {
    data: { views: 4 },
    // MAE: a random box of 20 to 100 % of the area, mirrored half of the time; 224 pixels, patches of 16.
    clip: {
      form: "mae",
      frames: 1,
      stride: 1,
      sampling: "uniform",
      crop: "random-resized-flip",
      size: 224,
      patch: 16,
      tubelet: 1,
    },
    // Our choice, that of AMD for clips: 20 of 196 positions for the student, 49 (as MAE has it) for the teacher.
    masks: { studentRatio: 0.9, teacherRatio: 0.75 },
    // The decoder and all of the alignment: AMD for clips.
    student: { width: 384, depth: 12, heads: 6, decoderWidth: 192, decoderDepth: 4, decoderHeads: 3 },
    // MAE's ViT-L.
    teacher: { width: 1024, depth: 24, heads: 16, decoderWidth: 512, decoderDepth: 8, decoderHeads: 16 },
    alignment: { studentLayers: [6, 12], teacherLayers: [12, 24], generatorDepth: 2, normalizeTargets: false },
    // 800 epochs: AMD's paper. All else: MAE, whose peak at this batch is 2.4e-3 and which cuts no gradients.
    pretrain: {
      epochs: 800,
      warmupEpochs: 40,
      batch: 4096,
      baseLr: 1.5e-4,
      minLr: 0,
      beta1: 0.9,
      beta2: 0.95,
      weightDecay: 0.05,
      clipNorm: null,
    },
    // MAE has no ViT-S: its recipe for ViT-B is our choice here.
    finetune: {
      pooling: "mean",
      epochs: 100,
      warmupEpochs: 5,
      batch: 1024,
      baseLr: 5e-4,
      // 1e-6 at this batch.
      minLr: 2.5e-7,
      layerDecay: 0.65,
      weightDecay: 0.05,
      beta2: 0.999,
      labelSmoothing: 0.1,
      dropPath: 0.1,
      repeatedAugmentation: 1,
      // MAE names no number of operations (m9-mstd0.5-inc1); timm, which reads it, takes two.
      randAugment: "rand-m9-n2-mstd0.5-inc1",
      randomCrop: true,
      flip: 0.5,
      erasing: 0.25,
      mixup: 0.8,
      cutmix: 1,
      mixupProb: 1,
      mixupSwitch: 0.5,
      ema: null,
      evalSegments: 1,
      evalCrops: 1,
    },
    run: { checkpointSteps: 1000 },
  },
};
