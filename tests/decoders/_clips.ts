/** Small clips that the tests make, and the real ones they use where they are at hand. */
import { encodeClip, type EncodeOptions } from "../../decoders/lists/_encode_clip.ts";

/** Folder of real test clips beside the repository; tests on it are skipped where it is absent. */
export const REAL_CLIPS = new URL("../../../shared/clips/", import.meta.url).pathname;

export function haveRealClips(): boolean {
  try {
    return Deno.statSync(REAL_CLIPS).isDirectory;
  } catch {
    console.log(`(tests on real clips are skipped: no folder ${REAL_CLIPS})`);
    return false;
  }
}

/** A picture whose red tells its number, green its column and blue its row. */
export function numberedPicture(number: number, width: number, height: number): Uint8Array {
  const rgb = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      rgb.set([(number * 12) % 256, Math.floor(x * 255 / width), Math.floor(y * 255 / height)], (y * width + x) * 3);
    }
  }
  return rgb;
}

/** Writes a clip of numbered pictures. @returns Its path. */
export function makeClip(path: string, frames: number, options: Partial<EncodeOptions> = {}): string {
  const full: EncodeOptions = {
    codec: path.endsWith(".webm") ? "vp9" : path.endsWith(".avi") ? "mpeg4" : "h264",
    width: 64,
    height: 48,
    fps: 10,
    ...options,
  };
  encodeClip(path, Array.from({ length: frames }, (_, i) => numberedPicture(i, full.width, full.height)), full);
  return path;
}

/** Runs a body with a temporary folder that is removed afterwards. */
export async function inTempDir(body: (folder: string) => Promise<void> | void): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "tubelet_decoders_" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
