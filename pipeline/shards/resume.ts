/** Brings the folder of an interrupted stage into order and says what is left to do. */
import fs from "node:fs";
import { basename, join } from "node:path";
import { removeLeftovers } from "./_temporary_file.ts";
import { ShardError } from "./shard_error.ts";
import type { SetConfig } from "./shard_format.ts";
import { adoptShard } from "./shard_record.ts";
import type { ShardSet } from "./shard_set.ts";
import { sidecarPath } from "./sidecar.ts";

/** A shard and what is wrong with it. */
export interface ShardProblem {
  readonly shard: number;
  readonly problem: string;
}

/** What {@linkcode resumeSet} found and did. */
export interface ResumeReport {
  /** Shards to be written, ascending. */
  readonly missing: number[];
  /** Shards whose writer died between file and sidecar; verified, and the sidecar written. */
  readonly adopted: number[];
  /** Shards that were no longer good; set aside as `.damaged-*` and counted as missing. */
  readonly damaged: ShardProblem[];
  /** Good shards whose inputs have changed; removed and counted as missing. */
  readonly stale: ShardProblem[];
  /** Unfinished files of dead processes that were removed. */
  readonly leftovers: string[];
}

/** Settings of {@linkcode resumeSet}. */
export interface ResumeOptions {
  /** Why a good shard must be made again all the same, such as a parent that changed; undefined if it may stay. */
  readonly stale?: (shard: number) => string | undefined;
}

/**
 * Removes what dead processes left, completes shards that lack only their sidecar, and sets damaged ones aside.
 *
 * @param set The set.
 * @param options What makes a good shard stale.
 */
export async function resumeSet<C extends SetConfig>(
  set: ShardSet<C>,
  options: ResumeOptions = {},
): Promise<ResumeReport> {
  const leftovers = removeLeftovers(set.folder);
  const report: ResumeReport = { missing: [], adopted: [], damaged: [], stale: [], leftovers };
  for (let shard = 0; shard < set.shards; shard++) {
    if (set.problem(shard) !== undefined && !await adoptOrSetAside(set, shard, report)) {
      report.missing.push(shard);
      continue;
    }
    const problem = options.stale?.(shard);
    if (problem === undefined) continue;
    fs.rmSync(sidecarPath(set.path(shard)));
    fs.rmSync(set.path(shard));
    report.stale.push({ shard, problem });
    report.missing.push(shard);
  }
  return report;
}

/**
 * Completes a shard that lacks only its sidecar, and sets a damaged one aside. Whoever may not be alone on the set holds
 * the shard's claim.
 *
 * @param set The set.
 * @param shard A shard that does not count as present.
 * @param report Receives what was done.
 * @returns True if the shard is good now.
 */
export async function adoptOrSetAside<C extends SetConfig>(
  set: ShardSet<C>,
  shard: number,
  report: Pick<ResumeReport, "adopted" | "damaged">,
): Promise<boolean> {
  const path = set.path(shard);
  try {
    if (fs.existsSync(path)) {
      await adoptShard(set, shard);
      report.adopted.push(shard);
      return true;
    }
  } catch (error) {
    if (!(error instanceof ShardError)) throw error;
    report.damaged.push({ shard, problem: error.message });
    fs.renameSync(path, join(set.folder, `.damaged-${basename(path)}`));
  }
  fs.rmSync(sidecarPath(path), { force: true });
  return false;
}
