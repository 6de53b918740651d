/** Looks at shard files and shard sets: verifies every byte. `_inspect_cache.ts` lists the sets of a cache. */
import fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { type Facts, type Inspection, reasonOf } from "./inspection.ts";
import type { Progress } from "./progress.ts";
import type { Json } from "./shards/config_hash.ts";
import { featureFormat } from "./shards/feature_format.ts";
import { frameFormat } from "./shards/frame_format.ts";
import { readSetConfig } from "./shards/set_folder.ts";
import type { SetConfig, ShardFormat } from "./shards/shard_format.ts";
import { verifyShard } from "./shards/shard_record.ts";
import { ShardSet } from "./shards/shard_set.ts";
import type { Sidecar } from "./shards/sidecar.ts";

/** Name of a shard file, and its number. */
export const SHARD_FILE = /^shard-(\d{5,})\.h5$/;

/** The kinds of shards. */
export const FORMATS: readonly ShardFormat<SetConfig>[] = [frameFormat, featureFormat];

/** Verifies one shard, which must lie in the folder of its set. */
export async function inspectShard(path: string): Promise<Inspection> {
  const folder = dirname(path), shard = Number(SHARD_FILE.exec(basename(path))![1]);
  const damaged = (problem: string): Inspection => ({ path, kind: "shard", facts: {}, problems: [problem] });
  const set = openSet(folder);
  if (typeof set === "string") return damaged(`${set}. Put the shard back into the folder of its set`);
  using _ = set;
  if (shard >= set.shards) return damaged(`${path} is no part of its set, which has ${set.shards} shards: remove it`);
  const problem = await shardProblem(set, shard);
  return {
    path,
    kind: "shard",
    facts: {
      schema: set.format.schema,
      ...(set.problem(shard) === undefined ? sidecarFacts(set.sidecar(shard)) : {}),
      settings: set.config as unknown as Json,
    },
    problems: problem === undefined ? [] : [problem],
  };
}

function sidecarFacts({ shard, shards, row0, rows, status, bytes, sha256, parents, datasets }: Sidecar): Facts {
  const types = Object.entries(datasets).map(([path, { dtype, shape }]) => [path, `${dtype} [${shape.join(", ")}]`]);
  return {
    shard,
    shards,
    rows,
    firstRow: row0,
    good: status.good,
    failed: status.failed,
    bytes,
    sha256,
    ...(Object.keys(parents).length > 0 ? { parents } : {}),
    datasets: Object.fromEntries(types),
  };
}

/** Verifies every shard of a set. */
export async function inspectShardSet(path: string, progress: Progress, signal?: AbortSignal): Promise<Inspection> {
  const set = openSet(path);
  if (typeof set === "string") {
    const problems = [`${set}. Remove the folder and run the command that made it again`];
    return { path, kind: "shard set", facts: {}, problems };
  }
  using _ = set;
  using bar = progress.begin("verify", set.shards, "shards");
  const problems: string[] = [];
  for (let shard = 0; shard < set.shards; shard++) {
    signal?.throwIfAborted();
    const problem = await shardProblem(set, shard);
    if (problem !== undefined) problems.push(problem);
    bar.update(shard + 1);
  }
  return { path, kind: "shard set", facts: setFacts(set), problems };
}

/** Numbers of a set; good and failed rows and bytes are those of the shards that are there. */
export function setFacts(set: ShardSet<SetConfig>): Facts {
  const missing = new Set(set.missing());
  const there = Array.from({ length: set.shards }, (_, shard) => shard).filter((shard) => !missing.has(shard))
    .map((shard) => set.sidecar(shard));
  const sum = (of: (sidecar: Sidecar) => number) => there.reduce((total, sidecar) => total + of(sidecar), 0);
  const { framesConfigSha256 } = set.config as { framesConfigSha256?: string };
  return {
    schema: set.format.schema,
    shards: set.shards,
    missing: missing.size,
    rows: set.rows,
    good: sum(({ status }) => status.good),
    failed: sum(({ status }) => status.failed),
    bytes: sum(({ bytes }) => bytes),
    configSha256: set.configSha256,
    ...(framesConfigSha256 === undefined ? {} : { parents: { frames: framesConfigSha256 } }),
    settings: set.config as unknown as Json,
  };
}

/** Opens a set as far as its settings go; what is wrong with them if they cannot be used. */
export function openSet(folder: string): ShardSet<SetConfig> | string {
  try {
    const config = readSetConfig(folder), format = FORMATS.find(({ schema }) => schema === config.schema);
    if (!format) return `${join(folder, "config.json")} has schema ${config.schema}, which this version does not know`;
    return new ShardSet(folder, format, format.parse(config));
  } catch (error) {
    return reasonOf(error);
  }
}

/** What is wrong with a shard and what mends it; undefined if it is whole. */
async function shardProblem(set: ShardSet<SetConfig>, shard: number): Promise<string | undefined> {
  try {
    await verifyShard(set, shard);
    return undefined;
  } catch (error) {
    const file = basename(set.path(shard)), there = fs.existsSync(set.path(shard));
    // A run passes over a stage whose manifest is there, and a stage over a shard whose sidecar is.
    const files = there ? `${file}, its .json and manifest.json` : "manifest.json";
    return `${reasonOf(error)}. Remove ${files} and run the command that made the set again`;
  }
}
