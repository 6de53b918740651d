import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { cropDraws, type CropRule, multiScalePairs, planCrop, sourceBox } from "../../decoders/crops.ts";
import { goldenJson } from "./_golden.ts";

interface Example {
  pair: number;
  offset: number;
  crop_w: number;
  crop_h: number;
  left: number;
  top: number;
}
const augment = await goldenJson<
  {
    multi_scale_crop: {
      rows: { output: number; width: number; height: number; pairs_w_h: number[][]; examples: Example[] }[];
    };
  }
>("augment.json");
const sampling = await goldenJson<
  {
    rules: {
      "test-crops": {
        rows: {
          width: number;
          height: number;
          short_side: number;
          resized_w_h: number[];
          crops: { top: number; left: number; height: number; width: number }[];
        }[];
      };
    };
  }
>("sampling.json");

Deno.test("the multi-scale crop chooses the official boxes", () => {
  for (const row of augment.multi_scale_crop.rows) {
    assertEquals(multiScalePairs(row.width, row.height, row.output), row.pairs_w_h as [number, number][]);
    for (const e of row.examples) {
      const draws = [(e.pair + 0.5) / 10, (e.offset + 0.5) / 13];
      const plan = planCrop({ kind: "multi-scale" }, row.width, row.height, row.output, draws);
      assertEquals(plan.box, { x: e.left, y: e.top, width: e.crop_w, height: e.crop_h });
      assertEquals([plan.scaledWidth, plan.scaledHeight, plan.left, plan.top], [row.output, row.output, 0, 0]);
      assertEquals(sourceBox(plan), plan.box);
    }
  }
});

Deno.test("the three-crop resizes and cuts where the official test does", () => {
  for (const row of sampling.rules["test-crops"].rows) {
    row.crops.forEach((crop, position) => {
      const rule = { kind: "three-crop", position } as CropRule;
      const plan = planCrop(rule, row.width, row.height, row.short_side, []);
      assertEquals([plan.scaledWidth, plan.scaledHeight], row.resized_w_h);
      assertEquals([plan.left, plan.top, plan.size], [crop.left, crop.top, crop.width]);
      assertEquals(plan.box, { x: 0, y: 0, width: row.width, height: row.height });
    });
  }
});

Deno.test("the centre crop is the middle one of three, and its source box is the middle square", () => {
  const plan = planCrop({ kind: "centre" }, 340, 256, 224, []);
  assertEquals(plan, planCrop({ kind: "three-crop", position: 1 }, 340, 256, 224, []));
  const box = sourceBox(plan);
  assertAlmostEquals(box.x, 36 * 340 / 297, 1e-9);
  assertAlmostEquals(box.width, 224 * 340 / 297, 1e-9);
  assertEquals([box.y, box.height], [0, 256]);
});

Deno.test("every multi-scale box lies inside the picture, also where the picture is smaller than the output", () => {
  for (const [w, h] of [[1, 1], [3, 2], [30, 40], [31, 31], [33, 47], [222, 400], [223, 223], [226, 225]] as const) {
    for (let pair = 0; pair < 10; pair++) {
      for (let place = 0; place < 13; place++) {
        const draws = [(pair + 0.5) / 10, (place + 0.5) / 13];
        const { box } = planCrop({ kind: "multi-scale" }, w, h, 224, draws);
        assert(box.x >= 0 && box.y >= 0 && box.width >= 1 && box.height >= 1, JSON.stringify(box));
        assert(box.x + box.width <= w && box.y + box.height <= h, `${w}x${h}: ${JSON.stringify(box)}`);
      }
    }
  }
});

Deno.test("crops refuse sizes, draws and rules outside their range", () => {
  assertThrows(() => planCrop({ kind: "centre" }, 0, 10, 8, []), RangeError, "width must be");
  assertThrows(() => planCrop({ kind: "centre" }, 10, 10, 8.5, []), RangeError, "size must be");
  assertThrows(() => planCrop({ kind: "multi-scale" }, 10, 10, 8, [0.1]), RangeError, "needs 2 draws");
  assertThrows(() => planCrop({ kind: "multi-scale" }, 10, 10, 8, [0.1, 1]), RangeError, "below 1");
  assertThrows(() => planCrop({ kind: "three-crop", position: 3 as 2 }, 10, 10, 8, []), RangeError, "0, 1 or 2");
  assertThrows(() => planCrop({ kind: "whole" } as unknown as CropRule, 10, 10, 8, []), RangeError, "Unknown crop");
});

Deno.test("a random resized crop has its share of the area, its ratio and its place, and lies inside of any picture", () => {
  const rule: CropRule = { kind: "random-resized" };
  assertEquals(cropDraws(rule), 4);
  // Area 0.6, ratio 1, the last of the places: sqrt(0.6 * 400 * 400) = 309.8.
  assertEquals(planCrop(rule, 400, 400, 224, [0.5, 0.5, 0.999, 0]).box, { x: 90, y: 0, width: 310, height: 310 });
  const wide = planCrop(rule, 1000, 1000, 224, [0, 1 - 1e-9, 0, 0]).box;
  assertAlmostEquals(wide.width / wide.height, 4 / 3, 0.005);
  assertAlmostEquals(wide.width * wide.height, 0.2 * 1e6, 1000);
  for (const [w, h] of [[1, 1], [3, 2], [28, 28], [30, 400], [500, 375]] as const) {
    for (const area of [0, 0.5, 0.999]) {
      for (const ratio of [0, 0.5, 0.999]) {
        for (const place of [0, 0.5, 0.999]) {
          const plan = planCrop(rule, w, h, 32, [area, ratio, place, 1 - place / 2 - 1e-3]), { box } = plan;
          assert(box.x >= 0 && box.y >= 0 && box.width >= 1 && box.height >= 1, JSON.stringify(box));
          assert(box.x + box.width <= w && box.y + box.height <= h, `${w}x${h}: ${JSON.stringify(box)}`);
          assertEquals([plan.scaledWidth, plan.scaledHeight, plan.left, plan.top], [32, 32, 0, 0]);
        }
      }
    }
  }
  assertThrows(() => planCrop(rule, 10, 10, 8, [0, 0, 0]), RangeError, "needs 4 draws");
});

Deno.test("the inner centre is the middle 224 of a short side of 256", () => {
  const plan = planCrop({ kind: "inner-centre" }, 500, 375, 224, []);
  assertEquals([plan.scaledWidth, plan.scaledHeight, plan.left, plan.top, plan.size], [341, 256, 58, 16, 224]);
});

Deno.test("a random resized crop with a flip is the same box, mirrored by a fifth draw", () => {
  const rule: CropRule = { kind: "random-resized-flip" }, draws = [0.4, 0.2, 0.7, 0.1];
  assertEquals(cropDraws(rule), 5);
  const plain = planCrop({ kind: "random-resized" }, 300, 200, 32, draws);
  assertEquals(plain.mirrored, false);
  assertEquals(planCrop(rule, 300, 200, 32, [...draws, 0.5]), plain);
  assertEquals(planCrop(rule, 300, 200, 32, [...draws, 0.499]), { ...plain, mirrored: true });
});
