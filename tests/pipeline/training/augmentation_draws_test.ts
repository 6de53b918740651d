/** What augmentation draws: boxes against the official code's, shares, targets by hand, and draws that are keys' alone. */
import { assert, assertAlmostEquals, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { uniforms } from "../../../pipeline/random.ts";
import {
  augmentationOf,
  type AugmentationSettings,
  beta,
  clipDraws,
  mixDraws,
  MIXED_ALIKE,
  mixedTargets,
} from "../../../pipeline/training/augmentation_draws.ts";
import { type Box, cropBox, cutBox, eraseBox } from "../../../pipeline/training/boxes.ts";
import { composed, drawnOperation, drawRandAugment } from "../../../pipeline/training/rand_augment.ts";
import { randAugmentPolicy } from "../../../pipeline/training/rand_augment_policy.ts";
import { goldenJson } from "../../decoders/_golden.ts";

interface Golden {
  random_resized_crop: {
    rows: {
      height: number;
      width: number;
      area_draw: number;
      log_ratio_draw: number;
      top_draw?: number;
      left_draw?: number;
      tries: number;
      result_top_left_h_w: number[];
    }[];
  };
  random_erasing: {
    rows: {
      size: number;
      area_draw: number;
      log_ratio_draw: number;
      top_draw: number;
      left_draw: number;
      box_top_left_h_w: number[];
    }[];
  };
}
const golden = await goldenJson<Golden>("augment.json");

const official: AugmentationSettings = {
  randAugment: "rand-m7-n4-mstd0.5-inc1",
  randomCrop: true,
  flip: 0.5,
  erasing: 0.25,
  mixup: 0.8,
  cutmix: 1,
  mixupProb: 1,
  mixupSwitch: 0.5,
};
const size = { height: 224, width: 224 };
const rows = (count: number, first = 0) => Array.from({ length: count }, (_, i) => ({ row: first + i, epoch: 3 }));
const listed = ({ top, left, height, width }: Box) => [top, left, height, width];

/** The draw in [0, 1) that a uniform number from `least` to `most` stands for. */
const share = (value: number, least: number, most: number) => (value - least) / (most - least);

Deno.test("random crops are the official code's boxes for its draws, the centre after ten tries", () => {
  for (const row of golden.random_resized_crop.rows) {
    const { height, width, area_draw, log_ratio_draw, top_draw = 0, left_draw = 0 } = row;
    const [top, left, h, w] = row.result_top_left_h_w as [number, number, number, number];
    const draws = [
      share(area_draw, 0.08, 1),
      share(log_ratio_draw, Math.log(0.75), Math.log(1.3333)),
      (top_draw + 0.5) / (height - h + 1),
      (left_draw + 0.5) / (width - w + 1),
    ];
    let tries = 0;
    const box = cropBox({ height, width }, () => (tries++, draws));
    assertEquals([...listed(box), tries], [top, left, h, w, row.tries]);
  }
});

Deno.test("erased boxes are the official code's for its draws", () => {
  for (const { size, area_draw, log_ratio_draw, top_draw, left_draw, box_top_left_h_w } of golden.random_erasing.rows) {
    const [, , h, w] = box_top_left_h_w as [number, number, number, number];
    const draws = [
      share(area_draw, 0.02, 1 / 3),
      share(log_ratio_draw, Math.log(0.3), Math.log(1 / 0.3)),
      (top_draw + 0.5) / (size - h + 1),
      (left_draw + 0.5) / (size - w + 1),
    ];
    assertEquals(listed(eraseBox({ height: size, width: size }, () => draws)!), box_top_left_h_w);
  }
});

Deno.test("a box of cutmix reaches half its side to both sides of its centre and ends at the border", () => {
  // Side floor(224 sqrt(0.75)) = 193, half 96.
  assertEquals(listed(cutBox(size, 0.25, 0.5, 0.5)), [16, 16, 192, 192]);
  assertEquals(listed(cutBox(size, 0.25, 0, 0.999)), [223 - 96, 0, 97, 96]);
  assertEquals(listed(cutBox(size, 1, 0.5, 0.5)), [112, 112, 0, 0]);
});

Deno.test("targets are smoothed labels, mixed with those of the clip at the same place from the end", () => {
  // Smoothing 0.1 over 4 classes: 0.025 everywhere; 0.9 shared out 0.75 to 0.25.
  const targets = mixedTargets([0, 1, 3], [0.75, 1, 0.75], 4, 0.1);
  const wanted = [0.7, 0.025, 0.025, 0.25, 0.025, 0.925, 0.025, 0.025, 0.25, 0.025, 0.025, 0.7];
  targets.forEach((target, i) => assertAlmostEquals(target, wanted[i]!, 1e-6));
});

Deno.test("shares have mean 1/2 and the variance of their beta distribution, 1 / (8 a + 4)", () => {
  for (const a of [0.8, 1, 2]) {
    const drawn = Array.from({ length: 4000 }, (_, i) => beta(a, (attempt) => uniforms(2, 1, "beta", i, attempt)));
    const mean = drawn.reduce((sum, x) => sum + x) / drawn.length;
    const variance = drawn.reduce((sum, x) => sum + (x - mean) ** 2, 0) / drawn.length;
    assertAlmostEquals(mean, 0.5, 0.02);
    assertAlmostEquals(variance, 1 / (8 * a + 4), 0.004);
  }
});

Deno.test("as many clips as an official device holds are mixed alike, by halves with mixup and cutmix", () => {
  let cut = 0;
  const batches = 200;
  for (let i = 0; i < batches; i++) {
    const { shares, inputs } = mixDraws(rows(MIXED_ALIKE, i * MIXED_ALIKE), official, size, 1);
    assertEquals(new Set(shares).size, 1);
    const box = inputs.get("cut_box")!.subarray(0, 4) as Float32Array, mix = inputs.get("mix")![0]!;
    if (mix === 1) {
      cut++;
      assertAlmostEquals(shares[0]!, 1 - box[2]! * box[3]! / 224 ** 2, 1e-9);
    } else {
      assertEquals([...box], [0, 0, 0, 0]);
      assertAlmostEquals(mix, shares[0]!, 1e-7);
    }
  }
  assertAlmostEquals(cut / batches, 0.5, 4 * 0.5 / Math.sqrt(batches));
  assertEquals(new Set(mixDraws(rows(3 * MIXED_ALIKE), official, size, 1).shares).size, 3);
  assertEquals(mixDraws(rows(4), { ...official, mixupProb: 0 }, size, 1), { shares: [1, 1, 1, 1], inputs: new Map() });
});

Deno.test("a clip's draws follow from seed, epoch, row and copy, whatever the batch around it", () => {
  const whole = clipDraws(rows(3), official, size, 1);
  const alone = clipDraws(rows(1, 1), official, size, 1);
  for (const [name, values] of alone) {
    const length = values.length;
    assertEquals(whole.get(name)!.subarray(length, 2 * length), values, name);
  }
  const other = (row: Partial<{ row: number; epoch: number; copy: number }>, seed = 1) =>
    clipDraws([{ row: 1, epoch: 3, ...row }], official, size, seed).get("crop")!;
  for (const changed of [other({ row: 2 }), other({ epoch: 4 }), other({ copy: 1 }), other({}, 2)]) {
    assertNotEquals(changed, alone.get("crop"));
  }
});

Deno.test("a quarter of the clips is erased, half of them mirrored, none where that is not wanted", () => {
  const count = 800, drawn = clipDraws(rows(count), { ...official, randAugment: null }, size, 1);
  const boxes = drawn.get("erase_box")! as Float32Array, crops = drawn.get("crop")! as Float32Array;
  const erased = rows(count).filter((_, i) => boxes[4 * i + 2]! > 0).length;
  assertAlmostEquals(erased / count, 0.25, 4 * Math.sqrt(0.25 * 0.75 / count));
  const mirrored = rows(count).filter((_, i) => crops[5 * i + 4] === 1).length;
  assertAlmostEquals(mirrored / count, 0.5, 4 * 0.5 / Math.sqrt(count));
  const still = clipDraws(rows(count), { ...official, flip: 0 }, size, 1).get("crop")! as Float32Array;
  assert(rows(count).every((_, i) => still[5 * i + 4] === 0));
  const off = { ...official, randAugment: null, randomCrop: false, flip: 0, erasing: 0, mixup: 0, cutmix: 0 };
  assertEquals(clipDraws(rows(2), off, size, 1), new Map());
  assertEquals(augmentationOf(off), { randAugment: 0, crop: false, erase: false, mixup: false, cutmix: false });
});

Deno.test("operations come at even odds from all fifteen, and the later map is gone through first", () => {
  const policy = randAugmentPolicy("rand-m7-n4-mstd0.5-inc1");
  assertEquals(policy, { magnitude: 7, operations: 4, deviation: 0.5 });
  const drawn = Array.from({ length: 500 }, (_, i) => drawRandAugment(policy, uniforms(20, 1, "policy", i), size));
  const colours = drawn.flatMap(({ colour }) => colour.filter((_, i) => i % 2 === 0));
  assertEquals(new Set(colours).size, 11);
  // Ten operations of fifteen are colours; half of all are applied.
  assertAlmostEquals(colours.filter((number) => number > 0).length / 2000, 1 / 3, 4 * Math.sqrt(2 / 9 / 2000));
  const shift = drawnOperation("TranslateXRel", 10, false, { height: 10, width: 20 });
  const shear = drawnOperation("ShearX", 10, true, { height: 10, width: 20 });
  assert("map" in shift && "map" in shear);
  // x -> x - 0.3 y, then 9 pixels further: the place that the shifted picture has at x is x + 9 of the one before.
  assertEquals(composed(shear.map, shift.map), [1, -0.3, 9, 0, 1, 0]);
});

Deno.test("what is no policy is refused with the form that is", () => {
  for (const text of ["rand", "rand-m11-n4-inc1", "rand-m7-n0-inc1", "rand-m7-n4-mstd0.5", "augmix-m7-n4-inc1"]) {
    assertThrows(() => randAugmentPolicy(text), SyntaxError, "rand-m7-n4-mstd0.5-inc1");
  }
  assertEquals(randAugmentPolicy("rand-m10-n15-inc1"), { magnitude: 10, operations: 15, deviation: 0 });
});
