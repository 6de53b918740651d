/**
 * Decodes views into frame shards, several at a time. A view's row is fixed before it is decoded, so the shards do not
 * depend on the order in which views come out; a shard is sealed as soon as its last row is there, while others go on.
 * Rows that an earlier writer had finished are taken from what it left.
 */
import type { BadClipReason, ClipDecoder } from "../../decoders/decoder.ts";
import { CorruptClipError, decodeViews } from "../../decoders/decoder.ts";
import type { ListedClip } from "../../decoders/lists/clip_list.ts";
import { DiskFullError } from "../shards/_full_disk.ts";
import type { BadClip } from "../shards/bad_clips.ts";
import type { FramesSet } from "../shards/frame_shards.ts";
import { finishedRows, listPartials, PartialShard } from "../shards/partial_shard.ts";
import type { ClaimedShard } from "./_claimed_shards.ts";
import { replaceMended, storedRows } from "./_mend_shard.ts";
import { viewRequest } from "./clip_request.ts";
import { fileBytes } from "./file_bytes.ts";
import { type ViewRules, viewShape } from "./view_rules.ts";

/** Defects that may lie in the load of the machine rather than in the clip. */
export const PASSING: readonly string[] = ["timed-out", "crashed-decoder"] satisfies BadClipReason[];

/**
 * Views of a clip that are decoded together: more are rare (5 segments x 3 crops are 15), and every clip at hand holds this
 * many in memory.
 */
const MOST_TOGETHER = 16;

/** Work for {@linkcode decodeShards}. */
export interface DecodeShardsOptions {
  readonly set: FramesSet;
  /** Shards to make, as they are claimed. @param stop aborted when the work fails elsewhere */
  readonly claimed: (stop: AbortSignal) => AsyncGenerator<ClaimedShard>;
  /** All clips of the set. */
  readonly clips: readonly ListedClip[];
  /** Rules of the views of a clip, as many as the set has. */
  readonly rules: readonly ViewRules[];
  readonly seed: number;
  readonly decoder: ClipDecoder;
  /** Clips decoded at the same time. */
  readonly parallel: number;
  readonly signal: AbortSignal | undefined;
  /** Decode clips again that an interrupted writer could not decode. */
  readonly retryBad: boolean;
  /** Told about every view that is in its place; undefined if it is good. What it throws stops the work. */
  readonly onView: (bad: BadClip | undefined) => void;
}

/** A shard at work, and how many of its rows are still to come. */
interface OpenShard {
  readonly work: ClaimedShard;
  readonly writer: PartialShard;
  rowsLeft: number;
}

/**
 * Makes shards. When it fails, shards that were complete are published; of the others the finished rows are left to
 * whoever goes on, unless the disk is full.
 *
 * @throws What the decoder throws beside {@linkcode CorruptClipError}, what `onView` throws, or the signal's reason;
 * always after the views at hand are through.
 */
export async function decodeShards(options: DecodeShardsOptions): Promise<void> {
  const { parallel, rules, signal } = options, { bytes } = viewShape(rules[0]!);
  const failing = new AbortController();
  const stop = signal ? AbortSignal.any([signal, failing.signal]) : failing.signal;
  const open = new Set<OpenShard>(), clips = clipsToDecode(options, stop, open);
  // All lanes take from one iterator. Where a lane fails, leaving its loop closes the iterator for the others too.
  const lane = async () => {
    const memory: Uint8Array[] = [];
    for await (const { rows, shard } of clips) {
      try {
        stop.throwIfAborted();
        while (memory.length < rows.length) memory.push(new Uint8Array(bytes));
        for (const bad of await decodeRows(options, rows, shard.writer, memory.slice(0, rows.length))) {
          options.onView(bad);
        }
        if ((shard.rowsLeft -= rows.length) === 0) await finish(options.set, shard, open);
      } catch (error) {
        // Whoever waits for other processes must not go on waiting.
        failing.abort(error);
        throw error;
      }
    }
  };
  let failure: unknown;
  try {
    const ends = await Promise.allSettled(Array.from({ length: parallel }, lane));
    for (const end of ends) if (end.status === "rejected") throw failure = end.reason;
  } finally {
    for (const { writer, work } of open) {
      if (failure instanceof DiskFullError) writer[Symbol.dispose]();
      else writer.leave();
      work.claim[Symbol.dispose]();
    }
  }
}

