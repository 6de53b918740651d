/**
 * Prepares a list of clips: every view is decoded once into frame shards. What a view shows is a pure function of list,
 * settings and seed; shards have the same bytes however many clips are decoded at a time, and an interrupted stage goes
 * on with the shards that are missing.
 *
 * A clip that cannot be decoded keeps its row, marked and recorded with the reason, and is decoded again when its file
 * has changed. Good clips are known by their names: videos replaced by others of the same names are not noticed.
 */
import { type BadClipReason, type ClipDecoder, drawsNeeded } from "../../decoders/decoder.ts";
import type { ListedClip } from "../../decoders/lists/clip_list.ts";
import { badClipLimit, type Settings } from "../settings.ts";
import type { BadClip } from "../shards/bad_clips.ts";
import type { FramesConfigInput } from "../shards/frame_format.ts";
import { createFramesSet, type FramesSet } from "../shards/frame_shards.ts";
import { writeManifest } from "../shards/manifest.ts";
import { resumeSet } from "../shards/resume.ts";
import { listBadClips } from "../shards/view_records.ts";
import { decodeShards } from "./_decode_shards.ts";
import { fileBytes } from "./file_bytes.ts";
import { TooManyBadClipsError } from "./too_many_bad_clips.ts";
import { rulesOfViews, type ViewRules, type ViewSettings, viewShape } from "./view_rules.ts";

/** Defects that may lie in the load of the machine rather than in the clip. */
const PASSING: readonly string[] = ["timed-out", "crashed-decoder"] satisfies BadClipReason[];

/** The settings that a set depends on. */
export interface PrepareSettings extends Pick<Settings, "data" | "clip">, Pick<ViewSettings, "test"> {
  readonly run: Pick<Settings["run"], "seed">;
}

/** Options of {@linkcode prepareFrames}. */
export interface PrepareOptions {
  readonly list: {
    readonly clips: readonly ListedClip[];
    /** Hash of names and labels. */
    readonly sha256: string;
    /** Kind of list; the data set's name in the shards. */
    readonly format: string;
  };
  /** Part of the data set, such as "train". */
  readonly split: string;
  readonly settings: PrepareSettings;
  /** The cache folder; the set lies in `frames/<hash>` below it. */
  readonly cache: string;
  readonly decoder: ClipDecoder;
  /** Views decoded at the same time. */
  readonly parallel: number;
  /** Stops after the views at hand; complete shards stay. */
  readonly signal?: AbortSignal;
  /** Told at the start and after every view: views done, bad clips, views of the set. */
  readonly onProgress?: (done: number, bad: number, total: number) => void;
  /** Receives a sentence about every shard that is made again. */
  readonly warn?: (message: string) => void;
  /** Clock, ms. @default performance.now */
  readonly now?: () => number;
}

/** What {@linkcode prepareFrames} made or found. */
export interface PreparedFrames {
  /** Folder of the complete set. */
  readonly folder: string;
  readonly configSha256: string;
  /** Clips in the list. */
  readonly clips: number;
  /** Clips with a view that could not be decoded. */
  readonly badClips: number;
  /** These views, by row. */
  readonly bad: BadClip[];
  readonly shards: number;
  /** Of all shard files. */
  readonly bytes: number;
  readonly seconds: number;
}

/**
 * Makes the frame set of a list, or what is missing of it.
 *
 * @param options Clips, settings and decoder.
 * @returns The complete set.
 * @throws {TooManyBadClipsError} If more clips are bad than the settings allow (exit code 3), as soon as that is known.
 * @throws {RangeError} If the list is empty or nothing may be decoded at a time.
 * @throws The signal's reason, after the views at hand.
 */
