/**
 * The embedded demo of pictures: Fashion-MNIST, 10 classes of clothes in 28 x 28 pixels. A picture is a clip of one frame,
 * the networks are MAE's; a student of 4 blocks learns from a teacher of 6 that is trained on the same pictures first.
 *
 * Launch:   deno task pretrain-image
 * Hardware: two CPU cores
 * Time:     about 6 minutes on an AMD EPYC without AVX-512: 107 s for the teacher and 184 s for all else but the network
 *           from random weights, in a run of deno task evidence --pictures
 * Expect:   74.7 % for the distilled student, 67.4 % for the same network from random weights, 10 % by guessing; linear
 *           probes of the frozen networks 74.9 and 33.0 % (mean of three seeds, 1,000 validation pictures;
 *           docs/evidence.md)
 *
 * Sizes, masks, rates and epochs are our choice, after those of the moving digits (`demo.ts`).
 */
import type { Preset } from "./preset.ts";

export const imageDemo: Preset = {
  about: "The embedded demo of pictures: clothes of Fashion-MNIST, minutes on two cores",
  needsData: false,
  settings: {
    // Generous, since a list of pictures tried out with this preset may hold some broken ones.
    data: { maxBad: "50%" },
    demo: { kind: "fashion-mnist", trainClips: 8000, valClips: 1000 },
    clip: {
      form: "mae",
      frames: 1,
      stride: 1,
      sampling: "uniform",
      crop: "centre",
      size: 28,
      patch: 4,
      tubelet: 1,
      rowsPerShard: 2000,
    },
    // 49 positions: 13 for the student, 25 for the teacher.
    masks: { studentRatio: 0.75, teacherRatio: 0.5 },
    student: { width: 64, depth: 4, heads: 2, decoderWidth: 48, decoderDepth: 1, decoderHeads: 2 },
    teacher: { width: 96, depth: 6, heads: 3, decoderWidth: 64, decoderDepth: 1, decoderHeads: 2 },
    // As in the demo of clips: raw targets of such a teacher drown the pixel loss.
    alignment: { studentLayers: [2, 4], teacherLayers: [3, 6], generatorDepth: 1, normalizeTargets: true },
    // At batch 64 the peak is baseLr / 4: 1e-3.
    pretrain: { epochs: 20, warmupEpochs: 2, batch: 64, baseLr: 4e-3, minLr: 4e-5, clipNorm: null },
    teach: {
      trainEpochs: 12,
      trainWarmupEpochs: 1,
      trainBatch: 64,
      trainBaseLr: 4e-3,
      trainMinLr: 4e-5,
      batch: 128,
    },
    // Few labels, as with the clips: with many the same network learns as much from random weights.
    finetune: {
      labelled: 500,
      epochs: 60,
      warmupEpochs: 2,
      batch: 32,
      baseLr: 8e-3,
      minLr: 8e-6,
      layerDecay: 0.9,
      dropPath: 0,
      evalBatch: 200,
    },
    run: { checkpointSteps: 250 },
  },
};
