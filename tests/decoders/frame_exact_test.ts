/**
 * Frame by frame against a decode that knows nothing of ours: the whole file from its start, no seek, no skipping, no
 * packet list. In process for clips made here; by ffmpeg's own hash of every frame where that command is installed.
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { createHash } from "node:crypto";
import { type CropPlan, planCrop } from "../../decoders/crops.ts";
import { cubeLayout, joinCubes } from "../../decoders/cubes.ts";
import type { ClipDecoder, DecodedView, DecodeRequest } from "../../decoders/decoder.ts";
import { FfmpegCommandDecoder } from "../../decoders/ffmpeg_command.ts";
import { LibavDecoder } from "../../decoders/libav.ts";
import { haveRealClips, inTempDir, makeClip, REAL_CLIPS } from "./_clips.ts";
import { evenly, makeOddClip, trimStart, turnClip } from "./_odd_clips.ts";
import { cut, sequentialPictures } from "./_reference.ts";

const SIZE = 64;

const command = await new FfmpegCommandDecoder().check().then(() => new FfmpegCommandDecoder(), () => null);
if (command === null) console.log("(the ffmpeg command is left out: it is not installed)");

/** A request for the first `count` frames of a clip of so many, in their order. */
function everyFrame(path: string, count: number): DecodeRequest {
  return {
    path,
    sampling: { kind: "uniform", frames: count },
    crop: { kind: "centre" },
    size: SIZE,
    tubelet: 1,
    patch: 16,
    draws: [],
  };
}

/** The frames of a view, [size, size, 3] each. */
function framesOf({ cubes, frames }: DecodedView): Uint8Array[] {
  const clip = joinCubes(cubes, cubeLayout(frames.length, SIZE, SIZE, 1, 16));
  return Array.from(frames, (_, i) => clip.subarray(i * SIZE * SIZE * 3, (i + 1) * SIZE * SIZE * 3));
}

function hashes(view: DecodedView): string[] {
  return framesOf(view).map((picture) => createHash("md5").update(picture).digest("hex"));
}

/** Frames of a plain sequential decode, cut as the centre crop of pictures of `shown` pixels. */
function reference(path: string, before: string, plan: CropPlan): Uint8Array[] {
  return sequentialPictures(path, { before, width: plan.scaledWidth, height: plan.scaledHeight })
    .map((rgb) => cut(rgb, plan.scaledWidth, plan.left, plan.top, SIZE));
}

/** Both decoders give all frames, and a window of them after a seek, as the plain decode does. */
async function assertExact(path: string, shown: [number, number], before = ""): Promise<DecodedView> {
  const expected = reference(path, before, planCrop({ kind: "centre" }, ...shown, SIZE, []));
  assertGreater(expected.length, 0);
  using libav = new LibavDecoder();
  const all = everyFrame(path, expected.length);
  const window = { ...all, sampling: { kind: "k400", frames: 4, stride: 2 }, draws: [0.7] } as const;
  for (const decoder of [libav, ...(command === null ? [] : [command])] as ClipDecoder[]) {
    for (const request of [all, window]) {
      const view = await decoder.decode(request);
      assertEquals([view.frameCount, view.sourceWidth, view.sourceHeight], [expected.length, ...shown], path);
      framesOf(view).forEach((picture, i) => {
        const other = expected[view.frames[i]!]!;
        assert(picture.every((value, at) => value === other[at]), `${path}: frame ${view.frames[i]} differs`);
      });
    }
  }
  return libav.decodeSync(all);
}

Deno.test("pictures of odd width and height, and of one pixel less than a block, are exact", async () => {
  await inTempDir(async (folder) => {
    for (const [width, height] of [[65, 49], [95, 143]] as const) {
      const clip = { width, height, times: evenly(9), settings: {} };
      await assertExact(makeOddClip(`${folder}/a.webm`, { ...clip, encoder: "libvpx-vp9" }), [width, height]);
      const deep = { ...clip, encoder: "libx264", pixels: "444" } as const;
      await assertExact(makeOddClip(`${folder}/b.mp4`, deep), [width, height]);
    }
  });
});

Deno.test("pictures of ten bits and of a full range with other colour tags are exact", async () => {
  await inTempDir(async (folder) => {
    const clip = { encoder: "libx264", width: 96, height: 64, times: evenly(11) } as const;
    await assertExact(makeOddClip(`${folder}/deep.mp4`, { ...clip, pixels: "420p10" }), [96, 64]);
    await assertExact(makeOddClip(`${folder}/tagged.mp4`, { ...clip, tagged: true }), [96, 64]);
  });
});

Deno.test("frames are counted, not timed: uneven times change the times of a view and nothing else", async () => {
  await inTempDir(async (folder) => {
    const clip = { encoder: "libx264", width: 96, height: 64, settings: { bf: "3", g: "8" } } as const;
    const times = [0, 5, 10, 300, 301, 900, 940, 1000, 1001, 1400, 1500, 3000, 3001, 3002, 3100, 3101, 5000, 5040];
    const uneven = await assertExact(makeOddClip(`${folder}/uneven.mp4`, { ...clip, times }), [96, 64]);
    assertEquals([...uneven.ptsUs].map(Number), times.map((time) => time * 1000));
    const mkv = await assertExact(makeOddClip(`${folder}/uneven.mkv`, { ...clip, times }), [96, 64]);
    assertEquals(mkv.frames, uneven.frames);
  });
});

