import { assert, assertAlmostEquals, assertEquals, assertGreater, assertLess, assertThrows } from "@std/assert";
import { planCrop } from "../../decoders/crops.ts";
import { cubeLayout, joinCubes } from "../../decoders/cubes.ts";
import { type BadClipReason, CorruptClipError, type DecodeRequest } from "../../decoders/decoder.ts";
import { LibavDecoder } from "../../decoders/libav.ts";
import type { SamplingRule } from "../../decoders/sampling.ts";
import { haveRealClips, inTempDir, makeClip, numberedPicture, REAL_CLIPS } from "./_clips.ts";
import { cut, sequentialPictures } from "./_reference.ts";

const SIZE = 64;
const base = { crop: { kind: "centre" }, size: SIZE, tubelet: 2, patch: 16 } as const;

function request(path: string, sampling: SamplingRule, draws: number[] = []): DecodeRequest {
  return { path, sampling, draws, ...base };
}

/** The frames of a decoded view as interleaved pictures. */
function frames(cubes: Uint8Array, count: number, size = SIZE): Uint8Array[] {
  const clip = joinCubes(cubes, cubeLayout(count, size, size, base.tubelet, base.patch));
  const bytes = size * size * 3;
  return Array.from({ length: count }, (_, i) => clip.subarray(i * bytes, (i + 1) * bytes));
}

/** Sampling rules that need a seek to the middle, the whole clip, single pictures, and repeats. */
const RULES: [SamplingRule, number[]][] = [
  [{ kind: "uniform", frames: 16 }, []],
  [{ kind: "k400", frames: 16 }, [0.62]],
  [{ kind: "ssv2-stride", frames: 16 }, [0.999]],
  [{ kind: "tsn", frames: 2 }, [0.3, 0.9]],
  [{ kind: "uniform", frames: 512 }, []],
];

function assertSameAsSequential(decoder: LibavDecoder, path: string, before: string, shown: [number, number]): void {
  const plan = planCrop(base.crop, ...shown, SIZE, []);
  const reference = sequentialPictures(path, { before, width: plan.scaledWidth, height: plan.scaledHeight })
    .map((rgb) => cut(rgb, plan.scaledWidth, plan.left, plan.top, SIZE));
  for (const [rule, draws] of RULES) {
    const view = decoder.decodeSync(request(path, rule, draws));
    assertEquals(view.frameCount, reference.length, path);
    assertEquals([view.sourceWidth, view.sourceHeight], shown, path);
    frames(view.cubes, rule.frames).forEach((picture, slot) => {
      const expected = reference[view.frames[slot]!]!;
      assert(
        picture.every((value, i) => value === expected[i]),
        `${path}: ${rule.kind}, place ${slot} differs from frame ${view.frames[slot]}`,
      );
    });
    view.ptsUs.forEach((time, slot) => {
      if (slot === 0) return;
      const [later, earlier] = [view.frames[slot]!, view.frames[slot - 1]!];
      assert(later === earlier ? time === view.ptsUs[slot - 1] : time > view.ptsUs[slot - 1]!, "times follow frames");
    });
  }
}

for (
  const [name, before, shown] of [
    ["k400_demo_340x256.mp4", "", [340, 256]],
    ["k400_part0_vfr.mp4", "", [340, 256]],
    ["k400_pancake_426x240.mkv", "", [426, 240]],
    ["mpeg4_missing_pts.avi", "", [320, 240]],
    ["vp9_square_1080.webm", "", [1080, 1080]],
    ["vp9_odd_321x241.mp4", "", [321, 241]],
    ["rotated_portrait.mp4", "transpose=cclock", [270, 480]],
    ["vfr_extreme.mp4", "", [3026, 1386]],
    ["derived_ssv2like_pancake.webm", "", [426, 240]],
  ] as [string, string, [number, number]][]
) {
  Deno.test({
    name: `${name} gives the pictures of a full sequential decode`,
    ignore: !haveRealClips(),
    fn() {
      using decoder = new LibavDecoder();
      assertSameAsSequential(decoder, REAL_CLIPS + name, before, shown);
    },
  });
}

