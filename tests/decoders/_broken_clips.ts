/** Good clips to break, and what tells whether the view of a broken one is right. */
import { planCrop } from "../../decoders/crops.ts";
import { joinCubes } from "../../decoders/cubes.ts";
import { type DecodedView, type DecodeRequest, viewLayout } from "../../decoders/decoder.ts";
import { OpenedVideo } from "../../decoders/_demux.ts";
import { makeClip } from "./_clips.ts";
import { evenly, makeOddClip } from "./_odd_clips.ts";
import { cut, sequentialPictures } from "./_reference.ts";

/** What is decoded of broken clips; it takes no draws. */
export const VIEW = {
  sampling: { kind: "uniform", frames: 16 },
  crop: { kind: "centre" },
  size: 32,
  tubelet: 2,
  patch: 16,
} as const satisfies Partial<DecodeRequest>;

/** Clips of every container and codec, with references in both directions. */
export function fuzzClips(folder: string): string[] {
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

/**
 * What is wrong with an accepted view, compared with a decode from the start without any of our checks. Where that loses
 * pictures, which can only be pictures that the view does not need, the others are told by their times.
 */
export function wrongWith(path: string, view: Omit<DecodedView, "crop">, sameLibrary: boolean): string | null {
  using opened = openedOrNull(path);
  if (opened === null) return null; // another version of libav takes it
  const { turn, timeBase: { num, den } } = opened, times: bigint[] = [];
  const plan = planCrop(VIEW.crop, view.sourceWidth, view.sourceHeight, VIEW.size, []);
  // A bit of the display matrix may be among those that were flipped.
  const options = { before: turn.filter, width: plan.scaledWidth, height: plan.scaledHeight, times };
  const expected = sequentialPictures(path, options).map((rgb) =>
    cut(rgb, plan.scaledWidth, plan.left, plan.top, VIEW.size)
  );
  // Another version of FFmpeg may find other packets behind damage; it is not our decoder that differs then.
  if (!sameLibrary && expected.length !== view.frameCount) return null;
  const byTime = new Map(times.map((time, i) => [time * 1_000_000n * BigInt(num) / BigInt(den), expected[i]!]));
  const clip = joinCubes(view.cubes, viewLayout(VIEW)), bytes = VIEW.size ** 2 * 3;
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