export async function prepareFrames(options: PrepareOptions): Promise<PreparedFrames> {
  const { list: { clips }, settings, parallel, signal, now = () => performance.now() } = options;
  if (clips.length === 0) throw new RangeError("The list holds no clip: there is nothing to prepare");
  if (!Number.isSafeInteger(parallel) || parallel < 1) {
    throw new RangeError(`Views decoded at a time are 1 or more: found ${parallel}`);
  }
  const { data, run } = settings;
  const began = now(), rules = rulesOfViews(settings), limit = badClipLimit(data.maxBad, clips.length);
  using set = openSet(options);
  const missing = await resume(options, set, limit);
  const bad = listBadClips(set, without(set.shards, missing)), badItems = new Set(bad.map(({ item }) => item));
  let done = set.rows - missing.reduce((rows, shard) => rows + set.span(shard).rows, 0);
  const report = () => {
    options.onProgress?.(done, badItems.size, set.rows);
    if (badItems.size > limit) throw new TooManyBadClipsError(bad, data.maxBad, clips.length);
  };
  report();
  const onView = (refused: BadClip | undefined) => {
    if (refused !== undefined) {
      bad.push(refused);
      badItems.add(refused.item);
    }
    done++;
    report();
  };
  const { decoder } = options;
  await decodeShards({ set, shards: missing, clips, rules, seed: run.seed, decoder, parallel, signal, onView });
  return {
    folder: set.folder,
    configSha256: set.configSha256,
    clips: clips.length,
    badClips: badItems.size,
    bad: bad.sort((a, b) => a.row - b.row),
    shards: set.shards,
    bytes: writeManifest(set).bytes,
    seconds: (now() - began) / 1000,
  };
}

/** The set of these settings. */
function openSet({ list, split, settings, cache }: PrepareOptions): FramesSet {
  return createFramesSet(cache, framesConfig(list, split, settings));
}

/** What decides the bytes of the views of a list: whatever changes them changes the folder of their set. */
export function framesConfig(
  list: Omit<PrepareOptions["list"], "clips"> & { readonly clips: { readonly length: number } },
  split: string,
  settings: PrepareSettings,
): FramesConfigInput {
  const { data, clip, run } = settings;
  const rules = rulesOfViews(settings), [first] = rules as [ViewRules], { grid, cube } = viewShape(first);
  const [alike, ...others] = rules.map(({ sampling, crop }) => ({ sampling: { ...sampling }, crop: { ...crop } }));
  return {
    dataset: list.format,
    split,
    items: list.clips.length,
    views: rules.length,
    rowsPerShard: clip.rowsPerShard,
    grid,
    cube,
    provenance: {
      list: list.sha256,
      decoder: data.decoder,
      ...(settings.test ? { views: [alike!, ...others] } : alike),
      size: first.size,
      seed: drawsNeeded(first) > 0 ? run.seed : null,
    },
  };
}

/** Brings the folder into order. @returns Shards to make: those that are missing, damaged, or hold a mended clip. */
async function resume({ list: { clips }, warn }: PrepareOptions, set: FramesSet, limit: number): Promise<number[]> {
  const bad = listBadClips(set, without(set.shards, set.missing()));
  const tooMany = new Set(bad.map(({ item }) => item)).size > limit;
  const byShard = Map.groupBy(bad, ({ row }) => set.shardOf(row));
  const stale = (shard: number) => {
    for (const { item, name, reason, fileBytes: before } of byShard.get(shard) ?? []) {
      if (fileBytes(clips[item]!.path) !== before) return `${name} was ${reason}, its file has changed`;
      if (tooMany && PASSING.includes(reason)) return `${name} was ${reason} and is tried again`;
    }
    return undefined;
  };
  const report = await resumeSet(set, { stale });
  for (const { shard, problem } of [...report.damaged, ...report.stale]) {
    warn?.(`Frame shard ${shard} is made again: ${problem}`);
  }
  return report.missing;
}

function without(length: number, excluded: readonly number[]): number[] {
  return Array.from({ length }, (_, i) => i).filter((i) => !excluded.includes(i));
}
