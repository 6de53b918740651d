/** Which ffmpeg and ffprobe are used: those that the environment names, else those on the PATH. */

/** @returns Names or paths, from `FFMPEG_PATH` and `FFPROBE_PATH` where they are set. */
export function ffmpegCommands(): { ffmpeg: string; ffprobe: string } {
  return {
    ffmpeg: Deno.env.get("FFMPEG_PATH") || "ffmpeg",
    ffprobe: Deno.env.get("FFPROBE_PATH") || "ffprobe",
  };
}
