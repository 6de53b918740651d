/** Starts ffmpeg and ffprobe, says how to get them where they are missing, and kills them when they are told to stop. */

/** ffmpeg or ffprobe cannot be started. The user mends it, so that a task ends with exit code 2. */
export class MissingCommandError extends Error {
  override name = "MissingCommandError";
  readonly exitCode = 2;
}

/** @returns The error to report where a command cannot be started. */
export function missingCommand(command: string, variable: string, cause: unknown): MissingCommandError {
  const found = cause instanceof Error ? cause.message : String(cause);
  return new MissingCommandError(
    `The command ${command} cannot be started (${found}): install FFmpeg (Debian: apt-get install ` +
      `--no-install-recommends ffmpeg), name the program in ${variable}, or decode with --decoder libav`,
    { cause },
  );
}

/**
 * Runs a command to its end.
 *
 * @param command Name or path.
 * @param args Its arguments.
 * @param signal Kills it with SIGKILL, the one signal that a blocked ffmpeg obeys.
 * @throws {MissingCommandError} It cannot be started.
 */
export async function runCommand(
  command: string,
  args: readonly string[],
  signal?: AbortSignal,
): Promise<{ success: boolean; stdout: string; stderr: string }> {
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(command, { args: [...args], stdin: "null", stdout: "piped", stderr: "piped" }).spawn();
  } catch (cause) {
    throw missingCommand(command, /probe/.test(command) ? "FFPROBE_PATH" : "FFMPEG_PATH", cause);
  }
  const kill = () => child.kill("SIGKILL");
  signal?.addEventListener("abort", kill);
  try {
    const { success, stdout, stderr } = await child.output();
    signal?.throwIfAborted();
    return { success, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
  } finally {
    signal?.removeEventListener("abort", kill);
  }
}
