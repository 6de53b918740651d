/** Erasing and mixing of clips in cube form, by hand. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { augment, type Augmentation } from "../../../models/augmentation/augment.ts";
import { insideBox } from "../../../models/augmentation/boxes.ts";
import { normal } from "../../../models/augmentation/noise.ts";
import { cubesOfPixels, pixelsOfCubes } from "../../../models/augmentation/pixels.ts";
import type { HostArray } from "../../../models/runtime/engine.ts";
import { stableHlo } from "../../../models/runtime/stablehlo.ts";
import { convert, input, program } from "../../../models/tensor/mod.ts";
import { uniforms } from "../../../pipeline/random.ts";
import { tfjsEngine, xlaEngine } from "../_engines.ts";
import { computed } from "./_computed.ts";

/** 4 frames of 4 rows and 6 columns. */
const layout = { grid: { slots: 2, rows: 2, columns: 3 }, cube: { tubelet: 2, patch: 2 } };
const [FRAMES, HEIGHT, WIDTH, TOKENS, VALUES] = [4, 4, 6, 12, 24];
const SIZE = TOKENS * VALUES;

/** Place of a pixel's red value among a clip's cubes. */
function placeOf(frame: number, y: number, x: number): number {
  const token = (Math.floor(frame / 2) * 2 + Math.floor(y / 2)) * 3 + Math.floor(x / 2);
  return token * VALUES + ((frame % 2 * 2 + y % 2) * 2 + x % 2) * 3;
}

/** Clips as a step sees them. */
async function seen(what: Augmentation, batch: number, values: Readonly<Record<string, HostArray>>, parts = 1) {
  const { seen } = augment(input("cubes", [batch, TOKENS, VALUES], "u8"), what, layout, "f32", parts);
  return await computed(convert(seen((clips) => clips), "f32"), values);
}

const clips = (batch: number) => Uint8Array.from(uniforms(batch * SIZE, 1, "cubes"), (u) => Math.floor(u * 256));

Deno.test("cubes become pixels in rows and columns, and cubes again", async () => {
  const cubes = Float32Array.from(clips(1));
  const given = input("cubes", [1, TOKENS, VALUES]);
  const pixels = await computed(pixelsOfCubes(given, layout), { cubes });
  for (const [frame, y, x] of [[0, 0, 0], [1, 3, 4], [3, 2, 5]] as const) {
    assertEquals(pixels[((y * WIDTH + x) * FRAMES + frame) * 3], cubes[placeOf(frame, y, x)]);
  }
  assertEquals(await computed(cubesOfPixels(pixelsOfCubes(given, layout), layout), { cubes }), cubes);
});

Deno.test("a box covers its rows and columns in every frame and channel", async () => {
  const inside = await computed(convert(insideBox(input("box", [1, 4]), layout), "f32"), {
    box: Float32Array.of(1, 2, 2, 3),
  });
  for (let frame = 0; frame < FRAMES; frame++) {
    for (let y = 0; y < HEIGHT; y++) {
      for (let x = 0; x < WIDTH; x++) {
        const wanted = y >= 1 && y < 3 && x >= 2 && x < 5 ? 1 : 0, at = placeOf(frame, y, x);
        assertEquals([...inside.subarray(at, at + 3)], [wanted, wanted, wanted]);
      }
    }
  }
});

Deno.test("erasing puts noise into the box alone, normal as the network sees it, other noise in each frame", async () => {
  const cubes = clips(2);
  const values = {
    cubes,
    erase_box: Float32Array.of(0, 0, 2, 2, 0, 0, 0, 0),
    erase_keys: Uint32Array.of(1, 2, 3, 4),
  };
  const found = await seen({ erase: true }, 2, values);
  const at = placeOf(0, 1, 1), later = placeOf(1, 1, 1);
  assert(found[at] !== cubes[at] && found[at] !== found[later]);
  assertEquals(found[placeOf(0, 2, 2)], cubes[placeOf(0, 2, 2)]);
  assertEquals(found.subarray(SIZE), Float32Array.from(cubes.subarray(SIZE)));
  assertEquals(await seen({ erase: true }, 2, values), found);
});

Deno.test("the noise is normal: mean, deviation and tails of 20,000 numbers", async () => {
  const count = 20_000;
  const noise = await computed(normal(input("keys", [1, 2], "u32"), count), { keys: Uint32Array.of(5, 6) });
  const mean = noise.reduce((sum, x) => sum + x, 0) / count;
  const square = noise.reduce((sum, x) => sum + x * x, 0) / count;
  const beyond = (limit: number) => noise.filter((x) => Math.abs(x) > limit).length / count;
  // Four standard errors.
  assertAlmostEquals(mean, 0, 4 / Math.sqrt(count));
  assertAlmostEquals(square, 1, 4 * Math.sqrt(2 / count));
  assertAlmostEquals(beyond(1), 0.3173, 4 * Math.sqrt(0.3173 * 0.6827 / count));
  assertAlmostEquals(beyond(2.5758), 0.01, 4 * Math.sqrt(0.01 * 0.99 / count));
});

