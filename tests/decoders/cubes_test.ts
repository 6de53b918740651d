import { assertEquals, assertGreater, assertLess, assertThrows } from "@std/assert";
import { cubeLayout, cutCubes, cutPlanes, joinCubes } from "../../decoders/cubes.ts";
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

Deno.test("cutting planes gives the same cubes as cutting packed rows, wherever the view and its buffers begin", () => {
  for (const patch of [4, 3]) {
    const layout = cubeLayout(4, 3 * patch, 2 * patch, 2, patch);
    const clip = Uint8Array.from({ length: layout.bytes }, (_, i) => (i * 37 + (i >> 5)) & 255);
    const cut = new Uint8Array(layout.bytes);
    cutCubes(clip, layout, cut);
    for (const [left, shift] of [[0, 0], [8, 0], [3, 0], [4, 1]] as const) {
      const rows = layout.height + 3, top = 2, stride = 20;
      const [red, green, blue] = [0, 1, 2].map((channel) => {
        const plane = new Uint8Array(4 * rows * stride + shift).fill(99).subarray(shift);
        for (let i = 0; i < layout.bytes / 3; i++) {
          const row = Math.floor(i / layout.width), frame = Math.floor(row / layout.height);
          const at = (frame * rows + top + row % layout.height) * stride + left + i % layout.width;
          plane[at] = clip[i * 3 + channel]!;
        }
        return plane;
      }) as [Uint8Array, Uint8Array, Uint8Array];
      const cubes = new Uint8Array(layout.bytes + shift).subarray(shift);
      cutPlanes({ red, green, blue, rows, left, top, stride }, layout, cubes);
      assertEquals(cubes, cut, `patch ${patch}, left ${left}, buffers at ${shift}`);
    }
  }
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