Deno.test("a clip that starts late, or whose edit list cuts its start, begins at its first shown frame", async () => {
  await inTempDir(async (folder) => {
    const clip = { encoder: "libx264", width: 96, height: 64, settings: { bf: "2", g: "30" } } as const;
    const late = evenly(20).map((time) => time + 8333);
    await assertExact(makeOddClip(`${folder}/late.mkv`, { ...clip, times: late }), [96, 64]);
    const whole = makeOddClip(`${folder}/edit.mp4`, { ...clip, times: evenly(20) });
    using libav = new LibavDecoder();
    const before = hashes(libav.decodeSync(everyFrame(whole, 20)));
    const trimmed = await assertExact(trimStart(whole, 16_000 * 5 * 0.04), [96, 64]);
    assertEquals(trimmed.frameCount, 15);
    assertEquals(hashes(trimmed), before.slice(5));
  });
});

Deno.test("pictures are turned and mirrored as their display matrix says", async () => {
  await inTempDir(async (folder) => {
    for (
      const [matrix, filter] of [
        [[0, 1, -1, 0], "transpose=clock"],
        [[0, -1, 1, 0], "transpose=cclock"],
        [[-1, 0, 0, -1], "hflip,vflip"],
        [[-1, 0, 0, 1], "hflip"],
        [[1, 0, 0, -1], "vflip"],
      ] as const
    ) {
      const clip = { encoder: "libx264", width: 96, height: 64, times: evenly(6) } as const;
      const path = turnClip(makeOddClip(`${folder}/a.mp4`, clip), [...matrix]);
      await assertExact(path, filter.startsWith("transpose") ? [64, 96] : [96, 64], filter);
    }
  });
});

Deno.test("the shape of pixels is ignored, as the method's users do", async () => {
  await inTempDir(async (folder) => {
    const clip = { encoder: "libx264", width: 96, height: 64, times: evenly(6) } as const;
    const square = await assertExact(makeOddClip(`${folder}/square.mp4`, clip), [96, 64]);
    const wide = await assertExact(makeOddClip(`${folder}/wide.mp4`, { ...clip, aspect: [64, 51] }), [96, 64]);
    assertEquals(wide.cubes, square.cubes);
  });
});

Deno.test("interlaced pictures, repeated key frames and pictures without times are exact", async () => {
  await inTempDir(async (folder) => {
    const clip = { encoder: "libx264", width: 96, height: 64, times: evenly(24) } as const;
    const fields = { bf: "2", "x264-params": "log-level=none:tff=1" };
    await assertExact(makeOddClip(`${folder}/fields.mp4`, { ...clip, settings: fields }), [96, 64]);
    const open = { g: "6", bf: "3", "x264-params": "log-level=none:open-gop=1:b-pyramid=normal:ref=4" };
    await assertExact(makeOddClip(`${folder}/open.mp4`, { ...clip, settings: open }), [96, 64]);
    await assertExact(makeClip(`${folder}/none.avi`, 33, { settings: { bf: "2", g: "10" } }), [64, 48]);
  });
});

/** MD5 of every frame by a plain run of ffmpeg over the whole file. */
async function ffmpegHashes(path: string, plan: CropPlan): Promise<string[]> {
  const { scaledWidth, scaledHeight, left, top } = plan;
  const filters = `scale=${scaledWidth}:${scaledHeight}:flags=bilinear,format=gbrp,` +
    `crop=${SIZE}:${SIZE}:${left}:${top},format=rgb24`;
  const program = Deno.env.get("FFMPEG_PATH") || "ffmpeg";
  const { stdout } = await new Deno.Command(program, {
    args: ["-v", "error", "-i", path, "-an", "-vsync", "0", "-vf", filters, "-f", "framehash", "-hash", "md5", "-"],
  }).output();
  return new TextDecoder().decode(stdout).split("\n").filter((line) => /^\d/.test(line))
    .map((line) => line.split(",").at(-1)!.trim());
}

for (
  const [name, shown] of [
    ["k400_demo_340x256.mp4", [340, 256]],
    ["k400_part0_vfr.mp4", [340, 256]],
    ["k400_pancake_426x240.mkv", [426, 240]],
    ["mpeg4_missing_pts.avi", [320, 240]],
    ["vp9_square_1080.webm", [1080, 1080]],
    ["vp9_odd_321x241.mp4", [321, 241]],
    ["rotated_portrait.mp4", [270, 480]],
    ["vfr_extreme.mp4", [3026, 1386]],
    ["derived_ssv2like_pancake.webm", [426, 240]],
  ] as [string, [number, number]][]
) {
  Deno.test({
    name: `both decoders give every frame of ${name} with the hash that a plain run of ffmpeg gives it`,
    ignore: command === null || !haveRealClips(),
    async fn() {
      const path = REAL_CLIPS + name;
      const expected = await ffmpegHashes(path, planCrop({ kind: "centre" }, ...shown, SIZE, []));
      using libav = new LibavDecoder();
      for (const decoder of [libav, command!]) {
        const view = await decoder.decode(everyFrame(path, expected.length));
        assertEquals([view.frameCount, hashes(view)], [expected.length, expected]);
      }
    },
  });
}
