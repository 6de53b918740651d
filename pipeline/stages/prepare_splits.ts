/** The `prepare` stage: both parts of the data set are decoded once into frame shards, by decoders in child processes. */
import os from "node:os";
import { DecoderLanes } from "../../decoders/lanes.ts";
import { sha256Hex } from "../shards/config_hash.ts";
import type { BadClip } from "../shards/bad_clips.ts";
import { type FramesSet, openFramesSet } from "../shards/frame_shards.ts";
import { readLabels } from "../shards/view_records.ts";
import { badClipLimit, type Settings } from "../settings.ts";
import type { ClipSources, ClipSplit } from "./clip_sources.ts";
import { prepareFrames, type PrepareSettings } from "./prepare.ts";
import type { StageContext } from "./stage_context.ts";

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

/** Prepares both parts. */
export async function prepareSplits(context: StageContext, sources: ClipSources): Promise<PrepareResult> {
  const { data } = context.settings;
  const lanes = data.lanes || os.availableParallelism();
  await using decoder = new DecoderLanes({ lanes, decoder: data.decoder, deadlineMs: data.deadline * 1000 });
  // The limit is one for all clips: a small validation part with one bad clip is no reason to stop.
  const { settings } = context;
  const allowed = badClipLimit(data.maxBad, sources.train.clips.length + (sources.val?.clips.length ?? 0));
  const train = await prepareSplit(context, sources.train, decoder, lanes, allowing(settings, allowed));
  const rest = allowing(validation(settings), allowed - train.badClips);
  const val = sources.val ? await prepareSplit(context, sources.val, decoder, lanes, rest) : null;
  return { train, val, classes: [...sources.classes] };
}

/** The settings of validation clips: one view each, the middle of the picture, or the views of a test. */
export function validation(settings: Settings): Settings & Pick<PrepareSettings, "test"> {
  const { evalSegments: segments, evalCrops: crops } = settings.finetune;
  const views = segments * crops;
  return {
    ...settings,
    data: { ...settings.data, views },
    clip: { ...settings.clip, crop: "centre" },
    ...(views > 1 ? { test: { segments, crops } } : {}),
  };
}

/** The settings with a limit on the number of bad clips. */
function allowing<S extends Settings>(settings: S, badClips: number): S {
  return { ...settings, data: { ...settings.data, maxBad: String(badClips) } };
}

async function prepareSplit(
  context: StageContext,
  list: ClipSplit,
  decoder: DecoderLanes,
  lanes: number,
  settings: Settings & Pick<PrepareSettings, "test">,
): Promise<PreparedSplit> {
  const { signal, progress, warn } = context;
  using bar = progress.begin(`prepare ${list.name}`, list.clips.length * settings.data.views, "views");
  const prepared = await prepareFrames({
    list,
    split: list.name,
    settings,
    cache: settings.run.cache,
    decoder,
    parallel: lanes * 2,
    signal,
    warn,
    onProgress: (done, bad) => bar.update(done, bad > 0 ? { note: `${bad} bad` } : {}),
  });
  using set = openFramesSet(prepared.folder);
  const labels = itemLabels(set);
  return {
    folder: prepared.folder,
    configSha256: prepared.configSha256,
    contentSha256: contentHash(set),
    clips: prepared.clips,
    views: settings.data.views,
    labelled: set.goodItems().filter((item) => labels[item]! >= 0).length,
    badClips: prepared.badClips,
    bad: prepared.bad,
    shards: prepared.shards,
    bytes: prepared.bytes,
  };
}

/** Hash of the SHA-256 of all shards of a set, in order. */
export function contentHash(set: { readonly shards: number; sidecar(shard: number): { sha256: string } }): string {
  return sha256Hex(Array.from({ length: set.shards }, (_, shard) => set.sidecar(shard).sha256).join("\n"));
}

/** Class of every item of a set, [items], -1 where it has none. */
export function itemLabels(set: FramesSet): Int32Array {
  const { views } = set.config;
  return readLabels(set).filter((_, row) => row % views === 0);
}
