/**
 * Preparing without a run folder: for the jobs of a batch system, for a process that helps another, for a look beforehand.
 * What they make lies in the cache, where every run finds it.
 */
import { SettingsError } from "../settings.ts";
import { readClipSources } from "./clip_sources.ts";
import { type DryRun, dryRun } from "./dry_run.ts";
import type { Part } from "./part.ts";
import {
  type PrepareContext,
  type PreparedPart,
  type PrepareResult,
  prepareSplits,
  prepareSplitsPart,
} from "./prepare_splits.ts";

/** Says what preparing would find, cost and take; writes nothing. @throws {SettingsError} without a list */
export async function dryRunPrepare(context: PrepareContext): Promise<DryRun> {
  return await dryRun(context, await listed(context, "--dry-run"));
}

/** Makes one part of the shards. @throws {SettingsError} without a list */
export async function preparePart(
  context: PrepareContext,
  part: Part,
  options: { retryBad: boolean },
): Promise<PreparedPart> {
  return await prepareSplitsPart(context, await listed(context, "--part"), part, options);
}

/** Makes what is missing, together with whoever else is at it. @throws {SettingsError} without a list */
export async function prepareAlone(context: PrepareContext, options: { retryBad: boolean }): Promise<PrepareResult> {
  return await prepareSplits(context, await listed(context, "--retry-bad"), options);
}

function listed(context: PrepareContext, flag: string) {
  if (context.settings.data.data !== null) return readClipSources(context, undefined);
  throw new SettingsError([`${flag} needs a list of clips: name it with --data LIST and --videos FOLDER`]);
}
