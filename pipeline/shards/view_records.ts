/** Reads where the rows of frame shards came from, which of them are labelled how, and which were refused. */
import { type BadClip, readBadClips, readShardBadClips } from "./bad_clips.ts";
import { frameCount, NO_LABEL } from "./frame_format.ts";
import type { FrameRow, FramesSet } from "./frame_shards.ts";
import { STATUS_GOOD } from "./shard_format.ts";

/** A stored view without its pixels. Origin and times of a refused one are zero. */
export type ViewRecord = Omit<FrameRow, "cubes"> & {
  readonly item: number;
  readonly view: number;
  /** The clip's name in the list. */
  readonly name: string;
  /** False if the clip could not be decoded. */
  readonly good: boolean;
};

/**
 * Reads where the rows of a shard came from.
 *
 * @param set The set.
 * @param shard Number of the shard.
 * @returns One record per row.
 * @throws {ShardError} If a table is damaged.
 */
export function readViewRecords(set: FramesSet, shard: number): ViewRecord[] {
  const reader = set.reader(shard), { row0, rows } = set.span(shard), frames = frameCount(set.config);
  const buffer = (dataset: string) => reader.table(dataset).buffer;
  const label = new Int32Array(buffer("/index/label")), frame = new Int32Array(buffer("/index/frame"));
  const pts = new BigInt64Array(buffer("/index/pts_us")), crop = new Float32Array(buffer("/index/crop"));
  const size = new Int32Array(buffer("/index/source_size")), status = reader.table("/index/status");
  const text = reader.table("/names/utf8"), offset = new Uint32Array(buffer("/names/offset"));
  const decoder = new TextDecoder();
  return Array.from({ length: rows }, (_, r) => ({
    item: Math.floor((row0 + r) / set.config.views),
    view: (row0 + r) % set.config.views,
    name: decoder.decode(text.subarray(offset[r], offset[r + 1])),
    good: status[r] === STATUS_GOOD,
    label: label[r] === NO_LABEL ? null : label[r]!,
    frames: frame.slice(r * frames, (r + 1) * frames),
    ptsUs: pts.slice(r * frames, (r + 1) * frames),
    crop: { x: crop[r * 4]!, y: crop[r * 4 + 1]!, width: crop[r * 4 + 2]!, height: crop[r * 4 + 3]! },
    sourceHeight: size[r * 2]!,
    sourceWidth: size[r * 2 + 1]!,
  }));
}

/** Classes of all rows, [rows], -1 where a clip has none. @throws {ShardError} If a shard is missing or damaged. */
export function readLabels(set: FramesSet): Int32Array {
  return new Int32Array(set.column("/index/label").buffer);
}

/**
 * The refused views of a set with their reasons, by row.
 *
 * @param set The set.
 * @param shards Which shards to ask. @default all
 * @throws {ShardError} If a shard is missing or damaged.
 */
export function listBadClips(set: FramesSet, shards: Iterable<number> = Array(set.shards).keys()): BadClip[] {
  let gathered: Map<number, BadClip> | undefined;
  return [...shards].flatMap((shard) => {
    const { failed_rows: failed, row0 } = set.sidecar(shard);
    if (failed.length === 0) return [];
    const own = byRow(readShardBadClips(set.path(shard)));
    return failed.map((local) => {
      const row = row0 + local;
      return own.get(row) ?? (gathered ??= byRow(readBadClips(set.folder))).get(row) ?? unexplained(set, row);
    });
  });
}

function byRow(clips: readonly BadClip[]): Map<number, BadClip> {
  return new Map(clips.map((clip) => [clip.row, clip]));
}

function unexplained(set: FramesSet, row: number): BadClip {
  const shard = set.shardOf(row), { item, view, name } = readViewRecords(set, shard)[row - set.span(shard).row0]!;
  const detail = "the reason is not recorded: no line of the shard's .bad.jsonl is for this row";
  return { row, item, view, name, path: "", reason: "unknown", detail, byteOffset: null, fileBytes: null };
}
