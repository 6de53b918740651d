/** A folder of pictures as an input of the ffmpeg and ffprobe commands: the numbered sequence of libav's image2 reader; or one picture. */
import { join } from "node:path";
import { CorruptClipError, MAX_PIXELS } from "./decoder.ts";
import { runCommand } from "./_ffmpeg_process.ts";
import type { FrameFolder } from "./_frame_folder.ts";
import type { PictureKind } from "./_picture_file.ts";

/** Options of an input that is one or more pictures. */
const PICTURES = ["-protocol_whitelist", "file", "-f", "image2"];

/** The pictures as image2 names them; a percent sign of the path is written twice. */
export function sequenceUrl({ path, prefix, digits, ending }: FrameFolder): string {
  const name = join(path, prefix).replaceAll("%", "%%");
  return `file:${name}%0${digits}d${ending.replaceAll("%", "%%")}`;
}

/** Options of the sequence from a picture on, which is its number 0. Tags that turn a picture are ignored. */
export function sequenceOptions({ first }: FrameFolder, from: number): string[] {
  const strict = ["-err_detect", "explode"]; // patched-up pictures would pass otherwise
  return ["-noautorotate", ...strict, ...PICTURES, "-pattern_type", "sequence", "-start_number", String(first + from)];
}

/** Options of a file that is one picture, whatever its name. */
export function pictureOptions(kind: PictureKind): string[] {
  return ["-noautorotate", "-err_detect", "explode", "-protocol_whitelist", "file", "-f", `${kind}_pipe`];
}

/**
 * @param clip The folder, for messages.
 * @param file A picture.
 * @param ffprobe The command.
 * @param signal Kills it.
 * @returns Its size, pixels.
 * @throws {CorruptClipError} It cannot be read, or is too large.
 */
export async function probePicture(
  clip: string,
  file: string,
  ffprobe: string,
  signal: AbortSignal,
): Promise<{ width: number; height: number }> {
  const args = ["-v", "error", ...PICTURES, "-pattern_type", "none", "-show_entries", "stream=width,height"];
  const { success, stdout } = await runCommand(ffprobe, [...args, "-of", "json=c=1", `file:${file}`], signal);
  const { width = 0, height = 0 }: { width?: number; height?: number } = success
    ? JSON.parse(stdout).streams?.[0] ?? {}
    : {};
  if (width > 0 && height > 0 && width * height <= MAX_PIXELS) return { width, height };
  throw new CorruptClipError(clip, "damaged", `the picture ${file.split(/[\\/]/).at(-1)} cannot be read`);
}
