/**
 * What augmentation draws for a batch of fine-tuning: pure functions of seed, epoch, row and copy, hence the same after a
 * restart, and targets that are mixed as the clips are.
 */
import type { Augmentation } from "../../models/augmentation/augment.ts";
import type { HostArray } from "../../models/runtime/engine.ts";
import { uniforms } from "../random.ts";
import { type Box, cropBox, cutBox, DRAWS_PER_TRY, eraseBox, type Size } from "./boxes.ts";
import type { BatchRow } from "./mask_draws.ts";
import { drawRandAugment, DRAWS_PER_OPERATION } from "./rand_augment.ts";
import { randAugmentPolicy } from "./rand_augment_policy.ts";

/** The settings of augmentation. */
export interface AugmentationSettings {
  /** Policy such as `rand-m7-n4-mstd0.5-inc1`; null for none. */
  readonly randAugment: string | null;
  readonly randomCrop: boolean;
  /** Chance of a mirrored clip. */
  readonly flip: number;
  /** Chance of an erased box. */
  readonly erasing: number;
  /** Both parameters of the beta distribution of mixup's shares; 0 for no mixup. */
  readonly mixup: number;
  /** The same of cutmix. */
  readonly cutmix: number;
  /** Chance that clips are mixed at all. */
  readonly mixupProb: number;
  /** Chance of cutmix in the place of mixup, where there are both. */
  readonly mixupSwitch: number;
}

/**
 * Clips that are mixed alike: one kind, one share, one box. As many as one device of the official run has in a step (16
 * videos, 2 copies of each), so that a step of hundreds of clips here has as many draws as there.
 */
export const MIXED_ALIKE = 32;

/** What the program has to do. */
export function augmentationOf(settings: AugmentationSettings): Augmentation {
  const { randAugment, randomCrop, flip, erasing, mixup, cutmix, mixupProb } = settings;
  const mixes = mixupProb > 0 && (mixup > 0 || cutmix > 0);
  return {
    randAugment: randAugment === null ? 0 : randAugmentPolicy(randAugment).operations,
    crop: randomCrop || flip > 0,
    erase: erasing > 0,
    mixup: mixes,
    cutmix: mixes && cutmix > 0,
  };
}

/**
 * Draws of every clip alone: RandAugment, crop and flip, erasing.
 *
 * @returns The inputs that {@linkcode augmentationOf} asks for, by name.
 */
export function clipDraws(
  rows: readonly BatchRow[],
  settings: AugmentationSettings,
  size: Size,
  seed: number,
): Map<string, HostArray> {
  const what = augmentationOf(settings);
  const inputs = new Map<string, HostArray>();
  const draws = (count: number, purpose: string, { epoch, row, copy = 0 }: BatchRow, attempt = 0) =>
    uniforms(count, seed, purpose, epoch, row, copy, attempt);
  if (settings.randAugment !== null) {
    const policy = randAugmentPolicy(settings.randAugment);
    const drawn = rows.map((row) =>
      drawRandAugment(policy, draws(policy.operations * DRAWS_PER_OPERATION, "RandAugment", row), size)
    );
    inputs.set("colour_operations", Float32Array.from(drawn.flatMap(({ colour }) => colour)));
    inputs.set("warp", Float32Array.from(drawn.flatMap(({ map }) => map)));
  }
  if (what.crop) {
    const whole = { top: 0, left: 0, ...size };
    const boxes = rows.flatMap((row) => {
      const box = settings.randomCrop
        ? cropBox(size, (attempt) => draws(DRAWS_PER_TRY, "random crop", row, attempt))
        : whole;
      return [...numbers(box), draws(1, "flip", row)[0]! < settings.flip ? 1 : 0];
    });
    inputs.set("crop", Float32Array.from(boxes));
  }
  if (what.erase) {
    const boxes = rows.flatMap((row) => {
      const erases = draws(1, "erasing", row)[0]! < settings.erasing;
      return numbers(erases && eraseBox(size, (attempt) => draws(DRAWS_PER_TRY, "erased box", row, attempt)));
    });
    inputs.set("erase_box", Float32Array.from(boxes));
    const keys = rows.flatMap((row) => [...draws(2, "erasing noise", row)]);
    inputs.set("erase_keys", Uint32Array.from(keys, (key) => key * 2 ** 32));
  }
  return inputs;
}

