/** Pictures out of cubes: masks, what the student sees, reconstructions and the strips they come in. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { decode } from "fast-png";
import { cubeLayout, cutCubes, joinCubes } from "../../../decoders/cubes.ts";
import { filmStrip, stripSize } from "../../../pipeline/report/film_strip.ts";
import {
  MASK_COLOURS,
  maskFrames,
  normalisedCubes,
  predictedFrames,
  visibleFrames,
} from "../../../pipeline/report/frames.ts";
import { pixelTarget } from "../../../models/patch_embed.ts";
import { input, program } from "../../../models/tensor/mod.ts";
import { runOnce } from "../../golden/_run.ts";
import { referenceEngine } from "../../models/_engines.ts";
import { DEMO_LAYOUT, movingDisc } from "./_sample.ts";

/** Two frames of 4 x 2 pixels: two cubes side by side. */
const SMALL = cubeLayout(2, 2, 4, 2, 2);

function clipCubes(layout = DEMO_LAYOUT): { clip: Uint8Array; cubes: Uint8Array } {
  const clip = movingDisc(layout, 0);
  const cubes = new Uint8Array(layout.bytes);
  cutCubes(clip, layout, cubes);
  return { clip, cubes };
}

const pixel = (
  clip: Uint8Array,
  width: number,
  x: number,
  y: number,
) => [...clip.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)];

Deno.test("what the student sees keeps its cubes and greys the others", () => {
  const cubes = new Uint8Array(SMALL.bytes).fill(200);
  const frames = visibleFrames(cubes, SMALL, Int32Array.of(1));
  assertEquals(pixel(frames, 4, 0, 0), [128, 128, 128]);
  assertEquals(pixel(frames, 4, 3, 1), [200, 200, 200]);
});

Deno.test("masks mix half of their colour with the pixels, and more of it where nobody sees them", () => {
  const cubes = new Uint8Array(SMALL.bytes).fill(100);
  const both = maskFrames(cubes, SMALL, Int32Array.of(0), Int32Array.of(1));
  assertEquals(pixel(both, 4, 0, 0), MASK_COLOURS.student.map((c) => (100 + c) / 2));
  assertEquals(pixel(both, 4, 2, 0), MASK_COLOURS.teacherOnly.map((c) => Math.round((100 + c) / 2)));
  const none = maskFrames(cubes, SMALL, new Int32Array(), new Int32Array());
  assertEquals(pixel(none, 4, 0, 0), [134, 134, 134]);
});

Deno.test("a perfect prediction with the true statistics is the clip itself", () => {
  const { clip, cubes } = clipCubes();
  const tokens = Int32Array.from({ length: DEMO_LAYOUT.tokens / 2 }, (_, i) => 2 * i + 1);
  const target = normalisedCubes(tokens, cubes, DEMO_LAYOUT);
  assertEquals(predictedFrames(target, cubes, DEMO_LAYOUT, "true"), clip);
});

Deno.test("MAE's pixels are normalised in the report as in its loss, and come back", async () => {
  // A picture of 2 x 2 patches of 2 x 2 pixels.
  const layout = cubeLayout(1, 4, 4, 1, 2), tokens = Int32Array.of(1, 2, 3);
  const { clip, cubes } = clipCubes(layout);
  const { values } = normalisedCubes(tokens, cubes, layout, "mae");
  const target = pixelTarget(input("cubes", [1, layout.tokens, layout.bytesPerToken], "u8"), "mae");
  const outputs = await runOnce(referenceEngine(), program("target", { target }), new Map([["cubes", cubes]]));
  const expected = outputs.get("target")!.subarray(layout.bytesPerToken);
  assertEquals(values.length, expected.length);
  values.forEach((value, i) => assert(Math.abs(value - expected[i]!) < 1e-4, `${i}: ${value} and ${expected[i]}`));
  assertEquals(predictedFrames({ tokens, values, form: "mae" }, cubes, layout, "true"), clip);
});