Deno.test("mixup is a weighted sum with the clip at the same place from the end", async () => {
  const cubes = clips(4);
  const found = await seen({ mixup: true }, 4, { cubes, mix: Float32Array.of(0.25, 0.5, 1, 0.75) });
  for (const [clip, share] of [0.25, 0.5, 1, 0.75].entries()) {
    for (const i of [0, 7, SIZE - 1]) {
      const wanted = share * cubes[clip * SIZE + i]! + (1 - share) * cubes[(3 - clip) * SIZE + i]!;
      assertAlmostEquals(found[clip * SIZE + i]!, wanted, 1e-4);
    }
  }
});

Deno.test("cutmix takes the box from the partner and leaves the rest", async () => {
  const cubes = clips(2);
  const found = await seen({ mixup: true, cutmix: true }, 2, {
    cubes,
    mix: Float32Array.of(1, 1),
    cut_box: Float32Array.of(0, 1, 2, 3, 0, 1, 2, 3),
  });
  assertEquals(found[placeOf(2, 1, 2)], cubes[SIZE + placeOf(2, 1, 2)]);
  assertEquals(found[placeOf(2, 2, 2)], cubes[placeOf(2, 2, 2)]);
  assertEquals(found[SIZE + placeOf(2, 1, 2)], cubes[placeOf(2, 1, 2)]);
});

Deno.test("an erased clip is mixed in as it is seen, erased", async () => {
  const cubes = clips(2), keys = { erase_keys: Uint32Array.of(1, 2, 3, 4) };
  const erase_box = Float32Array.of(0, 0, 0, 0, 0, 0, 4, 6);
  const alone = await seen({ erase: true }, 2, { cubes, erase_box, ...keys });
  const mix = Float32Array.of(0.5, 1);
  const found = await seen({ erase: true, mixup: true }, 2, { cubes, erase_box, ...keys, mix });
  assertAlmostEquals(found[5]!, (cubes[5]! + alone[SIZE + 5]!) / 2, 1e-4);
});

Deno.test("views made in parts are those made at once, and nothing drawn changes nothing", async () => {
  const cubes = clips(4), whole = { randAugment: 1, crop: true } as const;
  const repeated = (...numbers: number[]) => Float32Array.from([1, 1, 1, 1].flatMap(() => numbers));
  const values = {
    cubes,
    colour_operations: Float32Array.of(3, 0, 0, 0, 9, 0.5, 7, 1.5),
    warp: Float32Array.of(...[1, 0, 1, 0, 1, 0], ...[1, 0, 0, 0, 1, 0], ...[1, 0.2, 0, 0, 1, 0], ...[0, 1, 0, 1, 0, 0]),
    crop: Float32Array.of(...[0, 0, 4, 6, 0], ...[0, 1, 4, 4, 1], ...[1, 0, 2, 6, 0], ...[0, 0, 4, 6, 1]),
  };
  assertEquals(await seen(whole, 4, values, 2), await seen(whole, 4, values));
  const idle = {
    cubes,
    colour_operations: repeated(0, 0),
    warp: repeated(1, 0, 0, 0, 1, 0),
    crop: repeated(0, 0, 4, 6, 0),
  };
  assertEquals(await seen(whole, 4, idle, 2), Float32Array.from(cubes));
});

const everything = { randAugment: 2, crop: true, erase: true, mixup: true, cutmix: true } as const;
const drawn = {
  cubes: clips(2),
  colour_operations: Float32Array.of(2, 0, 10, 1.6, 8, 0.4, 1, 0),
  warp: Float32Array.of(...[0.91, 0.313, 0.77, -0.287, 0.93, 1.03], ...[1, 0.2, -1, 0, 1, 0]),
  crop: Float32Array.of(...[1, 1, 3, 4, 1], ...[0, 0, 4, 6, 0]),
  erase_box: Float32Array.of(...[1, 2, 2, 3], ...[0, 0, 0, 0]),
  erase_keys: Uint32Array.of(1, 2, 3, 4),
  mix: Float32Array.of(1, 1),
  cut_box: Float32Array.of(...[0, 3, 2, 3], ...[0, 3, 2, 3]),
};

for (const [name, engine] of [["XLA", await xlaEngine()], ["TensorFlow.js", await tfjsEngine()]] as const) {
  Deno.test({
    name: `${name} augments as the reference does, all at once`,
    ignore: engine === undefined,
    fn: async () => {
      const { seen } = augment(input("cubes", [2, TOKENS, VALUES], "u8"), everything, layout, "f32");
      const found = await computed(seen((clips) => clips), drawn, engine);
      const wanted = await computed(seen((clips) => clips), drawn);
      // Rounding to a level, or of noise to bf16, may go the other way.
      const off = found.map((value, i) => Math.abs(value - wanted[i]!)).sort();
      assert(off[Math.floor(0.98 * off.length)]! < 1e-3, `${off.slice(-9)}`);
      assert(off.at(-1)! <= 2, `${off.at(-1)}`);
    },
  });
}

Deno.test("on several devices no clip is augmented on all of them: partners alone are exchanged", () => {
  const gathers = (what: Augmentation) => {
    const cubes = input("cubes", [4, TOKENS, VALUES], "u8");
    const { seen, inputs } = augment(cubes, what, layout, "f32");
    const text = stableHlo(
      program("augment", { seen: seen((clips) => clips) }, { batch: [cubes, ...inputs] }),
      { devices: 2 },
    );
    return text.split("stablehlo.all_gather").length - 1;
  };
  assertEquals(gathers({ randAugment: 2, crop: true, erase: true }), 0);
  assertEquals(gathers(everything), 1);
});
