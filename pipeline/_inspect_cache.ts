/** Looks at a cache: lists its sets of shards. */
import fs from "node:fs";
import { join } from "node:path";
import { FORMATS, openSet, setFacts } from "./_inspect_shards.ts";
import type { Inspection } from "./inspection.ts";

/** Whether a folder holds sets of shards. */
export function isCache(path: string): boolean {
  return setFolders(path).length > 0;
}

/** Lists the sets of a cache. Shards are only looked for, not verified. */
export function inspectCache(path: string): Inspection {
  const problems: string[] = [];
  const sets = setFolders(path).map((folder) => {
    const set = openSet(join(path, folder));
    if (typeof set === "string") {
      problems.push(`${set}. Remove the folder and run the command that made it again`);
      return { set: folder };
    }
    using _ = set;
    const { rows, failed, bytes, shards, missing } = setFacts(set);
    if (missing !== 0) {
      problems.push(`${set.folder} lacks ${missing} of ${shards} shards: deno task inspect ${set.folder} says why`);
    }
    const { dataset, split } = set.config;
    return { set: folder, dataset, split, rows: rows!, failed: failed!, shards: shards!, bytes: bytes! };
  });
  return { path, kind: "cache", facts: { sets }, problems };
}

/** Folders below a cache that have settings, such as `frames/0123456789ab`. */
function setFolders(cache: string): string[] {
  return FORMATS.flatMap(({ kind }) => {
    if (!fs.statSync(join(cache, kind), { throwIfNoEntry: false })?.isDirectory()) return [];
    return fs.readdirSync(join(cache, kind)).sort().map((name) => join(kind, name));
  }).filter((folder) => fs.existsSync(join(cache, folder, "config.json")));
}
