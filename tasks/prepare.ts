/**
 * `deno task prepare`: the chain as far as the decoding; without a list, the clips of the demo are made first. Several
 * processes or hosts may prepare one data set in one cache folder at a time; the first of them holds the run folder.
 */
import { RunLockedError } from "../pipeline/run_lock.ts";
import { SettingsError } from "../pipeline/settings.ts";
import { parsePart } from "../pipeline/stages/part.ts";
import { dryRunPrepare, prepareAlone, preparePart } from "../pipeline/stages/prepare_alone.ts";
import type { PrepareContext, PrepareResult } from "../pipeline/stages/prepare_splits.ts";
import { chainTask } from "./_chain_task.ts";
import { main, type TaskContext } from "./_cli.ts";
import { notedProgress } from "./_last_words.ts";
import { badClipLines, dryRunLines, partLines, reasonCounts } from "./_prepare_lines.ts";
import { showProgress } from "./_progress.ts";

type Summary = Readonly<Record<string, unknown>>;

const chain = chainTask({
  name: "prepare",
  until: "prepare",
  about: "Decodes the clips of a list once into frame shards, which every later stage reads.",
  examples: [
    {
      command: "deno task prepare --preset ssv2-vit-s --data train.json --videos clips/",
      about: "Only the decoding; broken clips are listed and counted",
    },
    {
      command: "deno task prepare --preset ssv2-vit-s --data train.json --videos clips/ --dry-run",
      about: "Clips, missing files, bytes and minutes beforehand",
    },
    {
      command: "deno task prepare --preset ssv2-vit-s --data train.json --videos clips/ --part 3/16",
      about: "The third of sixteen jobs of a batch system; the same command on several hosts without --part works too",
    },
  ],
});

await main({
  ...chain,
  flags: [
    { flag: "part", kind: "text", about: "Make one part of the shards, such as 3/16, and wait for no other" },
    { flag: "retry-bad", kind: "boolean", about: "Decode the clips again that could not be decoded, and no others" },
    { flag: "dry-run", kind: "boolean", about: "Say what would be done, and write nothing" },
  ],
  run: async (context) => {
    const part = context.own["part"] === undefined ? undefined : parsePart(String(context.own["part"]));
    const retryBad = context.own["retry-bad"] === true;
    if (context.own["dry-run"] === true) {
      if (part || retryBad) throw new SettingsError(["--dry-run stands alone: leave --part and --retry-bad out"]);
      return await lookAhead(context);
    }
    if (part) return await makePart(context, part, retryBad);
    if (retryBad) await prepareAlone(prepareContext(context), { retryBad });
    return await prepareTogether(context);
  },
});

/** The stage in the run folder, or without one beside the process that holds it. */
async function prepareTogether(context: TaskContext): Promise<Summary> {
  try {
    const summary = await chain.run(context), badReasons = reasonsInSummary(summary);
    const reasons = Object.entries(badReasons).map(([reason, clips]) => `${clips} ${reason}`);
    if (reasons.length > 0) context.print(`reasons    ${reasons.join(", ")}`);
    return { ...summary, badReasons };
  } catch (error) {
    if (!(error instanceof RunLockedError) || context.settings.data.data === null) throw error;
    const { pid, host } = error.owner ?? {};
    context.print(`Run folder ${error.folder} is in use${pid ? ` by process ${pid} on ${host}` : ""}: helping it`);
    return prepared(context, await prepareAlone(prepareContext(context), { retryBad: false }));
  }
}

/** Bad clips by reason; their notes begin with it. */
function reasonsInSummary({ badClipList }: Summary): Record<string, number> {
  const reasons = (badClipList as { reason: string }[]).map(({ reason }) => reason.split(":", 1)[0]!);
  return Object.fromEntries(
    [...Map.groupBy(reasons, (reason) => reason)].map(([reason, { length }]) => [reason, length]),
  );
}

function prepared({ print }: TaskContext, { train, val }: PrepareResult): Summary {
  const sets = val ? [train, val] : [train];
  const [clips, badClips] = [sets.reduce((sum, { clips }) => sum + clips, 0), sets.flatMap(({ bad }) => bad)];
  print(`clips      ${clips}, ${new Set(badClips.map(({ name }) => name)).size} bad`);
  for (const line of badClipLines(sets)) print(line);
  return { clips, badClips: new Set(badClips.map(({ name }) => name)).size, badReasons: reasonCounts(sets) };
}

async function makePart(
  context: TaskContext,
  part: ReturnType<typeof parsePart>,
  retryBad: boolean,
): Promise<Summary> {
  const made = await preparePart(prepareContext(context), part, { retryBad });
  for (const line of partLines(made)) context.print(line);
  return { part, missing: made.missing, folders: made.folders, badReasons: reasonCounts([made]) };
}

async function lookAhead(context: TaskContext): Promise<Summary> {
  const found = await dryRunPrepare(prepareContext(context));
  for (const line of dryRunLines(found)) context.print(line);
  return { ...found };
}

function prepareContext({ settings, signal, notes, print, warn }: TaskContext): PrepareContext {
  const progress = showProgress({ quiet: settings.run.quiet });
  return {
    settings,
    signal,
    progress: notedProgress(progress, notes),
    print: (line) => progress.aside(() => print(line)),
    warn: (line) => progress.aside(() => warn(line)),
  };
}