Deno.test("clips of every codec and container made here give the pictures of a full sequential decode", async () => {
  await inTempDir((folder) => {
    using decoder = new LibavDecoder();
    const gop = { settings: { g: "12", bf: "3", "x264-params": "log-level=none" } };
    assertSameAsSequential(decoder, makeClip(`${folder}/a.mp4`, 90, gop), "", [64, 48]);
    assertSameAsSequential(decoder, makeClip(`${folder}/b.webm`, 40, { settings: { g: "9" } }), "", [64, 48]);
    assertSameAsSequential(decoder, makeClip(`${folder}/c.avi`, 33, { settings: { bf: "2", g: "10" } }), "", [64, 48]);
    assertSameAsSequential(decoder, makeClip(`${folder}/d.mp4`, 1), "", [64, 48]);
  });
});

Deno.test("the decoded pictures are those that were encoded, in colour and place", async () => {
  await inTempDir((folder) => {
    using decoder = new LibavDecoder();
    for (const name of ["a.mp4", "b.webm"]) {
      const path = makeClip(`${folder}/${name}`, 16, { width: 64, height: 64 });
      const view = decoder.decodeSync(request(path, { kind: "uniform", frames: 16 }));
      assertEquals([...view.frames], Array.from({ length: 16 }, (_, i) => i));
      assertEquals(view.ptsUs[5], 500_000n);
      assertEquals(view.crop, { x: 0, y: 0, width: 64, height: 64 });
      frames(view.cubes, 16).forEach((picture, i) => {
        const expected = numberedPicture(i, 64, 64);
        let difference = 0;
        picture.forEach((value, at) => difference += Math.abs(value - expected[at]!));
        assertLess(difference / picture.length, 4, `${name} frame ${i}`);
      });
    }
  });
});

Deno.test("a multi-scale crop shows its box, beginning at even pixels", async () => {
  await inTempDir((folder) => {
    using decoder = new LibavDecoder();
    const path = makeClip(`${folder}/a.webm`, 2, { width: 100, height: 72 });
    // pair 8 is 54x47 (.75 and .66 of 72), place 12 is three quarters right and down: 3 * floor(46/4), 3 * floor(25/4)
    const draws = [8.5 / 10, 12.5 / 13];
    const plan = planCrop({ kind: "multi-scale" }, 100, 72, 32, draws);
    assertEquals(plan.box, { x: 33, y: 18, width: 54, height: 47 });
    const view = decoder.decodeSync({
      path,
      sampling: { kind: "uniform", frames: 2 },
      crop: { kind: "multi-scale" },
      size: 32,
      tubelet: 2,
      patch: 16,
      draws,
    });
    assertEquals(view.crop, { x: 32, y: 18, width: 54, height: 47 });
    const picture = frames(view.cubes, 2, 32)[0]!;
    const middle = (16 * 32 + 16) * 3;
    assertAlmostEquals(picture[middle + 1]!, (32 + 27.4) / 100 * 255, 4);
    assertAlmostEquals(picture[middle + 2]!, (18 + 24) / 72 * 255, 4);
  });
});

Deno.test("the same request gives the same bytes, also with another clip in between and into a given buffer", async () => {
  await inTempDir((folder) => {
    using decoder = new LibavDecoder();
    const a = request(makeClip(`${folder}/a.mp4`, 20), { kind: "uniform", frames: 16 });
    const b = { ...request(makeClip(`${folder}/b.webm`, 30, { width: 90, height: 50 }), a.sampling), size: 32 };
    const first = decoder.decodeSync(a);
    decoder.decodeSync(b);
    const buffer = new Uint8Array(first.cubes.length);
    const second = decoder.decodeSync(a, buffer);
    assert(second.cubes === buffer);
    assertEquals(second, first);
  });
});

function assertBad(path: string, reason: BadClipReason): CorruptClipError {
  using decoder = new LibavDecoder();
  const error = assertThrows(
    () => decoder.decodeSync(request(path, { kind: "uniform", frames: 16 })),
    CorruptClipError,
  );
  assertEquals([error.reason, error.path], [reason, path], error.message);
  return error;
}

