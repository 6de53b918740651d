/** Makes a published frame shard anew because some of its bad clips may be decoded now; its other rows are copied. */
import fs from "node:fs";
import { type BadClip, writeShardBadClips } from "../shards/bad_clips.ts";
import type { FramesSet } from "../shards/frame_shards.ts";
import type { FinishedRow, PartialShard } from "../shards/partial_shard.ts";
import { removePartials } from "../shards/partial_shard.ts";
import { ShardError } from "../shards/shard_error.ts";
import { sidecarPath } from "../shards/sidecar.ts";
import { listBadClips, readViewRecords } from "../shards/view_records.ts";

/**
 * The rows of a published shard that stay as they are. A row that can no longer be read is passed over, so that it is
 * decoded again.
 *
 * @param set The set.
 * @param shard Number of the shard.
 * @param redo Rows of the set to pass over.
 */
export async function* storedRows(
  set: FramesSet,
  shard: number,
  redo: ReadonlySet<number>,
): AsyncGenerator<FinishedRow> {
  const { row0 } = set.span(shard), cubes = new Uint8Array(set.reader(shard).rowBytes("/cubes"));
  const failures = new Map(listBadClips(set, [shard]).map((clip) => [clip.row, clip]));
  for (const [local, record] of readViewRecords(set, shard).entries()) {
    const row = row0 + local, failure = failures.get(row);
    if (redo.has(row)) continue;
    if (failure) yield { row, failure: withoutPlace(failure) };
    else if (await isReadable(set, row, cubes)) yield { row, view: { ...record, cubes } };
  }
}

/**
 * Replaces a shard by its new version where that holds a clip more; else only the reasons are written again.
 *
 * @param set The set.
 * @param shard Number of the shard, whose claim is held.
 * @param writer The new version, complete.
 */
export async function replaceMended(set: FramesSet, shard: number, writer: PartialShard): Promise<void> {
  const path = set.path(shard);
  if (writer.bad.length === set.sidecar(shard).status.failed) {
    writeShardBadClips(path, writer.bad);
    writer[Symbol.dispose]();
    removePartials(set, shard);
    return;
  }
  // Without its sidecar the old one no longer counts. Should this process die now, the rows are taken from the new one.
  fs.rmSync(sidecarPath(path));
  fs.rmSync(path);
  set.forget(shard);
  await writer.seal();
}

function withoutPlace({ path, reason, detail, byteOffset, fileBytes }: BadClip) {
  return { path, reason, detail, byteOffset, fileBytes };
}

async function isReadable(set: FramesSet, row: number, into: Uint8Array): Promise<boolean> {
  try {
    await set.readRow("/cubes", row, into);
    return true;
  } catch (error) {
    if (error instanceof ShardError) return false;
    throw error;
  }
}
