/** Removes what processes that died left in the folder of a complete frame set. Nobody reads it; it only takes room. */
import fs from "node:fs";
import { basename } from "node:path";
import { removeLeftovers } from "./_temporary_file.ts";
import { shardBadClipsPath } from "./bad_clips.ts";
import type { Claims } from "./claims.ts";
import type { FramesSet } from "./frame_shards.ts";
import { removePartials } from "./partial_shard.ts";

/**
 * Removes unfinished files of shards and reasons of clips that are good by now. Shards that another process holds are
 * passed over: it may be mending one.
 *
 * @param set The complete set.
 * @param claims This process's claims on it.
 */
export function tidyFramesSet(set: FramesSet, claims: Claims): void {
  const names = fs.readdirSync(set.folder), claimed = new Set(claims.names());
  for (let shard = 0; shard < set.shards; shard++) {
    const file = basename(set.path(shard)), number = file.replace(/^shard-|\.h5$/g, "");
    const reasons = basename(shardBadClipsPath(file));
    const isUntidy = claimed.has(number) || names.some((name) => name.startsWith(`.tmp-${file}-`)) ||
      (names.includes(reasons) && set.sidecar(shard).status.failed === 0);
    if (!isUntidy) continue;
    using claim = claims.take(number);
    if (claim === undefined) continue;
    removePartials(set, shard);
    if (set.sidecar(shard).status.failed === 0) fs.rmSync(shardBadClipsPath(set.path(shard)), { force: true });
  }
  // Small files that others are about to publish are locked too, but not on every shared file system.
  if (claims.names().length === 0) removeLeftovers(set.folder);
}
