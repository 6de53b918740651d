/** More clips than `--max-bad` allows could not be decoded: the data set is incomplete, and the stage ends (exit code 3). */
import { badClipLimit } from "../settings.ts";
import type { BadClip } from "../shards/bad_clips.ts";
import { formatAmount } from "../units.ts";

/** Bad clips that the message names. */
const NAMED = 5;

/** The data set is incomplete. */
export class TooManyBadClipsError extends Error {
  override readonly name = "TooManyBadClipsError";
  readonly exitCode = 3;

  /**
   * @param bad The bad views, those found so far.
   * @param maxBad The setting `data.maxBad`.
   * @param clips Clips in the list.
   */
  constructor(readonly bad: readonly BadClip[], maxBad: string, clips: number) {
    const byClip = [...new Map(bad.map((clip) => [clip.item, clip])).values()];
    const named = byClip.slice(0, NAMED).map(({ name, reason, detail, byteOffset }) =>
      `  ${name} (${reason}): ${detail}${byteOffset === null ? "" : `, at byte ${byteOffset}`}`
    );
    const rest = byClip.length - named.length;
    super([
      `${formatAmount(byClip.length, "clip")} cannot be decoded, ` +
      `--max-bad ${maxBad} allows ${badClipLimit(maxBad, clips)} of ${clips}:`,
      ...named,
      ...(rest > 0 ? [`  and ${rest} more`] : []),
      "Mend these files or take them off the list, or allow more with --max-bad; shards that are complete are kept",
    ].join("\n"));
  }
}