Deno.test({
  name: "the damaged and the silent real clip are refused with their reasons",
  ignore: !haveRealClips(),
  fn() {
    const damaged = assertBad(`${REAL_CLIPS}corrupted_h264.mp4`, "damaged");
    assertGreater(damaged.byteOffset!, 0);
    assertBad(`${REAL_CLIPS}audio_only.mp4`, "no-video-stream");
  },
});

Deno.test("paths that are no video are refused with their reasons before anything can block", async () => {
  await inTempDir(async (folder) => {
    assertBad(`${folder}/none.mp4`, "missing");
    assertBad(folder, "not-a-file");
    await Deno.writeTextFile(`${folder}/empty.mp4`, "");
    assertBad(`${folder}/empty.mp4`, "empty");
    assertBad(`${folder}/empty.mp4/below.mp4`, "missing");
    await Deno.writeTextFile(`${folder}/text.mp4`, "this is a text that calls itself a video\n".repeat(50));
    assertBad(`${folder}/text.mp4`, "not-a-video");
    await Deno.symlink(`${folder}/loop.mp4`, `${folder}/loop.mp4`);
    assertBad(`${folder}/loop.mp4`, "not-a-file");
    if (Deno.build.os !== "windows") {
      assert((await new Deno.Command("mkfifo", { args: [`${folder}/pipe.mp4`] }).output()).success);
      assertBad(`${folder}/pipe.mp4`, "not-a-file");
    }
  });
});

Deno.test("playlists are not followed", async () => {
  await inTempDir(async (folder) => {
    makeClip(`${folder}/good.mp4`, 8);
    await Deno.writeTextFile(`${folder}/list.mp4`, `ffconcat version 1.0\nfile ${folder}/good.mp4\n`);
    assertBad(`${folder}/list.mp4`, "not-a-video");
    await Deno.writeTextFile(
      `${folder}/live.mp4`,
      `#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://${folder}/good.mp4\n#EXT-X-ENDLIST\n`,
    );
    assertBad(`${folder}/live.mp4`, "not-a-video");
  });
});

Deno.test("a clip cut anywhere is refused, in every container", async () => {
  await inTempDir(async (folder) => {
    for (const name of ["a.mp4", "b.webm", "c.avi"]) {
      const bytes = await Deno.readFile(makeClip(`${folder}/${name}`, 60));
      for (const part of [0.3, 0.5, 0.9, 0.99]) {
        const path = `${folder}/cut_${name}`;
        await Deno.writeFile(path, bytes.subarray(0, Math.floor(bytes.length * part)));
        const error = assertBad(path, "truncated");
        assertEquals(error.byteOffset, Math.floor(bytes.length * part));
      }
    }
  });
});

Deno.test("an overwritten middle is damage or an unchanged picture, never another frame count", async () => {
  await inTempDir(async (folder) => {
    const good = makeClip(`${folder}/a.mp4`, 60);
    const bytes = await Deno.readFile(good);
    bytes.fill(0x55, Math.floor(bytes.length / 3), Math.floor(bytes.length / 2));
    await Deno.writeFile(good, bytes);
    assertBad(good, "damaged");
  });
});

Deno.test("a request that makes no sense is a RangeError, not a bad clip", () => {
  using decoder = new LibavDecoder();
  const good = request("clip.mp4", { kind: "uniform", frames: 16 });
  assertThrows(() => decoder.decodeSync({ ...good, patch: 15 }), RangeError, "not multiples of the patch size 15");
  assertThrows(
    () => decoder.decodeSync({ ...good, crop: { kind: "multi-scale" } }),
    RangeError,
    "needs 2 draws, got 0",
  );
  assertThrows(() => decoder.decodeSync(good, new Uint8Array(5)), RangeError, "has 5 bytes, expected 196608");
  assertThrows(() => decoder.decodeSync({ ...good, path: "" }), TypeError, "path of a clip");
});
