/** The fifteen operations of RandAugment, and the crop, against what Pillow and torch make of the same picture. */
import { assert, assertEquals } from "@std/assert";
import { COLOUR_OPERATIONS, colourOperation } from "../../../models/augmentation/colour.ts";
import { cropped, warped } from "../../../models/augmentation/warp.ts";
import { input, type Tensor } from "../../../models/tensor/mod.ts";
import {
  drawnOperation,
  RAND_AUGMENT_OPERATIONS,
  type RandAugmentOperation,
} from "../../../pipeline/training/rand_augment.ts";
import { goldenJson, goldenTensors } from "../../decoders/_golden.ts";
import { computed } from "./_computed.ts";

interface Golden {
  interpolate: { rows: { left: number; top: number; w: number; h: number; out: number; tensor: string }[] };
  rand_augment_ops: {
    order_of_the_15_ops: string[];
    rows: { op: RandAugmentOperation; magnitude: number; sign_draw: number; arguments: number[]; tensor: string }[];
  };
}

const { interpolate, rand_augment_ops: golden } = await goldenJson<Golden>("augment.json");
const tensors = await goldenTensors("augment.safetensors");
const picture = tensors.get("op_image")!;
const [height, width] = picture.shape as [number, number, number];
const pixels: Tensor = input("pixels", [1, height, width, 3]);

Deno.test("the operations are those of the official table, in its order", () => {
  assertEquals([...RAND_AUGMENT_OPERATIONS], golden.order_of_the_15_ops);
  assertEquals(new Set(golden.rows.map(({ op }) => op)).size, RAND_AUGMENT_OPERATIONS.length);
});

for (const { op, magnitude, sign_draw, tensor } of golden.rows) {
  Deno.test(`${op} at ${magnitude}${sign_draw > 0.5 ? ", negated" : ""}: the levels are Pillow's`, async () => {
    const drawn = drawnOperation(op, magnitude, sign_draw > 0.5, { width, height });
    const given = "map" in drawn ? drawn.map : [COLOUR_OPERATIONS.indexOf(drawn.colour[0]), drawn.colour[1]];
    const numbers = input("numbers", [1, given.length]);
    const result = "map" in drawn ? warped(pixels, numbers) : colourOperation(pixels, numbers);
    const found = await computed(result, {
      pixels: Float32Array.from(picture.data),
      numbers: Float32Array.from(given),
    });
    const wanted = tensors.get(tensor)!.data;
    assert(found.some((level, i) => level !== picture.data[i]), "the operation changes nothing");
    const off = found.map((level, i) => Math.abs(level - wanted[i]!)).sort();
    // Pillow's places and its table of AutoContrast are float64: a place in a hundred may round the other way, and its table
    // falls short of a whole number here and there.
    const exact = "map" in drawn ? Math.floor(0.99 * off.length) : op === "AutoContrast" ? 0 : off.length;
    if (exact > 0) assertEquals(off[exact - 1], 0);
    assert(off.at(-1)! <= 1, `off by ${off.at(-1)}`);
  });
}

for (const [i, { left, top, w, h, out, tensor }] of interpolate.rows.entries()) {
  Deno.test(`crop ${i}: a box of ${w} x ${h} becomes torch's ${out} x ${out}`, async () => {
    const image = tensors.get("image")!, [rows, columns] = image.shape as [number, number];
    // A square canvas of the wanted size, or of the picture's, holds the picture at its upper left corner.
    const size = Math.max(rows, columns, out);
    const canvas = new Float32Array(size * size * 3);
    for (let y = 0; y < rows; y++) {
      canvas.set(image.data.subarray(y * columns * 3, (y + 1) * columns * 3), y * size * 3);
    }
    // Boxes are resized to the canvas: one of the same scale, of which the wanted part is looked at, has the same weights.
    const scaled = (length: number) => length * size / out;
    const result = cropped(input("pixels", [1, size, size, 3]), input("box", [1, 5]), "f32");
    const found = await computed(result, {
      pixels: canvas,
      box: Float32Array.of(top, left, scaled(h), scaled(w), 0),
    });
    const wanted = tensors.get(tensor)!.data;
    let most = 0;
    for (let y = 0; y < out; y++) {
      for (let x = 0; x < out; x++) {
        // The last ones look across the box's edge, which is further away here.
        if ((y + 0.5) * h / out > h - 0.5 || (x + 0.5) * w / out > w - 0.5) continue;
        for (let c = 0; c < 3; c++) {
          const level = found[(y * size + x) * 3 + c]! / 255;
          most = Math.max(most, Math.abs(level - wanted[(c * out + y) * out + x]!));
        }
      }
    }
    assert(most < 1e-5, `off by ${most}`);
  });
}

Deno.test("a mirrored crop of the whole clip is the clip in reverse columns", async () => {
  const side = 4, clip = Float32Array.from({ length: side * side * 3 }, (_, i) => i);
  const found = await computed(cropped(input("pixels", [1, side, side, 3]), input("box", [1, 5]), "f32"), {
    pixels: clip,
    box: Float32Array.of(0, 0, side, side, 1),
  });
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const at = (x: number) => (y * side + x) * 3;
      assertEquals(found.subarray(at(x), at(x) + 3), clip.subarray(at(side - 1 - x), at(side - 1 - x) + 3));
    }
  }
});

Deno.test("a box at the edge of the clip takes its last rows and columns and nothing beyond", async () => {
  // 2 x 2 of 4 x 4: rows at -0.25, 0.25, 0.75, 1.25 of the box, cut to 0 and 1.
  const side = 4, clip = Float32Array.from({ length: side * side * 3 }, (_, i) => Math.floor(i / 3 / side) * 100);
  const found = await computed(cropped(input("pixels", [1, side, side, 3]), input("box", [1, 5]), "f32"), {
    pixels: clip,
    box: Float32Array.of(2, 2, 2, 2, 0),
  });
  const rows = [0, 1, 2, 3].map((y) => found[y * side * 3]);
  assertEquals(rows, [200, 225, 275, 300]);
});
