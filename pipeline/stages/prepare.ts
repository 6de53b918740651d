/**
 * Prepares a list of clips: every view is decoded once into frame shards. What a view shows is a pure function of list,
 * settings and seed; shards have the same bytes however many clips are decoded at a time and however many processes or
 * hosts share the work, which they deal out by claims (`shards/claims.ts`). An interrupted stage goes on with the rows
 * that are missing.
 *
 * A clip that cannot be decoded keeps its row, marked and recorded with the reason, and is decoded again when its file
 * has changed. Good clips are known by their names: videos replaced by others of the same names are not noticed.
 */
import { type ClipDecoder, drawsNeeded } from "../../decoders/decoder.ts";
import type { ListedClip } from "../../decoders/lists/clip_list.ts";
import { badClipLimit, type Settings } from "../settings.ts";
import { type BadClip, badClipsPath, gatherBadClips } from "../shards/bad_clips.ts";
import { type ClaimOwner, Claims, type ClaimsOptions } from "../shards/claims.ts";
import type { FramesConfigInput } from "../shards/frame_format.ts";
import { createFramesSet, type FramesSet } from "../shards/frame_shards.ts";
import { writeManifest } from "../shards/manifest.ts";
import { adoptOrSetAside } from "../shards/resume.ts";
import { tidyFramesSet } from "../shards/tidy.ts";
import { listBadClips } from "../shards/view_records.ts";
import { claimShards, type ShardWork } from "./_claimed_shards.ts";
import { decodeShards, PASSING } from "./_decode_shards.ts";
import { fileBytes } from "./file_bytes.ts";
import { type Part, shardsOfPart } from "./part.ts";
import { TooManyBadClipsError } from "./too_many_bad_clips.ts";
import { rulesOfViews, type ViewRules, type ViewSettings, viewShape } from "./view_rules.ts";

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
  /** Makes this part of the shards and waits for no other. @default all shards, those that others make included */
  readonly part?: Part | undefined;
  /** Decodes every bad clip once more, whether its file has changed or not. @default false */
  readonly retryBad?: boolean | undefined;
  /** Stops after the views at hand; finished rows stay. */
  readonly signal?: AbortSignal;
  /** Told at the start and after every view: views done, bad clips, views to make. */
  readonly onProgress?: (done: number, bad: number, total: number) => void;
  /** Told, once, when others hold all shards that are left. */
  readonly onWait?: (shards: number, owner: ClaimOwner | undefined) => void;
  /** Receives a sentence about every shard that is made again. */
  readonly warn?: (message: string) => void;
  /** Clock, ms. @default performance.now */
  readonly now?: () => number;
  /** How claims of others are watched. */
  readonly claims?: ClaimsOptions;
}

/** What {@linkcode prepareFrames} made or found. */
export interface PreparedFrames {
  /** Folder of the set. */
  readonly folder: string;
  readonly configSha256: string;
  /** Clips in the list. */
  readonly clips: number;
  /** Clips with a view that could not be decoded, as far as shards are there. */
  readonly badClips: number;
  /** These views, by row. */
  readonly bad: BadClip[];
  /** Shards of the set. */
  readonly shards: number;
  /** Shards that other parts have yet to make: 0 unless a part was asked for. */
  readonly missing: number;
  /** Of all shard files that are there. */
  readonly bytes: number;
  readonly seconds: number;
}

/**
 * Makes the frame set of a list, or what is missing of it. Several processes may do so at a time.
 *
 * @param options Clips, settings and decoder.
 * @returns The complete set, or what there is of it after a part.
 * @throws {TooManyBadClipsError} If more clips are bad than the settings allow (exit code 3), as soon as that is known.
 * @throws {RangeError} If the list is empty or nothing may be decoded at a time.
 * @throws The signal's reason, after the views at hand.
 */