async function finish(set: FramesSet, shard: OpenShard, open: Set<OpenShard>): Promise<void> {
  const { writer, work } = shard;
  if (work.redo === undefined) await writer.seal();
  else await replaceMended(set, work.shard, writer);
  open.delete(shard);
  work.claim[Symbol.dispose]();
}

/** Rows in order, those of one clip together; a shard is opened with its first row. */
async function* clipsToDecode(
  options: DecodeShardsOptions,
  stop: AbortSignal,
  open: Set<OpenShard>,
): AsyncGenerator<{ rows: number[]; shard: OpenShard }> {
  const { set, clips } = options;
  for await (const work of options.claimed(stop)) {
    const { row0, rows } = set.span(work.shard);
    const names = Array.from({ length: rows }, (_, i) => clips[Math.floor((row0 + i) / set.config.views)]!.name);
    const partials = listPartials(set, work.shard);
    const shard = { work, writer: openShard(set, work, names), rowsLeft: rows };
    open.add(shard);
    const pending = new Set(Array.from({ length: rows }, (_, i) => row0 + i));
    for await (const bad of restore(options, shard, names, partials, pending)) {
      shard.rowsLeft--;
      options.onView(bad);
    }
    if (shard.rowsLeft === 0) await finish(set, shard, open);
    for (const ofClip of Map.groupBy(pending, (row) => Math.floor(row / set.config.views)).values()) {
      while (ofClip.length > 0) yield { rows: ofClip.splice(0, MOST_TOGETHER), shard };
    }
  }
}

function openShard(set: FramesSet, { shard, claim }: ClaimedShard, names: readonly string[]): PartialShard {
  try {
    return new PartialShard(set, shard, names);
  } catch (error) {
    claim[Symbol.dispose]();
    throw error;
  }
}

/**
 * Fills in what is there already: rows that an interrupted writer had finished, then those of the shard that is mended.
 *
 * @param pending Loses the rows that are filled in.
 */
async function* restore(
  { set, clips, retryBad }: DecodeShardsOptions,
  { work: { shard, redo }, writer }: OpenShard,
  names: readonly string[],
  partials: readonly string[],
  pending: Set<number>,
): AsyncGenerator<BadClip | undefined> {
  const lasts = ({ reason, fileBytes: before }: Pick<BadClip, "reason" | "fileBytes">, path: string) =>
    !retryBad && !PASSING.includes(reason) && fileBytes(path) === before;
  const sources = [
    { rows: finishedRows(set, shard, names, partials), keeps: lasts },
    ...(redo ? [{ rows: storedRows(set, shard, redo), keeps: () => true }] : []),
  ];
  for (const { rows: source, keeps } of sources) {
    for await (const found of source) {
      const { row } = found, { label, path } = clips[Math.floor(row / set.config.views)]!;
      if (!pending.has(row)) continue;
      if ("view" in found) {
        writer.write(row, { ...found.view, label });
        pending.delete(row);
        yield undefined;
      } else if (keeps(found.failure, path)) {
        pending.delete(row);
        yield writer.fail(row, { ...found.failure, label });
      }
    }
  }
}

/**
 * Decodes rows of one clip.
 *
 * @returns For each row undefined, or the record of a view that cannot be decoded.
 */
async function decodeRows(
  { set, clips, rules, seed, decoder }: DecodeShardsOptions,
  rows: readonly number[],
  writer: PartialShard,
  into: readonly Uint8Array[],
): Promise<(BadClip | undefined)[]> {
  const { views } = set.config, clip = clips[Math.floor(rows[0]! / views)]!, { path, label } = clip;
  const requests = rows.map((row) => viewRequest(clip, rules, row % views, seed));
  const outcomes = await decodeViews(decoder, requests, into);
  return outcomes.map((outcome, i) => {
    if (!(outcome instanceof CorruptClipError)) {
      writer.write(rows[i]!, { ...outcome, label });
      return undefined;
    }
    const { reason, detail, byteOffset } = outcome;
    return writer.fail(rows[i]!, { label, path, reason, detail, byteOffset, fileBytes: fileBytes(path) });
  });
}
