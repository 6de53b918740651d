/**
 * Broken files of every kind: nothing hangs, the parent stays alive, and a view that is accepted shows what a plain
 * decode of the same file shows. FUZZ_FILES=2500 runs that many in place of the sample, FUZZ_SEED another choice of them.
 */
import { assertEquals, assertGreater } from "@std/assert";
import { planCrop } from "../../decoders/crops.ts";
import { cubeLayout, joinCubes } from "../../decoders/cubes.ts";
import { type ClipDecoder, CorruptClipError, type DecodedView } from "../../decoders/decoder.ts";
import { FfmpegCommandDecoder } from "../../decoders/ffmpeg_command.ts";
import { DecoderLanes } from "../../decoders/lanes.ts";
import { OpenedVideo } from "../../decoders/_demux.ts";
import { inTempDir, makeClip } from "./_clips.ts";
import { type Mutation, mutations, places } from "./_mutations.ts";
import { evenly, makeOddClip } from "./_odd_clips.ts";
import { cut, sequentialPictures } from "./_reference.ts";

const FILES = Number(Deno.env.get("FUZZ_FILES") ?? 210);
const SEED = Number(Deno.env.get("FUZZ_SEED") ?? 1);
const SIZE = 32;

/** Clips of every container and codec, with references in both directions. */
function goodClips(folder: string): string[] {
  const odd = { encoder: "libx264", width: 64, height: 48, times: evenly(24), settings: { bf: "2", g: "10" } } as const;
  const fast = { "movflags": "faststart" };
  return [
    makeClip(`${folder}/a.mp4`, 24, { settings: { g: "12", bf: "3", "x264-params": "log-level=none" } }),
    makeClip(`${folder}/b.webm`, 24, { settings: { g: "9" } }),
    makeClip(`${folder}/c.avi`, 24, { settings: { bf: "2", g: "10" } }),
    makeOddClip(`${folder}/d.mkv`, odd),
    makeOddClip(`${folder}/e.mov`, odd),
    makeOddClip(`${folder}/f.flv`, { ...odd, settings: { ...odd.settings, bf: "0" } }),
    makeOddClip(`${folder}/g.ts`, odd),
    makeOddClip(`${folder}/h.mp4`, { ...odd, encoder: "libvpx-vp9", settings: { g: "9" }, muxer: fast }),
  ];
}

/** A view, or the reason why there is none; all else is a failure of the test. */
async function outcome(decoder: ClipDecoder, path: string): Promise<DecodedView | string> {
  try {
    return await decoder.decode({
      path,
      sampling: { kind: "uniform", frames: 16 },
      crop: { kind: "centre" },
      size: SIZE,
      tubelet: 2,
      patch: 16,
      draws: [],
    });
  } catch (error) {
    if (!(error instanceof CorruptClipError)) throw error;
    assertEquals(error.path, path);
    return error.reason;
  }
}

/**
 * What is wrong with an accepted view, compared with a decode from the start without any of our checks. Where that loses
 * pictures, which can only be pictures that the view does not need, the others are told by their times.
 */
function wrongWith(path: string, view: DecodedView, sameLibrary: boolean): string | null {
  using opened = openedOrNull(path);
  if (opened === null) return null; // another version of libav takes it
  const { turn, timeBase: { num, den } } = opened, times: bigint[] = [];
  const plan = planCrop({ kind: "centre" }, view.sourceWidth, view.sourceHeight, SIZE, []);
  // A bit of the display matrix may be among those that were flipped.
  const options = { before: turn.filter, width: plan.scaledWidth, height: plan.scaledHeight, times };
  const expected = sequentialPictures(path, options).map((rgb) =>
    cut(rgb, plan.scaledWidth, plan.left, plan.top, SIZE)
  );
  // Another version of FFmpeg may find other packets behind damage; it is not our decoder that differs then.
  if (!sameLibrary && expected.length !== view.frameCount) return null;
  const byTime = new Map(times.map((time, i) => [time * 1_000_000n * BigInt(num) / BigInt(den), expected[i]!]));
  const clip = joinCubes(view.cubes, cubeLayout(16, SIZE, SIZE, 2, 16)), bytes = SIZE * SIZE * 3;
  for (const [i, frame] of view.frames.entries()) {
    const picture = clip.subarray(i * bytes, (i + 1) * bytes);
    const other = expected.length === view.frameCount ? expected[frame] : byTime.get(view.ptsUs[i]!);
    if (other === undefined) return `frame ${frame} of ${view.frameCount} is not among the ${expected.length} pictures`;
    if (picture.some((value, at) => value !== other[at])) return `frame ${frame} differs`;
  }
  return null;
}

function openedOrNull(path: string): OpenedVideo | null {
  try {
    return new OpenedVideo(path);
  } catch {
    return null;
  }
}

/** Decodes all files, several at a time. @returns How often each outcome came, and what is wrong. */
async function decodeAll(
  decoder: ClipDecoder,
  folder: string,
  files: readonly Mutation[],
): Promise<{ counts: Record<string, number>; wrong: string[] }> {
  const counts: Record<string, number> = {}, wrong: string[] = [], todo = files.entries();
  const lane = async () => {
    for (const [i, { name, write }] of todo) {
      const path = `${folder}/broken-${i}.mp4`;
      await write(path);
      const result = await outcome(decoder, path);
      const key = typeof result === "string" ? result : "accepted";
      counts[key] = (counts[key] ?? 0) + 1;
      if (key === "timed-out" || key === "crashed-decoder") wrong.push(`${name}: ${key}`);
      const problem = typeof result === "string" ? null : wrongWith(path, result, decoder instanceof DecoderLanes);
      if (problem !== null) wrong.push(`${name}: ${problem}`);
      if (problem === null) await Deno.remove(path, { recursive: true }).catch(() => {});
    }
  };
  await Promise.all(Array.from({ length: 4 }, lane));
  return { counts, wrong };
}

Deno.test("broken files are refused with a reason or give what a plain decode of them gives; nothing hangs or dies", async () => {
  await inTempDir(async (folder) => {
    await using lanes = new DecoderLanes({ lanes: 2 });
    const files = [
      ...(Deno.build.os === "windows" ? [] : places(folder)),
      ...mutations(goodClips(folder), FILES, SEED),
    ];
    const { counts, wrong } = await decodeAll(lanes, folder, files);
    console.log(counts);
    assertEquals(wrong, []);
    for (const key of ["accepted", "truncated", "damaged", "not-a-video", "empty"]) {
      assertGreater(counts[key] ?? 0, 0, key);
    }
  });
});

const command = await new FfmpegCommandDecoder().check().then(() => new FfmpegCommandDecoder(), () => null);

Deno.test({
  name: "broken files do not hang or mislead the ffmpeg command either",
  ignore: command === null,
  async fn() {
    await inTempDir(async (folder) => {
      const files = [...places(folder), ...mutations(goodClips(folder), Math.ceil(FILES / 10), SEED + 1)];
      const { counts, wrong } = await decodeAll(command!, folder, files);
      console.log(counts);
      assertEquals(wrong, []);
    });
  },
});
