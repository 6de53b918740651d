/**
 * Which clips a run trains and validates on: the embedded demo, or a list of the user's, with a validation list beside
 * it or a share of its clips held back.
 */
import type { ListedClip } from "../../decoders/lists/clip_list.ts";
import { uniform } from "../random.ts";
import { resultSettings, SettingsError } from "../settings.ts";
import { configFolder, sha256Hex } from "../shards/config_hash.ts";
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
export function demoFolder({ settings }: StageContext): string {
  return join(settings.run.cache, "demo", configFolder(resultSettings(settings, "demo")));
}

/**
 * The clips of a run.
 *
 * @param demo The demo's lists, where the run uses it.
 * @throws {ListError} if a list cannot be read
 */
export async function readClipSources(
  context: Pick<StageContext, "settings">,
  demo: DemoResult | undefined,
): Promise<ClipSources> {
  const { data } = context.settings;
  const { readClipList } = await import("../../decoders/lists/clip_list.ts");
  const format = demo ? "videomae" : data.format;
  const root = demo?.folder ?? data.videos;
  const list = demo?.train ?? data.data!;
  const valList = demo?.val ?? data.val;
  const train = await readClipList({ list, root, format });
  const val = valList === null
    ? undefined
    : await readClipList({ list: valList, root, format, classes: train.classes });
  const clips = data.limit > 0 && !demo ? train.clips.slice(0, data.limit) : train.clips;
  const [kept, held] = val ? [clips, val.clips] : holdBack(clips, data.valShare, context.settings.run.seed);
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

function split(name: "train" | "val", clips: readonly ListedClip[], format: string): ClipSplit {
  const text = clips.map((clip) => JSON.stringify([clip.name, clip.label])).join("\n");
  return { name, clips, format, sha256: sha256Hex(text) };
}

/** A class for every label that occurs. */
function classNames(names: readonly string[] | null, clips: readonly ListedClip[]): string[] {
  const largest = clips.reduce((most, { label }) => Math.max(most, label ?? -1), -1);
  if (names && largest >= names.length) {
    throw new SettingsError([`A clip has label ${largest}, but the list names ${names.length} classes`]);
  }
  return names ? [...names] : Array.from({ length: largest + 1 }, (_, label) => String(label));
}
