import { assert, assertEquals, assertGreater, assertNotEquals, assertRejects } from "@std/assert";
import { cubeLayout, joinCubes } from "../../decoders/cubes.ts";
import { LibavDecoder } from "../../decoders/libav.ts";
import { drawClip, MOTION_DRAWS, MOTIONS } from "../../decoders/lists/_digit_motion.ts";
import { DIGIT_PIXELS, readDigits } from "../../decoders/lists/_mnist.ts";
import { type DigitsOptions, makeDigits } from "../../decoders/lists/digits.ts";
import { ListError } from "../../decoders/lists/list_error.ts";
import { uniforms } from "../../pipeline/random.ts";
import { inTempDir } from "./_clips.ts";

function small(folder: string, more: Partial<DigitsOptions> = {}): DigitsOptions {
  return { folder, trainClips: 34, valClips: 6, frames: 8, size: 48, seed: 3, uniforms, lanes: 2, ...more };
}

/** All files below a folder with their bytes. */
function contents(folder: string, below = ""): Record<string, string> {
  const all: Record<string, string> = {};
  for (const { name, isDirectory } of Deno.readDirSync(`${folder}/${below}`)) {
    const path = below === "" ? name : `${below}/${name}`;
    if (isDirectory) Object.assign(all, contents(folder, path));
    else all[path] = Deno.readFileSync(`${folder}/${path}`).toString();
  }
  return all;
}

/** Middle of what is much lighter than the ground, and how many pixels are; picture [size, size, 3]. */
function ink(picture: Uint8Array, size: number): { x: number; y: number; count: number } {
  let [x, y, count] = [0, 0, 0];
  for (let at = 0; at < size * size; at++) {
    if (Math.max(...picture.subarray(at * 3, at * 3 + 3)) < 110) continue;
    x += at % size;
    y += Math.floor(at / size);
    count++;
  }
  return { x: x / count, y: y / count, count };
}

Deno.test("the demo's lists name real videos of both formats whose pictures move as their label says", async () => {
  await inTempDir(async (folder) => {
    const digits = await makeDigits(small(folder));
    assertEquals(digits.clips, 40);
    assertEquals(digits.classes, MOTIONS);
    const lines = (await Deno.readTextFile(digits.train)).trimEnd().split("\n");
    assertEquals(lines.length, 34);
    assertEquals(lines.slice(0, 3), ["train/000000.webm 0", "train/000001.mp4 0", "train/000002.webm 1"]);
    assertEquals((await Deno.readTextFile(digits.val)).split("\n")[5], "val/000005.mp4 2");
    assertEquals(await Deno.readTextFile(`${folder}/classes.txt`), MOTIONS.join("\n") + "\n");

    using decoder = new LibavDecoder();
    for (const line of lines.slice(0, 12)) {
      const [name, label] = line.split(" ");
      const view = decoder.decodeSync({
        path: `${digits.root}/${name}`,
        sampling: { kind: "uniform", frames: 8 },
        crop: { kind: "centre" },
        size: 48,
        tubelet: 2,
        patch: 8,
        draws: [],
      });
      assertEquals([view.frameCount, view.sourceWidth, view.sourceHeight], [8, 48, 48]);
      const clip = joinCubes(view.cubes, cubeLayout(8, 48, 48, 2, 8));
      const bytes = 48 * 48 * 3;
      const first = ink(clip.subarray(0, bytes), 48);
      const last = ink(clip.subarray(7 * bytes), 48);
      const moved = [first.x - last.x, last.x - first.x, first.y - last.y, last.y - first.y];
      const grown = [last.count - first.count, first.count - last.count];
      assertGreater(Number(label) < 4 ? moved[Number(label)]! : grown[Number(label) - 4]!, 2, line);
    }
  });
});

Deno.test("the same settings give the same bytes with any number of workers, another seed other ones", async () => {
  await inTempDir(async (folder) => {
    await makeDigits(small(`${folder}/a`));
    await makeDigits(small(`${folder}/b`, { lanes: 1 }));
    assertEquals(contents(`${folder}/a`), contents(`${folder}/b`));
    await makeDigits(small(`${folder}/c`, { seed: 4 }));
    assertNotEquals(contents(`${folder}/a`)["train/000000.webm"], contents(`${folder}/c`)["train/000000.webm"]);
  });
});