/** How the clips of a batch are mixed. */
export interface DrawnMix {
  /** Share of each clip itself in its target, and in its pixels where there is no box. */
  readonly shares: readonly number[];
  /** `mix` and, with cutmix, `cut_box`. */
  readonly inputs: ReadonlyMap<string, HostArray>;
}

/** Draws how clips are mixed, {@linkcode MIXED_ALIKE} at a time. */
export function mixDraws(
  rows: readonly BatchRow[],
  settings: AugmentationSettings,
  size: Size,
  seed: number,
): DrawnMix {
  const what = augmentationOf(settings);
  if (!what.mixup) return { shares: rows.map(() => 1), inputs: new Map() };
  const shares: number[] = [], mix: number[] = [], boxes: number[] = [];
  for (let first = 0; first < rows.length; first += MIXED_ALIKE) {
    const { share, box } = drawnMix(rows[first]!, settings, size, seed);
    for (let i = first; i < Math.min(first + MIXED_ALIKE, rows.length); i++) {
      shares.push(share);
      mix.push(box ? 1 : share);
      boxes.push(...numbers(box));
    }
  }
  const inputs = new Map<string, HostArray>([["mix", Float32Array.from(mix)]]);
  if (what.cutmix) inputs.set("cut_box", Float32Array.from(boxes));
  return { shares, inputs };
}

function drawnMix(
  { epoch, row, copy = 0 }: BatchRow,
  { mixup, cutmix, mixupProb, mixupSwitch }: AugmentationSettings,
  size: Size,
  seed: number,
): { share: number; box?: Box } {
  const [active, which, x, y] = uniforms(4, seed, "mix", epoch, row, copy) as unknown as [
    number,
    number,
    number,
    number,
  ];
  if (active >= mixupProb) return { share: 1 };
  const cuts = cutmix > 0 && (mixup === 0 || which < mixupSwitch);
  const drawn = beta(cuts ? cutmix : mixup, (attempt) => uniforms(2, seed, "share", epoch, row, copy, attempt));
  if (!cuts) return { share: drawn };
  const box = cutBox(size, drawn, x, y);
  return { share: 1 - box.height * box.width / (size.height * size.width), box };
}

/**
 * A number from the beta distribution with both parameters alike, by Jöhnk's method (1964): `x = u^(1/a)`, `y = v^(1/a)`,
 * `x / (x + y)` once `x + y` is at most 1.
 *
 * @param draws two numbers in [0, 1) by the number of the try
 */
export function beta(parameter: number, draws: (attempt: number) => ArrayLike<number>): number {
  for (let attempt = 0;; attempt++) {
    const pair = draws(attempt);
    const [x, y] = [pair[0]! ** (1 / parameter), pair[1]! ** (1 / parameter)];
    if (x + y > 0 && x + y <= 1) return x / (x + y);
  }
}

/**
 * Targets of a batch, f32 `[B, C]`: smoothed labels, `smoothing / C` everywhere and `1 - smoothing` more at the label, mixed
 * with those of the clip's partner, the one at the same place from the end.
 */
export function mixedTargets(
  labels: readonly number[],
  shares: readonly number[],
  classes: number,
  smoothing: number,
): Float32Array<ArrayBuffer> {
  const targets = new Float32Array(labels.length * classes).fill(smoothing / classes);
  labels.forEach((label, i) => {
    const partner = labels[labels.length - 1 - i]!, share = shares[i]!;
    targets[i * classes + label]! += (1 - smoothing) * share;
    if (share !== 1) targets[i * classes + partner]! += (1 - smoothing) * (1 - share);
  });
  return targets;
}

function numbers(box: Box | undefined | false): number[] {
  return box ? [box.top, box.left, box.height, box.width] : [0, 0, 0, 0];
}
