/**
 * What preparing a list would find, cost and take, without writing anything: files that are not there, exact bytes of
 * the shards, and minutes from decoding a few clips, spread over the list, as fast as this machine does.
 */
import os from "node:os";
import { type ClipDecoder, decodeViews, viewLayout } from "../../decoders/decoder.ts";
import { DecoderLanes } from "../../decoders/lanes.ts";
import type { ListedClip } from "../../decoders/lists/clip_list.ts";
import { freeAt } from "../_plan_disk.ts";
import { plannedFrameShardBytes, plannedFramesSet } from "../shards/frame_shards.ts";
import type { ClipSources, ClipSplit } from "./clip_sources.ts";
import { viewRequest } from "./clip_request.ts";
import { isThere } from "./file_bytes.ts";
import { framesConfig } from "./prepare.ts";
import { type PrepareContext, type SplitSettings, splitsOf } from "./prepare_splits.ts";
import { rulesOfViews } from "./view_rules.ts";

/** Missing clips that are named. */
const NAMED = 5;
/** Clips whose decoding is timed at most, and how long. */
const TIMED = 256;
const TIMED_MS = 5000;

/** What preparing one part of the data set comes to. */
export interface DryRunPart {
  readonly name: "train" | "val";
  readonly clips: number;
  /** Views of all clips. */
  readonly views: number;
  /** Views of shards that have yet to be made. */
  readonly viewsLeft: number;
  /** Clips without a file. */
  readonly missing: number;
  /** The first of them. */
  readonly missingNames: readonly string[];
  /** Of all shard files. */
  readonly bytes: number;
  /** Of the shard files that have yet to be made. */
  readonly bytesLeft: number;
  /** Where they lie or would lie. */
  readonly folder: string;
}

/** What preparing a list comes to. */
export interface DryRun {
  /** Format of the list. */
  readonly format: string;
  readonly parts: readonly DryRunPart[];
  readonly classes: number;
  /** Free where the cache lies or would lie; null if that cannot be told. */
  readonly freeBytes: number | null;
  /** Measured here; null if no clip could be decoded. */
  readonly viewsPerSecond: number | null;
  /** For what is left, by this process alone; null if the rate is not known. */
  readonly minutes: number | null;
}

/** Reckons what {@linkcode prepareSplits} would do. */
export async function dryRun(context: PrepareContext, sources: ClipSources): Promise<DryRun> {
  const { settings, signal } = context;
  const parts = splitsOf(settings, sources).map(([list, settings]) => dryRunPart(list, settings));
  signal.throwIfAborted();
  const left = parts.reduce((sum, { viewsLeft }) => sum + viewsLeft, 0);
  const viewsPerSecond = left > 0 ? await measure(context, sources.train.clips) : null;
  return {
    format: sources.train.format,
    parts,
    classes: sources.classes.length,
    freeBytes: freeAt(settings.run.cache),
    viewsPerSecond,
    minutes: left === 0 ? 0 : viewsPerSecond && left / viewsPerSecond / 60,
  };
}

function dryRunPart(list: ClipSplit, settings: SplitSettings): DryRunPart {
  const { clips, name } = list, text = new TextEncoder();
  using set = plannedFramesSet(settings.run.cache, framesConfig(list, name, settings));
  const left = new Set(set.missing());
  let bytes = 0, bytesLeft = 0, viewsLeft = 0;
  for (let shard = 0; shard < set.shards; shard++) {
    const { row0, rows } = set.span(shard);
    const items = Array.from({ length: rows }, (_, i) => clips[Math.floor((row0 + i) / set.config.views)]!);
    const nameBytes = items.reduce((sum, { name }) => sum + text.encode(name).length, 0);
    const shardBytes = plannedFrameShardBytes(set.config, shard, nameBytes);
    bytes += shardBytes;
    if (!left.has(shard)) continue;
    bytesLeft += shardBytes;
    viewsLeft += rows;
  }
  const missing = clips.filter(({ path }) => !isThere(path));
  return {
    name,
    clips: clips.length,
    views: set.rows,
    viewsLeft,
    missing: missing.length,
    missingNames: missing.slice(0, NAMED).map(({ name }) => name),
    bytes,
    bytesLeft,
    folder: set.folder,
  };
}

/** Views a second, once every lane has started; null if there is nothing to decode. */
async function measure({ settings, signal }: PrepareContext, clips: readonly ListedClip[]): Promise<number | null> {
  const { data } = settings;
  const lanes = data.lanes || os.availableParallelism();
  await using decoder = new DecoderLanes({ lanes, decoder: data.decoder, deadlineMs: data.deadline * 1000, signal });
  const sample = spread(clips, TIMED).filter(({ path }) => isThere(path));
  if (sample.length === 0) return null;
  await Promise.all(Array.from({ length: lanes }, (_, i) => decode(decoder, settings, sample[i % sample.length]!)));
  const began = performance.now(), queue = sample.values();
  let decoded = 0;
  const lane = async () => {
    for (const clip of queue) {
      if (performance.now() - began > TIMED_MS) return;
      decoded += await decode(decoder, settings, clip);
    }
  };
  await Promise.all(Array.from({ length: lanes * 2 }, lane));
  return decoded / ((performance.now() - began) / 1000);
}

/** As many clips as asked for, evenly over the list. */
function spread<T>(items: readonly T[], count: number): T[] {
  const wanted = Math.min(count, items.length);
  return Array.from({ length: wanted }, (_, i) => items[Math.floor(i * items.length / wanted)]!);
}

/** Decodes all views of a clip; one that cannot be decoded takes its time too. @returns How many views. */
async function decode(decoder: ClipDecoder, settings: SplitSettings, clip: ListedClip): Promise<number> {
  const rules = rulesOfViews(settings);
  const requests = rules.map((_, view) => viewRequest(clip, rules, view, settings.run.seed));
  await decodeViews(decoder, requests, requests.map((request) => new Uint8Array(viewLayout(request).bytes)));
  return rules.length;
}
