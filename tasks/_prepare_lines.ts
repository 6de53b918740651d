/** What preparing says at its end, and what a dry run says. */
import { printable } from "../pipeline/report/printable.ts";
import type { BadClip } from "../pipeline/shards/bad_clips.ts";
import { badClipsPath } from "../pipeline/shards/bad_clips.ts";
import type { DryRun, DryRunPart } from "../pipeline/stages/dry_run.ts";
import type { PreparedPart } from "../pipeline/stages/prepare_splits.ts";
import { countReasons, formatReasons } from "../pipeline/stages/too_many_bad_clips.ts";
import { formatAmount, formatBytes, formatCount, formatDuration } from "../pipeline/units.ts";

/** The bad clips of sets by reason, and where they are listed. */
export function badClipLines(sets: readonly { bad: readonly BadClip[]; folder: string }[]): string[] {
  return sets.filter(({ bad }) => bad.length > 0).map(({ bad, folder }) =>
    `reasons    ${formatReasons(bad)}: ${printable(badClipsPath(folder))}`
  );
}

/** Bad clips by reason for `--json`. */
export function reasonCounts(sets: readonly { bad: readonly BadClip[] }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { bad } of sets) {
    for (const [reason, clips] of countReasons(bad)) counts[reason] = (counts[reason] ?? 0) + clips;
  }
  return counts;
}

/** A part that is done. */
export function partLines({ missing, bad, folders }: PreparedPart): string[] {
  const views = formatAmount(bad.length, "view");
  return [
    ...(bad.length > 0 ? [`bad        ${views} so far: ${formatReasons(bad)}`] : []),
    missing === 0
      ? `complete   ${folders.map(printable).join(", ")}`
      : `missing    ${
        formatAmount(missing, "shard")
      } of other parts; once all are done, deno task prepare checks the whole`,
  ];
}

/** A dry run. */
export function dryRunLines({ format, parts, classes, freeBytes, viewsPerSecond, minutes }: DryRun): string[] {
  const sum = (key: "bytes" | "bytesLeft" | "viewsLeft") => parts.reduce((total, part) => total + part[key], 0);
  return [
    ...parts.flatMap((part) => partDryRun(part)),
    `classes    ${formatCount(classes)}, list format ${format}`,
    `shards     ${formatBytes(sum("bytes"))}, ${formatBytes(sum("bytesLeft"))} of them yet to be written${
      freeBytes === null ? "" : `; ${formatBytes(freeBytes)} are free`
    }`,
    minutes === null || viewsPerSecond === null
      ? `time       ${minutes === 0 ? "nothing is left to decode" : "not known: no clip could be decoded"}`
      : `time       ${formatDuration(minutes * 60)} for ${formatAmount(sum("viewsLeft"), "view")}, at ${
        formatCount(Math.round(viewsPerSecond * 10) / 10)
      } a second as measured just now`,
    "Nothing was written",
  ];
}

function partDryRun({ name, clips, views, missing, missingNames }: DryRunPart): string[] {
  const rest = missing - missingNames.length;
  return [
    `${name.padEnd(11)}${formatAmount(clips, "clip")}, ${formatAmount(views, "view")}, ${
      missing === 0 ? "every file is there" : `${formatAmount(missing, "file")} missing`
    }`,
    ...(missing === 0
      ? []
      : [`  ${missingNames.map(printable).join(", ")}${rest > 0 ? ` and ${formatCount(rest)} more` : ""}`]),
  ];
}
