/**
 * The `prepare` stage: both parts of the data set are decoded once into frame shards, by decoders in child processes. One
 * process makes all, several share the work, or each job of a batch system makes a part of the shards.
 */
import os from "node:os";
import { DecoderLanes } from "../../decoders/lanes.ts";
import type { StageProgress } from "../progress.ts";
import { badClipLimit, type Settings } from "../settings.ts";
import type { BadClip } from "../shards/bad_clips.ts";
import { contentSha256 } from "../shards/config_hash.ts";
import { type FramesSet, openFramesSet, plannedFramesSet } from "../shards/frame_shards.ts";
import { listBadClips, readLabels } from "../shards/view_records.ts";
import { formatAmount } from "../units.ts";
import type { ClipSources, ClipSplit } from "./clip_sources.ts";
import type { Part } from "./part.ts";
import {
  framesConfig,
  type PreparedFrames,
  prepareFrames,
  type PrepareOptions,
  type PrepareSettings,
} from "./prepare.ts";
import type { StageContext } from "./stage_context.ts";
import { cropsAsMae } from "./view_rules.ts";

/** One prepared part. */
export type PreparedSplit = {
  /** Folder of the frame set. */
  folder: string;
  /** Hash of the set's settings. */
  configSha256: string;
  /** Hash of what the shards hold. */
  contentSha256: string;
  clips: number;
  /** Stored views of each clip. */
  views: number;
  /** Clips with a label that were decoded. */
  labelled: number;
  badClips: number;
  /** Their views, by row. */
  bad: BadClip[];
  shards: number;
  bytes: number;
};

/** What the stage leaves behind. */
export type PrepareResult = {
  train: PreparedSplit;
  /** Null if no clip is held back. */
  val: PreparedSplit | null;
  classes: string[];
};

/** What the stage works with; it needs no run folder. */
export type PrepareContext = Pick<StageContext, "settings" | "signal" | "progress" | "print" | "warn">;

/** How {@linkcode prepareSplits} goes about it. */
export interface PrepareSplitsOptions {
  /** Decodes every bad clip once more. @default false */
  readonly retryBad?: boolean;
}

/** Prepares both parts of the data set, whatever of them is missing. Several processes may do so at a time. */
export async function prepareSplits(
  context: PrepareContext,
  sources: ClipSources,
  { retryBad = false }: PrepareSplitsOptions = {},
): Promise<PrepareResult> {
  const [train, val] = await inTurn(context, sources, { retryBad });
  return {
    train: preparedSplit(train!),
    val: val ? preparedSplit(val) : null,
    classes: [...sources.classes],
  };
}

/** What a job with a part of the shards has made and found. */
export interface PreparedPart {
  /** Shards that are still missing when it ends: 0 for the last of the jobs. */
  readonly missing: number;
  /** Clips that could not be decoded, as far as shards are there. */
  readonly bad: readonly BadClip[];
  readonly folders: readonly string[];
}

/** Makes the shards of one part of both parts of the data set. The last of the jobs writes the manifests. */
export async function prepareSplitsPart(
  context: PrepareContext,
  sources: ClipSources,
  part: Part,
  { retryBad = false }: PrepareSplitsOptions = {},
): Promise<PreparedPart> {
  const sets = await inTurn(context, sources, { part, retryBad });
  return {
    missing: sets.reduce((sum, { missing }) => sum + missing, 0),
    bad: sets.flatMap(({ bad }) => bad),
    folders: sets.map(({ folder }) => folder),
  };
}

/**
 * What an earlier job left in the cache, without a look at any clip.
 *
 * @returns Undefined if a shard is missing.
 */
export function findPrepared(settings: Settings, sources: ClipSources): PrepareResult | undefined {
  const found = splitsOf(settings, sources).map(([list, settings]) => findSplit(list, settings));
  if (found.includes(undefined)) return undefined;
  const [train, val = null] = found as PreparedSplit[];
  return { train: train!, val, classes: [...sources.classes] };
}

function findSplit(list: ClipSplit, settings: SplitSettings): PreparedSplit | undefined {
  using set = plannedFramesSet(settings.run.cache, framesConfig(list, list.name, settings));
  if (set.missing().length > 0) return undefined;
  const bad = listBadClips(set);
  return preparedSplit({
    folder: set.folder,
    configSha256: set.configSha256,
    clips: list.clips.length,
    badClips: new Set(bad.map(({ item }) => item)).size,
    bad,
    shards: set.shards,
    bytes: Array.from({ length: set.shards }, (_, shard) => set.sidecar(shard).bytes).reduce((a, b) => a + b, 0),
  });
}

