/** Whether libav works on this machine, and how fast: clips are encoded as the demo's are, and decoded again. */
import { join } from "node:path";
import { LibavDecoder } from "./libav.ts";
import { encodeClip } from "./lists/_encode_clip.ts";

const SIZE = 32;
const FRAMES = 4;
/** One colour, off grey so that swapped channels show. */
const COLOUR = [200, 120, 60] as const;
/** What two lossy codecs may make of it, of 255. */
const TOLERANCE = 12;

const CLIPS = [{ name: "H.264", codec: "h264", file: "clip.mp4" }, {
  name: "VP9",
  codec: "vp9",
  file: "clip.webm",
}] as const;

/**
 * Encodes and decodes a clip in each of the demo's codecs.
 *
 * @param folder An existing folder for the clips; they stay there.
 * @returns Names of the codecs.
 * @throws {Error} if a clip cannot be encoded or decoded, or comes back as another picture
 */
export function checkLibav(folder: string): string[] {
  const picture = Uint8Array.from({ length: SIZE * SIZE * 3 }, (_, i) => COLOUR[i % 3]!);
  using decoder = new LibavDecoder();
  return CLIPS.map(({ name, codec, file }) => {
    const path = join(folder, file);
    encodeClip(path, Array(FRAMES).fill(picture), { width: SIZE, height: SIZE, fps: 10, codec });
    const { cubes } = decoder.decodeSync({
      path,
      sampling: { kind: "uniform", frames: FRAMES },
      crop: { kind: "centre" },
      size: SIZE,
      tubelet: 2,
      patch: 16,
      draws: [],
    });
    const wrong = cubes.findIndex((value, i) => Math.abs(value - COLOUR[i % 3]!) > TOLERANCE);
    if (wrong >= 0) {
      throw new Error(`A clip in ${name} came back as another picture: ${cubes[wrong]} for ${COLOUR[wrong % 3]}`);
    }
    return name;
  });
}

/** A clip to time: a few seconds of a small video. */
const TIMED = { width: 320, height: 240, fps: 30, codec: "h264" } as const;
const TIMED_FRAMES = 64;

/**
 * Times decoding: views of 16 pictures at 224 pixels from a clip of 64 pictures, 320 x 240, H.264, on one thread.
 *
 * @param folder An existing folder for the clip; it stays there.
 * @param seconds How long to go on.
 * @param now A clock, ms.
 * @returns Clips a second.
 */
export function timeLibav(folder: string, seconds: number, now: () => number): number {
  const path = join(folder, "timed.mp4");
  // A ramp that moves, so that there is something to decode.
  const picture = (frame: number) =>
    Uint8Array.from({ length: TIMED.width * TIMED.height * 3 }, (_, i) => (i * 5 + frame * 11) >> 3);
  encodeClip(path, Array.from({ length: TIMED_FRAMES }, (_, frame) => picture(frame)), TIMED);
  using decoder = new LibavDecoder();
  const started = now();
  let clips = 0, passed = 0;
  while (passed < seconds) {
    decoder.decodeSync({
      path,
      sampling: { kind: "uniform", frames: 16 },
      crop: { kind: "centre" },
      size: 224,
      tubelet: 2,
      patch: 16,
      draws: [],
    });
    clips++;
    passed = (now() - started) / 1000;
  }
  return clips / passed;
}
