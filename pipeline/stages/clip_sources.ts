/**
 * Which clips a run trains and validates on: the embedded demo, or a list of the user's, with a validation list in it or
 * beside it or a share of its clips held back.
 */
import { createHash } from "node:crypto";
import type { ClipList, ClipLists } from "../../decoders/lists/clip_list.ts";
import { clipRecord, type ListedClip } from "../../decoders/lists/listed_clip.ts";
import { uniform } from "../random.ts";
import { resultSettings, SettingsError } from "../settings.ts";
import { printable } from "../report/printable.ts";
import { formatAmount } from "../units.ts";
import { configFolder } from "../shards/config_hash.ts";
import { join } from "node:path";
import type { StageContext } from "./stage_context.ts";

/** Clips of one part of a data set. */
export interface ClipSplit {
  readonly name: "train" | "val";
  readonly clips: readonly ListedClip[];
  readonly format: string;
  /** Hash of the names and labels, in order. */
  readonly sha256: string;
}

/** All clips of a run. */
export interface ClipSources {
  readonly train: ClipSplit;
  /** Undefined if nothing is held back. */
  readonly val: ClipSplit | undefined;
  /** Names of the classes, or their numbers where the list has no names; empty if there are no labels. */
  readonly classes: readonly string[];
}

/** What the demo stage leaves behind. */
export type DemoResult = {
  folder: string;
  train: string;
  val: string;
  clips: number;
};

/** Where the demo of these settings lies. */
export function demoFolder({ settings }: Pick<StageContext, "settings">): string {
  return join(settings.run.cache, "demo", configFolder(resultSettings(settings, "demo")));
}

/**
 * The clips of a run.
 *
 * @param context Settings, and where to say what was found in the user's list; a demo needs no words.
 * @param demo The demo's lists, where the run uses it.
 * @throws {ListError} if a list cannot be read
 */
export async function readClipSources(
  context: Pick<StageContext, "settings"> & Partial<Pick<StageContext, "print">>,
  demo: DemoResult | undefined,
): Promise<ClipSources> {
  const { data } = context.settings;
  const { readClipLists } = await import("../../decoders/lists/clip_list.ts");
  const lists = await readClipLists({
    list: demo?.train ?? data.data!,
    val: demo?.val ?? data.val,
    root: demo?.folder ?? data.videos,
    format: demo ? "videomae" : data.format,
  });
  const { train, val } = lists;
  const clips = data.limit > 0 && !demo ? train.clips.slice(0, data.limit) : train.clips;
  const [kept, held] = val ? [clips, val.clips] : holdBack(clips, data.valShare, context.settings.run.seed);
  if (!demo) { for (const line of listLines(lists, held.length)) context.print?.(line); }
  return {
    train: split("train", kept, train.format),
    val: held.length > 0 ? split("val", held, val?.format ?? train.format) : undefined,
    classes: classNames(train.classes ?? val?.classes ?? null, [...kept, ...held]),
  };
}

/** Holds a share of the clips back, at least one of two: those with the smallest draws, whatever their order. */
function holdBack(clips: readonly ListedClip[], share: number, seed: number): [ListedClip[], ListedClip[]] {
  const count = clips.length < 2 || share === 0 ? 0 : Math.max(1, Math.floor(clips.length * share));
  const draws = clips.map(({ name }) => uniform(seed, "validation clip", name));
  const held = new Set(
    draws.map((draw, i) => ({ draw, i })).sort((a, b) => a.draw - b.draw).slice(0, count).map((d) => d.i),
  );
  return [clips.filter((_, i) => !held.has(i)), clips.filter((_, i) => held.has(i))];
}

function split(name: ClipSplit["name"], clips: readonly ListedClip[], format: string): ClipSplit {
  const hash = createHash("sha256");
  clips.forEach((clip, i) => hash.update(i === 0 ? clipRecord(clip) : `\n${clipRecord(clip)}`));
  return { name, clips, format, sha256: hash.digest("hex") };
}

/** What was found in the lists, for the user. */
function listLines({ train, val, valOrigin }: ClipLists, held: number): string[] {
  const origin = { "named": "", "found": ", found beside it", "same-list": ", the same list" };
  return [
    `list       ${describe(train, "")}`,
    valOrigin === null
      ? `validation ${formatAmount(held, "clip")} held back`
      : `validation ${describe(val!, origin[valOrigin])}`,
  ];
}

function describe({ list, format, clips, classes, split, missing }: ClipList, origin: string): string {
  const labels = classes === null ? "" : `, ${formatAmount(classes.length, "class", "classes")}`;
  const gone = missing ? `; ${formatAmount(missing, "file")} of the list not there` : "";
  return `${printable(list)}${origin} (${format}): ${formatAmount(clips.length, "clip")}${labels}` +
    `${split === null ? "" : `, split "${split}"`}${gone}`;
}

/** A class for every label that occurs. */
function classNames(names: readonly string[] | null, clips: readonly ListedClip[]): string[] {
  const largest = clips.reduce((most, { label }) => Math.max(most, label ?? -1), -1);
  if (names && largest >= names.length) {
    throw new SettingsError([`A clip has label ${largest}, but the list names ${names.length} classes`]);
  }
  return names ? [...names] : Array.from({ length: largest + 1 }, (_, label) => String(label));
}
