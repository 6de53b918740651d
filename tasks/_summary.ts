/** The last lines of a run: what went in, what came out, where the report lies. From the same numbers as the report. */
import { accuracyVerdict, comparedAccuracies } from "../pipeline/report/accuracy.ts";
import { formatLoss } from "../pipeline/report/curves.ts";
import { printable } from "../pipeline/report/printable.ts";
import type {
  AccuracySummary,
  BadClipNote,
  DataSummary,
  FinalLosses,
  RunSummary,
} from "../pipeline/report/report_data.ts";
import { formatAmount, formatBytes, formatCount, formatDuration, formatShare } from "../pipeline/units.ts";

/** Reasons, and clips of a reason, that are named; the others are counted. */
const NAMED = 3;

/**
 * The summary as lines of text, without colours.
 *
 * @param summary The numbers of the run.
 * @param report Where the report lies; null if none was written.
 */
export function summaryLines(summary: RunSummary, report: string | null): string[] {
  const { data, losses, accuracy, seconds, stages } = summary;
  const skipped = stages.filter(({ skipped }) => skipped).map(({ name }) => name);
  return [
    ...(data ? dataLines(data) : []),
    ...(losses.length > 0 ? ["losses     at the end, means over the last epoch", ...lossLines(losses)] : []),
    ...(accuracy ? accuracyLines(accuracy) : []),
    `time       ${formatDuration(seconds)}${skipped.length > 0 ? `; done before: ${skipped.join(", ")}` : ""}`,
    ...(report === null ? [] : [`report     ${printable(report)}`]),
  ];
}

function dataLines({ trainClips, valClips, views, badClips, shards, bytes }: DataSummary): string[] {
  return [
    `clips      ${formatCount(trainClips)} for training, ${formatCount(valClips)} for validation, ${
      formatAmount(views, "view")
    } of each`,
    `bad clips  ${badClips.length === 0 ? "none" : `${formatCount(badClips.length)}, left out`}`,
    ...badClipLines(badClips),
    `shards     ${formatCount(shards)}, ${formatBytes(bytes)}`,
  ];
}

/** One line a reason, the most frequent first. */
function badClipLines(clips: readonly BadClipNote[]): string[] {
  const reasons = [...Map.groupBy(clips, ({ reason }) => reason)].sort(([, a], [, b]) => b.length - a.length);
  const lines = reasons.slice(0, NAMED).map(([reason, clips]) => {
    const names = clips.slice(0, NAMED).map(({ name, byteOffset }) =>
      printable(name) + (byteOffset === undefined ? "" : ` (byte ${formatCount(byteOffset)})`)
    );
    const rest = clips.length - names.length;
    return `  ${formatCount(clips.length)} × ${printable(reason)}: ${names.join(", ")}${
      rest > 0 ? ` and ${formatCount(rest)} more` : ""
    }`;
  });
  const rest = clips.length - reasons.slice(0, NAMED).reduce((sum, [, clips]) => sum + clips.length, 0);
  return rest > 0 ? [...lines, `  ${formatCount(rest)} for other reasons, see the report`] : lines;
}

function lossLines(losses: readonly FinalLosses[]): string[] {
  const names = padded(losses.map(({ stage }) => stage));
  return losses.map(({ losses, step }, i) => {
    const values = Object.entries(losses).map(([name, value]) => `${name} ${formatLoss(value)}`);
    return `  ${names[i]}  ${values.join(", ")} (${formatAmount(step, "step")})`;
  });
}

function accuracyLines(accuracy: AccuracySummary): string[] {
  const rows = comparedAccuracies(accuracy);
  const names = padded([...rows.map(({ name }) => printable(name)), "guessing"]);
  const shares = [...rows.map(({ accuracy }) => accuracy), accuracy.chance].map((share) =>
    formatShare(share).padStart(7)
  );
  return [
    `accuracy   ${accuracy.kind}, ${formatAmount(accuracy.clips, "validation clip")}, ± one standard error`,
    ...shares.map((share, i) => {
      const row = rows[i];
      const top5 = row && row.top5 !== null ? `, top-5 ${formatShare(row.top5)}` : "";
      return `  ${names[i]}  ${share}${row ? ` ± ${formatShare(row.standardError)}${top5}` : ""}`;
    }),
    ...accuracyVerdict(accuracy).map((sentence) => `  ${sentence}`),
  ];
}

function padded(names: readonly string[]): string[] {
  const width = Math.max(...names.map((name) => name.length));
  return names.map((name) => name.padEnd(width));
}