export async function prepareFrames(options: PrepareOptions): Promise<PreparedFrames> {
  const { list: { clips }, settings, parallel, decoder, signal, part, retryBad = false } = options;
  const { now = () => performance.now() } = options;
  if (clips.length === 0) throw new RangeError("The list holds no clip: there is nothing to prepare");
  if (!Number.isSafeInteger(parallel) || parallel < 1) {
    throw new RangeError(`Views decoded at a time are 1 or more: found ${parallel}`);
  }
  const { data, run } = settings;
  const began = now(), rules = rulesOfViews(settings);
  using set = openSet(options);
  using claims = new Claims(set.folder, options.claims);
  const all = Array.from({ length: set.shards }, (_, shard) => shard);
  const mine = part ? shardsOfPart(set.shards, part) : all;
  const absent = new Set(set.missing()), again = redoing(options, set, without(all, absent));
  const workOn = (shard: number): Redo | undefined => set.problem(shard) === undefined ? again(shard) : {};
  const left = mine.filter((shard) => absent.has(shard) || again(shard) !== undefined);
  const count = new Count(set, options, mine, left);
  const repair = (shard: number) => repairShard(options, set, shard, again);
  const { onWait } = options;
  try {
    count.report();
    await decodeShards({
      set,
      claimed: (stop) =>
        claimShards({
          shards: left,
          claims,
          signal: stop,
          workOn,
          repair,
          onDone: (shard) => count.addShard(shard),
          onWait,
        }),
      clips,
      rules,
      seed: run.seed,
      decoder,
      parallel,
      signal,
      retryBad,
      onView: (bad) => count.addView(bad),
    });
  } catch (error) {
    if (error instanceof TooManyBadClipsError) gatherBadClips(set.folder, error.bad);
    throw error;
  }
  const missing = part ? set.missing() : [];
  const there = without(all, new Set(missing)), bad = listBadClips(set, there);
  if (missing.length === 0) {
    gatherBadClips(set.folder, bad);
    writeManifest(set);
    tidyFramesSet(set, claims);
  }
  const badClips = new Set(bad.map(({ item }) => item)).size;
  if (badClips > badClipLimit(data.maxBad, clips.length)) {
    throw new TooManyBadClipsError(bad, data.maxBad, clips.length, badClipsPath(set.folder));
  }
  return {
    folder: set.folder,
    configSha256: set.configSha256,
    clips: clips.length,
    badClips,
    bad,
    shards: set.shards,
    missing: missing.length,
    bytes: there.reduce((sum, shard) => sum + set.sidecar(shard).bytes, 0),
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

/** How far the work is: views in their places, and bad clips of the whole set as far as they are known. */
class Count {
  readonly #bad: BadClip[];
  readonly #badItems: Set<number>;
  readonly #limit: number;
  readonly #total: number;
  #done: number;

  /**
   * @param mine Shards whose views are counted.
   * @param left Those of them that are still to be made.
   */
  constructor(
    readonly set: FramesSet,
    readonly options: PrepareOptions,
    mine: readonly number[],
    left: readonly number[],
  ) {
    const { list: { clips }, settings: { data } } = options;
    const rows = (shards: readonly number[]) => shards.reduce((sum, shard) => sum + set.span(shard).rows, 0);
    this.#limit = badClipLimit(data.maxBad, clips.length);
    this.#total = rows(mine);
    this.#done = rows(mine) - rows(left);
    this.#bad = listBadClips(set, without(mine, new Set(left)));
    this.#badItems = new Set(this.#bad.map(({ item }) => item));
  }

  addView(bad: BadClip | undefined): void {
    this.#done++;
    this.#note(bad ? [bad] : []);
  }

  /** A shard that another process has made. */
  addShard(shard: number): void {
    this.#done += this.set.span(shard).rows;
    this.#note(listBadClips(this.set, [shard]));
  }

  /** @throws {TooManyBadClipsError} */
  report(): void {
    const { list: { clips }, settings: { data }, onProgress } = this.options;
    onProgress?.(this.#done, this.#badItems.size, this.#total);
    if (this.#badItems.size > this.#limit) {
      throw new TooManyBadClipsError(this.#bad, data.maxBad, clips.length, badClipsPath(this.set.folder));
    }
  }

  #note(bad: readonly BadClip[]): void {
    this.#bad.push(...bad);
    for (const { item } of bad) this.#badItems.add(item);
    this.report();
  }
}

/** Rows that are decoded once more, and why. */
type Redo = ShardWork & { readonly why?: string };

/**
 * Says which bad clips of a shard that is there are decoded once more; undefined if none are.
 *
 * @param there Shards that are there now.
 */
function redoing(
  { list: { clips }, settings: { data }, retryBad, part }: PrepareOptions,
  set: FramesSet,
  there: readonly number[],
): (shard: number) => Redo | undefined {
  const bad = listBadClips(set, there);
  const limit = badClipLimit(data.maxBad, clips.length);
  const tooMany = part === undefined && new Set(bad.map(({ item }) => item)).size > limit;
  const why = ({ item, name, reason, fileBytes: before }: BadClip) => {
    if (fileBytes(clips[item]!.path) !== before) return `${name} was ${reason}, its file has changed`;
    return retryBad || (tooMany && PASSING.includes(reason)) ? `${name} was ${reason} and is tried again` : undefined;
  };
  return (shard) => {
    const again = listBadClips(set, [shard]).flatMap((clip) => {
      const reason = why(clip);
      return reason === undefined ? [] : [{ row: clip.row, reason }];
    });
    const [first] = again;
    return first && { redo: new Set(again.map(({ row }) => row)), why: first.reason };
  };
}

/** Completes a shard that lacks only its sidecar, sets a damaged one aside, and says why one is made again. */
async function repairShard(
  { warn }: PrepareOptions,
  set: FramesSet,
  shard: number,
  again: (shard: number) => Redo | undefined,
): Promise<void> {
  const report = { adopted: [], damaged: [] as { shard: number; problem: string }[] };
  const isThere = set.problem(shard) === undefined || await adoptOrSetAside(set, shard, report);
  const problem = isThere ? again(shard)?.why : report.damaged[0]?.problem;
  if (problem !== undefined) warn?.(`Frame shard ${shard} is made again: ${problem}`);
}

function without(all: readonly number[], excluded: ReadonlySet<number>): number[] {
  return all.filter((shard) => !excluded.has(shard));
}
