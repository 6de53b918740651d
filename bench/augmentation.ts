/**
 * What augmentation costs a fine-tuning step of ViT-S: the step with the whole recipe inside it less the step without,
 * against Pillow and PyTorch that make the same clip on one core, as the official loader does.
 *
 *     TUBELET_PEER_PYTHON=... deno task bench augmentation [--rounds 3]
 */
import process from "node:process";
import { openEngine } from "../models/runtime/open_engine.ts";
import type { Augmentation } from "../models/augmentation/augment.ts";
import type { Compute } from "../models/shapes.ts";
import { StepRunner } from "../pipeline/_step_runner.ts";
import { median } from "../pipeline/median.ts";
import { type Bench, type BenchContext, type BenchRow, type Measured, peerValue } from "./_bench.ts";
import { finetune, MASKS } from "./_steps.ts";

const BATCH = 2;
const STEPS = 3;
const MS = 1000;
const RECIPE: Augmentation = { randAugment: 4, crop: true, erase: true, mixup: true, cutmix: true };
const PARTS: Readonly<Record<string, Augmentation>> = {
  recipe: RECIPE,
  "without-rand-augment": { ...RECIPE, randAugment: 0 },
};

export const bench: Bench = {
  about: "Augmentation inside a fine-tuning step of ViT-S, milliseconds a clip.",
  rows: (["f32", "bf16"] as const).flatMap((compute) =>
    Object.entries(PARTS).map(([name, augmentation]): BenchRow => ({
      name: `${name}-S-${compute}`,
      unit: "ms/clip",
      better: "less",
      measure: (context) => measure(augmentation, compute, context),
    }))
  ),
};

async function measure(augmentation: Augmentation, compute: Compute, context: BenchContext): Promise<Measured> {
  await using engine = await openEngine({ engine: "xla", warn: context.say });
  const open = (what: Augmentation) =>
    StepRunner.open(engine, finetune("S", BATCH, compute, what), { sizes: MASKS, seed: 0 });
  using plain = await open({});
  using augmented = await open(augmentation);
  const wall = { plain: [] as number[], augmented: [] as number[] };
  const cpu = { plain: [] as number[], augmented: [] as number[] };
  const peer: number[] = [];
  const timed = async (which: keyof typeof wall, runner: StepRunner) => {
    const before = process.cpuUsage();
    wall[which].push(await runner.run() * MS / BATCH);
    const { user, system } = process.cpuUsage(before);
    cpu[which].push((user + system) / MS / BATCH);
  };
  await plain.run();
  await augmented.run();
  for (let round = 0; round < context.rounds; round++) {
    for (let step = 0; step < STEPS; step++) {
      await timed("plain", plain);
      await timed("augmented", augmented);
    }
    if (context.python !== null) {
      peer.push(await peerValue(context.python, "-c", [PILLOW, String(augmentation.randAugment ?? 0)]));
    }
  }
  const added = (times: typeof wall) => median(times.augmented) - median(times.plain);
  const share = (times: typeof wall) => `${(100 * added(times) / median(times.augmented)).toFixed(1)} %`;
  return {
    ours: added(wall),
    peer: peer.length > 0 ? median(peer) : null,
    peerName: peer.length > 0 ? "Pillow and PyTorch, one core" : null,
    note:
      `${share(wall)} of a step of ${median(wall.augmented).toFixed(0)} ms a clip; of processor time ${share(cpu)}, ` +
      `${added(cpu).toFixed(0)} ms a clip; batch ${BATCH}, ${STEPS} steps x ` +
      `${context.rounds} rounds; compiling ${plain.compileSeconds.toFixed(1)} and ${
        augmented.compileSeconds.toFixed(1)
      } s`,
  };
}

/** Clips of 16 frames by the official steps: RandAugment frame by frame, crop, erasing. Mean of the CPU time, ms. */
const PILLOW = `
import json, math, random, sys, time
import numpy as np, torch
from PIL import Image, ImageEnhance, ImageOps
torch.set_num_threads(1)
random.seed(0); rng = np.random.default_rng(0)
def affine(*m):
    return lambda im: im.transform(im.size, Image.AFFINE, m, resample=Image.BICUBIC, fillcolor=(128,) * 3)
solarize_add = [min(255, i + 77) if i < 128 else i for i in range(256)] * 3
OPS = [ImageOps.autocontrast, ImageOps.equalize, ImageOps.invert,
    lambda im: im.rotate(21, resample=Image.BICUBIC, fillcolor=(128,) * 3),
    lambda im: ImageOps.posterize(im, 2), lambda im: ImageOps.solarize(im, 77), lambda im: im.point(solarize_add),
    *[lambda im, e=e: e(im).enhance(1.63) for e in
      (ImageEnhance.Color, ImageEnhance.Contrast, ImageEnhance.Brightness, ImageEnhance.Sharpness)],
    affine(1, .21, 0, 0, 1, 0), affine(1, 0, 0, .21, 1, 0), affine(1, 0, 70, 0, 1, 0), affine(1, 0, 0, 0, 1, 70)]
mean, std = torch.tensor([.485, .456, .406]), torch.tensor([.229, .224, .225])
def clip(frames, ops):
    images = [Image.fromarray(frame) for frame in frames]
    for op in random.choices(OPS, k=ops):
        if random.random() < .5: images = [op(im) for im in images]
    x = torch.from_numpy(np.stack([np.asarray(im) for im in images])).float() / 255
    x = ((x - mean) / std).permute(3, 0, 1, 2)
    h, w = random.randint(64, 224), random.randint(64, 224)
    x = torch.nn.functional.interpolate(x[:, :, :h, :w], size=(224, 224), mode="bilinear", align_corners=False)
    if random.random() < .25: x[:, :, 20:110, 30:120].normal_()
    return x
frames = rng.integers(0, 256, (16, 224, 224, 3), dtype=np.uint8)
ops = int(sys.argv[1])
clip(frames, ops)
began, n = time.process_time(), 24
for _ in range(n): clip(frames, ops)
print(json.dumps({"value": (time.process_time() - began) / n * 1000, "detail": {}}))
`;