Deno.test("normalised pixels have mean 0 and unbiased deviation 1 in every channel, by hand", () => {
  // One cube of 1 x 2 x 2: four pixels, red 0, 0, 8, 8: mean 4, deviation sqrt(64 / 3).
  const layout = cubeLayout(1, 2, 2, 1, 2);
  const cubes = Uint8Array.of(0, 7, 0, 0, 7, 0, 8, 7, 0, 8, 7, 2);
  const { values } = normalisedCubes(Int32Array.of(0), cubes, layout);
  const red = [0, 3, 6, 9].map((i) => values[i] ?? NaN);
  const expected = 4 / (Math.sqrt(64 / 3) + 255e-6);
  red.forEach((value, i) => assert(Math.abs(value - (i < 2 ? -expected : expected)) < 1e-6));
  assertEquals([1, 4, 7, 10].map((i) => values[i]), [0, 0, 0, 0]);
});

Deno.test("without statistics 0 is mid grey, three deviations are black and white, and the rest is left grey", () => {
  const { bytesPerToken } = SMALL;
  const values = new Float32Array(bytesPerToken);
  values.set([0, 3, -3, 1.5, 99, -99]);
  const frames = predictedFrames({ tokens: Int32Array.of(1), values }, new Uint8Array(SMALL.bytes), SMALL, "none");
  assertEquals(pixel(frames, 4, 2, 0), [128, 255, 1]);
  assertEquals(pixel(frames, 4, 3, 0), [192, 255, 0]);
  assertEquals(pixel(frames, 4, 0, 0), [128, 128, 128]);
});

Deno.test("a picture does not take a prediction that does not fit", () => {
  const cubes = new Uint8Array(SMALL.bytes);
  const of = (token: number, length = SMALL.bytesPerToken) => ({
    tokens: Int32Array.of(token),
    values: new Float32Array(length),
  });
  assertThrows(
    () => predictedFrames(of(0, 5), cubes, SMALL, "true"),
    RangeError,
    "Cannot draw a clip: prediction has 5 values, expected 24",
  );
  assertThrows(
    () => predictedFrames(of(2), cubes, SMALL, "none"),
    RangeError,
    "token 2 is not among the 2 of the view",
  );
  assertThrows(() => visibleFrames(cubes.subarray(1), SMALL, Int32Array.of(0)), RangeError, "cubes has 47 values");
});

Deno.test("a small clip is shown whole: the strip holds every pixel of every frame", () => {
  const { clip, cubes } = clipCubes();
  assertEquals(joinCubes(cubes, DEMO_LAYOUT), clip);
  const size = stripSize(DEMO_LAYOUT, 8 * 32 * 32);
  assertEquals(size, { frameStep: 1, shrink: 1, frames: 8, width: 32, height: 32, stripWidth: 8 * 33 - 1 });
  const png = decodeAddress(filmStrip(clip, DEMO_LAYOUT, size));
  assertEquals([png.width, png.height, png.channels], [263, 32, 4]);
  for (const [frame, x, y] of [[0, 0, 0], [3, 10, 20], [7, 31, 31]] as const) {
    const at = (y * 263 + frame * 33 + x) * 4;
    assertEquals([...png.data.slice(at, at + 4)], [...pixel(clip, 32, x, frame * 32 + y), 255]);
  }
  assertEquals(png.data[32 * 4 + 3], 0);
});

Deno.test("a large clip shows one frame of a cube, smaller by a whole factor", () => {
  const layout = cubeLayout(16, 224, 224, 2, 16);
  assertEquals(stripSize(layout, 20_000), {
    frameStep: 2,
    shrink: 5,
    frames: 8,
    width: 44,
    height: 44,
    stripWidth: 359,
  });
  // 4 x 2 pixels become 2 x 1, each the mean of a square.
  const clip = Uint8Array.from({ length: SMALL.bytes }, (_, i) => i % 3 === 0 ? Math.floor(i / 3) : 0);
  const size = stripSize(SMALL, 2);
  assertEquals(size, { frameStep: 2, shrink: 2, frames: 1, width: 2, height: 1, stripWidth: 2 });
  const { data } = decodeAddress(filmStrip(clip, SMALL, size));
  assertEquals([...data], [Math.round((0 + 1 + 4 + 5) / 4), 0, 0, 255, Math.round((2 + 3 + 6 + 7) / 4), 0, 0, 255]);
});

function decodeAddress(address: string) {
  return decode(Uint8Array.fromBase64(address.slice("data:image/png;base64,".length)), { checkCrc: true });
}
