/** The error of every list of clips: wrong input that the user mends, so that the task ends with exit code 2. */

/** A list of clips, or the folder of a list, that cannot be used. */
export class ListError extends Error {
  override name = "ListError";
  /** Exit code of a task that meets it: wrong usage. */
  readonly exitCode = 2;

  /**
   * @param path The list or folder.
   * @param line Line of the list, from 1; null where the list as a whole is meant.
   * @param problem What was found and what mends it, a phrase without a final stop.
   */
  constructor(readonly path: string, readonly line: number | null, problem: string) {
    super(`${path}${line === null ? "" : `, line ${line}`}: ${problem}`);
  }
}
