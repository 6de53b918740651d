/**
 * Single pictures as clips of one frame: every kind against what PIL makes of the same file (`fixtures/pictures`, made by the
 * `make.py` there), by both decoders, and what makes a picture a bad clip.
 */
import { assertEquals, assertLessOrEqual, assertNotEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { encode } from "fast-png";
import { cubeLayout, joinCubes } from "../../decoders/cubes.ts";
import type { ClipDecoder, DecodeRequest } from "../../decoders/decoder.ts";
import { CorruptClipError } from "../../decoders/decoder.ts";
import { FfmpegCommandDecoder } from "../../decoders/ffmpeg_command.ts";
import { LibavDecoder } from "../../decoders/libav.ts";
import { inTempDir, makeClip } from "./_clips.ts";

const PICTURES = new URL("../fixtures/pictures/", import.meta.url).pathname;
const [WIDTH, HEIGHT] = [20, 16];

/** The middle square of a picture of 20 x 16 pixels, not resized, as one cube. */
function middle(path: string, more: Partial<DecodeRequest> = {}): DecodeRequest {
  const sampling = { kind: "uniform", frames: 1 } as const;
  return { path, sampling, crop: { kind: "centre" }, size: HEIGHT, tubelet: 1, patch: HEIGHT, draws: [], ...more };
}

async function expectedPictures(folder: string): Promise<[string, Uint8Array][]> {
  const expected: Record<string, string> = JSON.parse(await Deno.readTextFile(`${folder}/expected.json`));
  return Object.entries(expected).map(([name, text]) => [name, Uint8Array.fromBase64(text)]);
}

/** Largest and mean difference of a view from the same square of whole pictures. */
function differences(view: Uint8Array, whole: Uint8Array): { largest: number; mean: number } {
  let [largest, sum] = [0, 0];
  for (let i = 0; i < view.length; i++) {
    const [pixel, channel] = [Math.floor(i / 3), i % 3];
    const [y, x] = [Math.floor(pixel / HEIGHT), pixel % HEIGHT + (WIDTH - HEIGHT) / 2];
    const difference = Math.abs(view[i]! - whole[(y * WIDTH + x) * 3 + channel]!);
    largest = Math.max(largest, difference);
    sum += difference;
  }
  return { largest, mean: sum / view.length };
}

const hasFfmpeg = await new FfmpegCommandDecoder().check().then(() => true, () => {
  console.log("(tests with the ffmpeg command are skipped: it cannot be started)");
  return false;
});
const libav = () => new LibavDecoder();
const decoders: [string, boolean, () => ClipDecoder][] = [
  ["libav", true, libav],
  ["ffmpeg", hasFfmpeg, () => new FfmpegCommandDecoder()],
];

for (const [decoderName, isThere, make] of decoders) {
  Deno.test({ name: `every kind of picture is as PIL has it, by ${decoderName}`, ignore: !isThere }, async () => {
    const decoder = make();
    for (const [name, expected] of await expectedPictures(PICTURES)) {
      const view = await decoder.decode(middle(`${PICTURES}${name}`));
      const { largest, mean } = differences(view.cubes, expected);
      // JPEG and lossy WebP leave the rounding to the decoder; PNG and BMP do not, but a palette may be converted twice.
      const allowed = /png_called|\.(?:png|bmp)$|lossless/.test(name) && name !== "palette.png" ? [0, 0] : [2, 1];
      assertLessOrEqual(largest, allowed[0]!, name);
      assertLessOrEqual(mean, allowed[1]!, name);
      assertEquals(
        [view.sourceWidth, view.sourceHeight, view.frameCount, [...view.frames]],
        [WIDTH, HEIGHT, 1, [0]],
        name,
      );
    }
    (decoder as Partial<Disposable>)[Symbol.dispose]?.();
  });
}

const python = Deno.env.get("TUBELET_PYTHON") ?? "python3";
const hasPil = await new Deno.Command(python, { args: ["-c", "import PIL, numpy"], stderr: "null" }).output()
  .then(({ success }) => success, () => false);
if (!hasPil) console.log(`(tests with PIL are skipped: ${python} has none; TUBELET_PYTHON names another python)`);

Deno.test(
  { name: "the PIL of this machine makes the same of pictures that it wrote itself", ignore: !hasPil },
  async () => {
    await inTempDir(async (folder) => {
      const args = [`${PICTURES}make.py`, folder];
      const { success, stderr } = await new Deno.Command(python, { args, stderr: "piped" }).output();
      assertEquals(success, true, new TextDecoder().decode(stderr));
      using decoder = new LibavDecoder();
      for (const [name, expected] of await expectedPictures(folder)) {
        const { largest, mean } = differences(decoder.decodeSync(middle(`${folder}/${name}`)).cubes, expected);
        assertLessOrEqual(largest, 3, name);
        assertLessOrEqual(mean, 1, name);
      }
    });
  },
);

Deno.test("sixteen bits become eight, and pictures of one pixel fill a view", async () => {
  await inTempDir(async (folder) => {
    using decoder = new LibavDecoder();
    const [width, height] = [WIDTH, HEIGHT];
    const level = (i: number) => Math.floor(i / (3 * WIDTH)) * 12 + i % 3;
    const deep = Uint16Array.from({ length: width * height * 3 }, (_, i) => level(i) * 257);
    await Deno.writeFile(`${folder}/deep.png`, encode({ width, height, data: deep, channels: 3, depth: 16 }));
    const { cubes } = decoder.decodeSync(middle(`${folder}/deep.png`));
    assertLessOrEqual(differences(cubes, Uint8Array.from(deep, (_, i) => level(i))).largest, 1);

    const data = Uint8Array.of(200, 100, 50);
    await Deno.writeFile(`${folder}/dot.png`, encode({ width: 1, height: 1, data, channels: 3 }));
    for (const crop of [{ kind: "centre" }, { kind: "multi-scale" }] as const) {
      const dot = decoder.decodeSync(middle(`${folder}/dot.png`, { crop, draws: [0, 0] }));
      assertEquals([...dot.cubes.subarray(0, 3)], [200, 100, 50]);
    }
  });
});

/** Reasons and details by the name of a picture: what is wrong with it. */
async function makeBadPictures(folder: string): Promise<Record<string, [reason: string, detail: string]>> {
  const write = (name: string, bytes: Uint8Array) => Deno.writeFile(`${folder}/${name}`, bytes);
  const read = (name: string) => Deno.readFile(`${PICTURES}${name}`);
  for (const name of ["rgb444.jpg", "progressive.jpeg", "rgb.png", "lossy.webp", "rgb.bmp"]) {
    const bytes = await read(name);
    await write(`cut_${name}`, bytes.subarray(0, bytes.length - 10));
  }
  const jpeg = await read("rgb444.jpg");
  await write("head.jpg", jpeg.subarray(0, 100));
  await write("empty.jpg", new Uint8Array());
  await write("text.jpg", new TextEncoder().encode("404 Not Found: no such picture here"));
  const png = await read("rgb.png");
  const flipped = png.slice();
  flipped[60]! ^= 0xff;
  await write("flipped.png", flipped);
  const bomb = png.slice();
  new DataView(bomb.buffer).setUint32(16, 60_000);
  new DataView(bomb.buffer).setUint32(20, 60_000);
  await write("bomb.png", bomb);
  const huge = jpeg.slice();
  const frame = huge.findIndex((byte, i) => byte === 0xff && huge[i + 1] === 0xc0);
  new DataView(huge.buffer).setUint32(frame + 5, 0xffff_ffff);
  await write("huge.jpg", huge);
  const end = "ends in the middle of its picture";
  return {
    "cut_rgb444.jpg": ["truncated", end],
    "cut_progressive.jpeg": ["truncated", end],
    "cut_rgb.png": ["truncated", end],
    "cut_lossy.webp": ["truncated", "declares"],
    "cut_rgb.bmp": ["truncated", end],
    "head.jpg": ["truncated", "ends before its picture"],
    "empty.jpg": ["empty", "zero bytes"],
    "text.jpg": ["not-a-video", "no container format"],
    "flipped.png": ["damaged", ""],
    "bomb.png": ["unsupported-codec", "60000x60000 pixels, 33554432 pixels are the limit"],
    "huge.jpg": ["unsupported-codec", "65535x65535 pixels"],
    "nowhere.jpg": ["missing", ""],
  };
}

for (const [decoderName, isThere, make] of decoders) {
  Deno.test(
    { name: `a picture that is cut, empty, damaged or huge is a bad clip of ${decoderName}`, ignore: !isThere },
    async () => {
      await inTempDir(async (folder) => {
        const decoder = make();
        for (const [name, [reason, detail]] of Object.entries(await makeBadPictures(folder))) {
          const error = await decoder.decode(middle(`${folder}/${name}`)).then(() => null, (error: unknown) => error);
          if (!(error instanceof CorruptClipError)) throw new Error(`${name}: ${error}`, { cause: error });
          assertEquals([name, error.reason], [name, reason]);
          assertStringIncludes(error.detail, detail, name);
        }
        (decoder as Partial<Disposable>)[Symbol.dispose]?.();
      });
    },
  );
}

Deno.test("a picture has no second frame and no part in time, and a video gives a view of one frame", async () => {
  await inTempDir((folder) => {
    using decoder = new LibavDecoder();
    const path = `${PICTURES}rgb.png`;
    const sampling = { kind: "uniform", frames: 16 } as const;
    assertThrows(() => decoder.decodeSync(middle(path, { sampling })), CorruptClipError, "views take 16 frames");
    assertThrows(() => decoder.decodeSync(middle(path, { span: { start: 1, end: null } })), CorruptClipError, "part");
    assertEquals(decoder.decodeSync(middle(makeClip(`${folder}/a.mp4`, 5))).frameCount, 5);
  });
});

for (const [decoderName, isThere, make] of decoders) {
  Deno.test(
    { name: `a mirrored view is the view with left and right changed, by ${decoderName}`, ignore: !isThere },
    () =>
      inTempDir(async (folder) => {
        const path = makeClip(`${folder}/a.mp4`, 5, { width: 66, height: 50 }), layout = cubeLayout(4, 32, 32, 2, 8);
        const decoder = make();
        const view = async (flip: number) => {
          const sampling = { kind: "uniform", frames: 4 } as const, crop = { kind: "random-resized-flip" } as const;
          const draws = [0.7, 0.4, 0.3, 0.9, flip];
          const { cubes, crop: box } = await decoder.decode({
            path,
            sampling,
            crop,
            size: 32,
            tubelet: 2,
            patch: 8,
            draws,
          });
          return { pixels: joinCubes(cubes, layout), box };
        };
        const plain = await view(0.9), mirrored = await view(0.1);
        assertEquals(mirrored.box, plain.box);
        assertNotEquals(mirrored.pixels, plain.pixels);
        for (let row = 0; row < 4 * 32; row++) {
          const pixel = (of: Uint8Array, x: number) => of.subarray((row * 32 + x) * 3, (row * 32 + x) * 3 + 3);
          for (let x = 0; x < 32; x++) assertEquals(pixel(mirrored.pixels, x), pixel(plain.pixels, 31 - x));
        }
      }),
  );
}