Deno.test("a run that was stopped is finished, and what is there is not made again", async () => {
  await inTempDir(async (folder) => {
    const whole = `${folder}/whole`;
    await makeDigits(small(whole));
    const stopped = `${folder}/stopped`;
    const controller = new AbortController();
    await assertRejects(
      () =>
        makeDigits(small(stopped, {
          lanes: 1,
          signal: controller.signal,
          onProgress: (done) => done > 0 && controller.abort(new Error("enough")),
        })),
      Error,
      "enough",
    );
    const written = contents(stopped);
    assert("train/000000.webm" in written && !("digits.json" in written) && !("train.csv" in written));

    // A marker in place of a clip that is there tells whether it is made again.
    await Deno.writeTextFile(`${stopped}/train/000003.mp4`, "kept");
    const progress: number[] = [];
    await makeDigits(small(stopped, { onProgress: (done) => progress.push(done) }));
    assertEquals(await Deno.readTextFile(`${stopped}/train/000003.mp4`), "kept");
    await Deno.copyFile(`${whole}/train/000003.mp4`, `${stopped}/train/000003.mp4`);
    assertEquals(contents(stopped), contents(whole));
    assertEquals([progress[0], progress.at(-1)], [16, 40]);

    await Deno.remove(`${whole}/val/000001.mp4`);
    await makeDigits(small(whole));
    assertEquals(contents(whole), contents(stopped));
  });
});

Deno.test("a folder of other settings is refused, complete or not", async () => {
  await inTempDir(async (folder) => {
    await makeDigits(small(folder));
    const error = await assertRejects(() => makeDigits(small(folder, { frames: 10 })), ListError);
    assertEquals(
      error.message,
      `${folder}: holds digits of other settings (frames 8, asked for 10); remove it or name another folder`,
    );
    assertEquals(error.exitCode, 2);
    await Deno.rename(`${folder}/digits.json`, `${folder}/digits.partial.json`);
    await assertRejects(() => makeDigits(small(folder, { seed: 9 })), ListError, "seed 3, asked for 9");
  });
});

Deno.test("sizes that make no sense are refused before anything is written", async () => {
  await inTempDir(async (folder) => {
    await assertRejects(() => makeDigits(small(`${folder}/x`, { valClips: 0 })), RangeError, "valClips");
    await assertRejects(() => makeDigits(small(`${folder}/x`, { size: 33 })), RangeError, "even, got 33");
    assertEquals([...Deno.readDirSync(folder)], []);
  });
});

Deno.test("the digits are the pinned files, and training and validation share no image", async () => {
  const [train, val] = [await readDigits("train"), await readDigits("val")];
  assertEquals([train.length, val.length], [60_000 * DIGIT_PIXELS, 10_000 * DIGIT_PIXELS]);
  const keys = (all: Uint8Array) =>
    Array.from(
      { length: all.length / DIGIT_PIXELS },
      (_, i) => all.subarray(i * DIGIT_PIXELS, (i + 1) * DIGIT_PIXELS).toString(),
    );
  const seen = new Set(keys(train.subarray(0, 10_000 * DIGIT_PIXELS)));
  assert(!keys(val.subarray(0, 1_000 * DIGIT_PIXELS)).some((key) => seen.has(key)));
  await inTempDir(async (folder) => {
    await assertRejects(() => readDigits("val", folder), Error, "is missing");
    const bytes = new Uint8Array(16 + 10_000 * DIGIT_PIXELS);
    await Deno.writeFile(`${folder}/t10k-images-idx3-ubyte`, bytes);
    await assertRejects(() => readDigits("val", folder), Error, "has the SHA-256");
    await Deno.writeFile(`${folder}/t10k-images-idx3-ubyte`, bytes.subarray(1));
    await assertRejects(() => readDigits("val", folder), Error, "has 7840015 bytes, expected 7840016");
  });
});

Deno.test("opposite motions are the same clip backwards, so that no frame tells them apart", () => {
  const digit = new Uint8Array(DIGIT_PIXELS).map((_, i) => i % 28 > 8 && i % 28 < 14 ? 255 : 0);
  const draws = uniforms(MOTION_DRAWS, 1, "test");
  const pictures = (motion: number) => [...drawClip({ digit, motion, draws, frames: 6, size: 40 })];
  for (let motion = 0; motion < MOTIONS.length; motion += 2) {
    assertEquals(pictures(motion), pictures(motion + 1).toReversed(), MOTIONS[motion]);
  }
  assertNotEquals(pictures(0), pictures(2));
});