/** Both parts, one after the other, decoded by the same lanes. */
async function inTurn(
  context: PrepareContext,
  sources: ClipSources,
  how: Pick<PrepareOptions, "part" | "retryBad">,
): Promise<PreparedFrames[]> {
  const { settings } = context, { data } = settings;
  const lanes = data.lanes || os.availableParallelism();
  await using decoder = new DecoderLanes({ lanes, decoder: data.decoder, deadlineMs: data.deadline * 1000 });
  // The limit is one for all clips: a small validation part with one bad clip is no reason to stop.
  let allowed = badClipLimit(data.maxBad, sources.train.clips.length + (sources.val?.clips.length ?? 0));
  const done: PreparedFrames[] = [];
  for (const [list, splitSettings] of splitsOf(settings, sources)) {
    const prepared = await prepareSplit(context, list, decoder, lanes, allowing(splitSettings, allowed), how);
    allowed -= prepared.badClips;
    done.push(prepared);
  }
  return done;
}

/** The settings of a part of the data set. */
export type SplitSettings = Settings & Pick<PrepareSettings, "test">;

/** The parts of the data set with the settings that each is prepared with. */
export function splitsOf(settings: Settings, { train, val }: ClipSources): [ClipSplit, SplitSettings][] {
  return val ? [[train, settings], [val, validation(settings)]] : [[train, settings]];
}

/** The settings of validation clips: one view each, the middle of the picture, or the views of a test. */
export function validation(settings: Settings): Settings & Pick<PrepareSettings, "test"> {
  const { evalSegments: segments, evalCrops: crops } = settings.finetune;
  const views = segments * crops, asMae = cropsAsMae(settings.clip);
  return {
    ...settings,
    data: { ...settings.data, views },
    // MAE's crop has a test of its own, also where it is one view.
    ...(views > 1 || asMae ? { test: { segments, crops } } : {}),
    ...(asMae ? {} : { clip: { ...settings.clip, crop: "centre" } }),
  };
}

/** The settings with a limit on the number of bad clips. */
function allowing<S extends Settings>(settings: S, badClips: number): S {
  return { ...settings, data: { ...settings.data, maxBad: String(badClips) } };
}

async function prepareSplit(
  { signal, progress, print, warn }: PrepareContext,
  list: ClipSplit,
  decoder: DecoderLanes,
  lanes: number,
  settings: SplitSettings,
  how: Pick<PrepareOptions, "part" | "retryBad">,
): Promise<PreparedFrames> {
  using bars = new DisposableStack();
  let bar: StageProgress | undefined;
  return await prepareFrames({
    list,
    split: list.name,
    settings,
    cache: settings.run.cache,
    decoder,
    parallel: lanes * 2,
    ...how,
    signal,
    warn,
    onProgress: (done, bad, total) => {
      if (total === 0) return;
      // What was there before must not count in the rate.
      bar ??= bars.use(progress.begin(`prepare ${list.name}`, total, "views", { from: done }));
      bar.update(done, bad > 0 ? { note: `${bad} bad` } : {});
    },
    onWait: (shards, owner) => {
      const who = owner ? `process ${owner.pid} on ${owner.host}` : "another process";
      print(`${formatAmount(shards, "shard")} of ${list.name}: in the hands of ${who}, waited for`);
    },
  });
}

function preparedSplit(prepared: Omit<PreparedFrames, "missing" | "seconds">): PreparedSplit {
  using set = openFramesSet(prepared.folder);
  const labels = itemLabels(set);
  return {
    folder: prepared.folder,
    configSha256: prepared.configSha256,
    contentSha256: contentHash(set),
    clips: prepared.clips,
    views: set.config.views,
    labelled: set.goodItems().filter((item) => labels[item]! >= 0).length,
    badClips: prepared.badClips,
    bad: prepared.bad,
    shards: prepared.shards,
    bytes: prepared.bytes,
  };
}

/** Hash of what the shards of a set hold. */
export function contentHash(set: { readonly shards: number; sidecar(shard: number): { sha256: string } }): string {
  return contentSha256(Array.from({ length: set.shards }, (_, shard) => set.sidecar(shard).sha256));
}

/** Class of every item of a set, [items], -1 where it has none. */
export function itemLabels(set: FramesSet): Int32Array {
  const { views } = set.config;
  return readLabels(set).filter((_, row) => row % views === 0);
}
