/** More clips than `--max-bad` allows could not be decoded: the data set is incomplete, and the stage ends (exit code 3). */
import { badClipLimit } from "../settings.ts";
import type { BadClip } from "../shards/bad_clips.ts";
import { formatAmount, formatCount } from "../units.ts";

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
   * @param listed Where all of them are listed.
   */
  constructor(readonly bad: readonly BadClip[], maxBad: string, clips: number, listed: string) {
    const byClip = [...new Map(bad.map((clip) => [clip.item, clip])).values()];
    const named = byClip.slice(0, NAMED).map(({ name, reason, detail, byteOffset }) =>
      `  ${name} (${reason}): ${detail}${byteOffset === null ? "" : `, at byte ${byteOffset}`}`
    );
    const rest = byClip.length - named.length;
    super([
      `${formatAmount(byClip.length, "clip")} cannot be decoded, ` +
      `--max-bad ${maxBad} allows ${badClipLimit(maxBad, clips)} of ${clips}:`,
      ...named,
      ...(rest > 0 ? [`  and ${rest} more; ${formatReasons(bad)}: see ${listed}`] : []),
      "Mend these files or take them off the list, or allow more with --max-bad; shards that are complete are kept",
    ].join("\n"));
  }
}

/**
 * How many clips were refused for which reason, the most frequent first.
 *
 * @param bad Refused views; views of one clip count once.
 */
export function countReasons(bad: readonly Pick<BadClip, "item" | "reason">[]): [reason: string, clips: number][] {
  const reasons = new Map(bad.map(({ item, reason }) => [item, reason])).values();
  return [...Map.groupBy(reasons, (reason) => reason)].map((
    [reason, clips],
  ): [string, number] => [reason, clips.length])
    .sort(([a, clipsA], [b, clipsB]) => clipsB - clipsA || (a < b ? -1 : 1));
}

/** {@linkcode countReasons} in words, such as "8 missing, 1 truncated". */
export function formatReasons(bad: readonly Pick<BadClip, "item" | "reason">[]): string {
  return countReasons(bad).map(([reason, clips]) => `${formatCount(clips)} ${reason}`).join(", ");
}
