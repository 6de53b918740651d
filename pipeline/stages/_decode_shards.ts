/**
 * Decodes views into frame shards, several at a time. A view's row is fixed before it is decoded, so the shards do not
 * depend on the order in which views come out; a shard is sealed as soon as its last row is there, while others go on.
 */
import { type ClipDecoder, CorruptClipError, drawsNeeded } from "../../decoders/decoder.ts";
import type { ListedClip } from "../../decoders/lists/clip_list.ts";
import { uniforms } from "../random.ts";
import type { BadClip } from "../shards/bad_clips.ts";
import { FrameShardWriter, type FramesSet } from "../shards/frame_shards.ts";
import { fileBytes } from "./file_bytes.ts";
import { type ViewRules, viewShape } from "./view_rules.ts";

/** Work for {@linkcode decodeShards}. */
export interface DecodeShardsOptions {
  readonly set: FramesSet;
  /** Numbers of the shards to make. */
  readonly shards: readonly number[];
  /** All clips of the set. */
  readonly clips: readonly ListedClip[];
  /** Rules of the views of a clip, as many as the set has. */
  readonly rules: readonly ViewRules[];
  readonly seed: number;
  readonly decoder: ClipDecoder;
  /** Views decoded at the same time. */
  readonly parallel: number;
  readonly signal: AbortSignal | undefined;
  /** Told about every view; undefined if it is good. What it throws stops the work. */
  readonly onView: (bad: BadClip | undefined) => void;
}

/** A shard at work, and how many of its rows are still to come. */
interface OpenShard {
  readonly writer: FrameShardWriter;
  rowsLeft: number;
}

/**
 * Makes shards. When it fails, shards that were complete are published and nothing is left of the others.
 *
 * @throws What the decoder throws beside {@linkcode CorruptClipError}, what `onView` throws, or the signal's reason;
 * always after the views at hand are through.
 */
export async function decodeShards(options: DecodeShardsOptions): Promise<void> {
  const { parallel, rules, signal } = options, bytes = viewShape(rules[0]!).bytes;
  const open = new Set<OpenShard>(), rows = rowsToDecode(options, open);
  // All lanes take from one iterator. Where a lane fails, leaving its loop closes the iterator for the others too.
  const lane = async () => {
    const cubes = new Uint8Array(bytes);
    for (const { row, shard } of rows) {
      signal?.throwIfAborted();
      options.onView(await decodeRow(options, row, shard.writer, cubes));
      if (--shard.rowsLeft > 0) continue;
      await shard.writer.seal();
      open.delete(shard);
    }
  };
  try {
    const ends = await Promise.allSettled(Array.from({ length: parallel }, lane));
    for (const end of ends) if (end.status === "rejected") throw end.reason;
  } finally {
    for (const { writer } of open) writer[Symbol.dispose]();
  }
}

/** Rows in order; a shard is opened with its first row. */
function* rowsToDecode(
  { set, shards, clips }: DecodeShardsOptions,
  open: Set<OpenShard>,
): Generator<{ row: number; shard: OpenShard }> {
  for (const number of shards) {
    const { row0, rows } = set.span(number);
    const names = Array.from({ length: rows }, (_, i) => clips[Math.floor((row0 + i) / set.config.views)]!.name);
    const shard = { writer: new FrameShardWriter(set, number, names), rowsLeft: rows };
    open.add(shard);
    for (let row = row0; row < row0 + rows; row++) yield { row, shard };
  }
}

/** @returns The record of the view if it cannot be decoded. */
async function decodeRow(
  { set, clips, rules, seed, decoder }: DecodeShardsOptions,
  row: number,
  writer: FrameShardWriter,
  cubes: Uint8Array,
): Promise<BadClip | undefined> {
  const { views } = set.config, { name, path, label } = clips[Math.floor(row / views)]!;
  const view = row % views, rule = rules[view]!;
  const draws = [...uniforms(drawsNeeded(rule), seed, "view", name, view)];
  try {
    writer.write(row, { ...await decoder.decode({ ...rule, path, draws }, cubes), label });
    return undefined;
  } catch (error) {
    if (!(error instanceof CorruptClipError)) throw error;
    const { reason, detail, byteOffset } = error;
    return writer.fail(row, { label, path, reason, detail, byteOffset, fileBytes: fileBytes(path) });
  }
}
