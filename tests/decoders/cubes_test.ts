import { assertEquals, assertGreater, assertLess, assertThrows } from "@std/assert";
import { cubeLayout, cutCubes, joinCubes, placeStrip } from "../../decoders/cubes.ts";
import { goldenJson, goldenTensors } from "./_golden.ts";

Deno.test("cubes of a tiny clip come in token order, pixels in (dt, dy, dx, channel) order", () => {
  // 2 frames of 2x4 pixels, patch 2, tubelet 2: two tokens, left and right half. Pixel value = 100 * frame + 10 * y + x.
  const clip = new Uint8Array(2 * 2 * 4 * 3);
  let i = 0;
  for (const frame of [0, 1]) {
    for (const y of [0, 1]) {
      for (const x of [0, 1, 2, 3]) {
        clip.fill(100 * frame + 10 * y + x, i, i + 3);
        i += 3;
      }
    }
  }
  const layout = cubeLayout(2, 2, 4, 2, 2);
  const cubes = new Uint8Array(layout.bytes);
  cutCubes(clip, layout, cubes);
  const reds = [...cubes].filter((_, at) => at % 3 === 0);
  assertEquals(reds, [0, 1, 10, 11, 100, 101, 110, 111, 2, 3, 12, 13, 102, 103, 112, 113]);
});

Deno.test("cubes equal the official patchify", async () => {
  const { config } = await goldenJson<
    {
      config: {
        frames: number;
        height: number;
        width: number;
        patch: number;
        tubelet: number;
        mean: number[];
        std: number[];
      };
    }
  >("patchify.json");
  const tensors = await goldenTensors("patchify.safetensors");
  const layout = cubeLayout(config.frames, config.height, config.width, config.tubelet, config.patch);
  const cubes = new Uint8Array(layout.bytes);
  cutCubes(tensors.get("clip_u8")!.data as Uint8Array, layout, cubes);
  const expected = tensors.get("cubes_of_clip")!;
  assertEquals(expected.shape, [layout.tokens, layout.bytesPerToken]);
  let worst = 0;
  expected.data.forEach((value, at) => {
    const normalised = (cubes[at]! / 255 - config.mean[at % 3]!) / config.std[at % 3]!;
    worst = Math.max(worst, Math.abs(normalised - value));
  });
  assertLess(worst, 1e-5);
  assertGreater(cubes.reduce((a, b) => a + b, 0), 0);
});

Deno.test("placing strips of patch columns gives the same cubes as cutting rows, also below a top margin", () => {
  const layout = cubeLayout(4, 12, 8, 2, 4);
  const clip = Uint8Array.from({ length: layout.bytes }, (_, i) => (i * 37 + (i >> 5)) & 255);
  const cut = new Uint8Array(layout.bytes);
  cutCubes(clip, layout, cut);
  const placed = new Uint8Array(layout.bytes);
  const rows = 15;
  const top = 2;
  for (let x = 0; x < layout.gridWidth; x++) {
    const strip = new Uint8Array(layout.frames * rows * layout.patch * 3);
    for (let frame = 0; frame < layout.frames; frame++) {
      for (let y = 0; y < layout.height; y++) {
        const from = ((frame * layout.height + y) * layout.width + x * layout.patch) * 3;
        strip.set(clip.subarray(from, from + layout.patch * 3), (frame * rows + top + y) * layout.patch * 3);
      }
    }
    placeStrip(strip, rows, top, layout, x, placed);
  }
  assertEquals(placed, cut);
});

Deno.test("joining cubes gives the clip back", () => {
  const layout = cubeLayout(4, 6, 9, 2, 3);
  const clip = Uint8Array.from({ length: layout.bytes }, (_, i) => (i * 61 + (i >> 4)) & 255);
  const cubes = new Uint8Array(layout.bytes);
  cutCubes(clip, layout, cubes);
  assertEquals(joinCubes(cubes, layout), clip);
});

Deno.test("a layout refuses sizes that are not multiples and buffers of another size", () => {
  assertThrows(() => cubeLayout(15, 224, 224, 2, 16), RangeError, "15 frames are not a multiple of the tubelet size 2");
  assertThrows(() => cubeLayout(16, 224, 220, 2, 16), RangeError, "220x224 pixels");
  assertThrows(() => cubeLayout(16, 0, 224, 2, 16), RangeError, "height must be");
  const layout = cubeLayout(2, 2, 2, 2, 2);
  assertThrows(() => cutCubes(new Uint8Array(3), layout, new Uint8Array(24)), RangeError, "clip has 3 bytes");
  assertThrows(() => cutCubes(new Uint8Array(24), layout, new Uint8Array(25)), RangeError, "cubes has 25 bytes");
});
