/**
 * A look at the data before anything is trained on it: some clips decoded as `prepare` would decode them, with the masks
 * that a run of the same settings would draw in its first epoch. Nothing is cached; clips that cannot be decoded are
 * shown with the reason.
 */
import os from "node:os";
import { type CubeLayout, cubeLayout } from "../decoders/cubes.ts";
import { CorruptClipError, type DecodedView } from "../decoders/decoder.ts";
import { DecoderLanes } from "../decoders/lanes.ts";
import type { ListedClip } from "../decoders/lists/listed_clip.ts";
import type { Progress } from "./progress.ts";
import { permutation } from "./random.ts";
import { type Settings, SettingsError } from "./settings.ts";
import { viewRequest } from "./stages/clip_request.ts";
import { type ClipSources, readClipSources } from "./stages/clip_sources.ts";
import { makeDemo } from "./stages/make_demo.ts";
import { validation } from "./stages/prepare_splits.ts";
import { maskSizes } from "./stages/stage_context.ts";
import { rulesOfViews, type ViewSettings } from "./stages/view_rules.ts";
import { amdInputs, teacherPositions } from "./training/mask_draws.ts";

/** What a preview needs. */
export interface PreviewOptions {
  readonly settings: Settings;
  /** Clips to show, at least 1. */
  readonly clips: number;
  /** Shows validation clips, as the evaluation sees them, in the place of those of the training. */
  readonly val: boolean;
  readonly signal: AbortSignal;
  readonly progress: Progress;
  /** Receives what was found in the list. */
  readonly print: (line: string) => void;
}

/** One clip of a preview. */
export interface PreviewClip {
  readonly name: string;
  readonly path: string;
  /** Its class in words, or null where the list has no labels. */
  readonly label: string | null;
  /** Which view of the clip, of how many. */
  readonly view: number;
  readonly views: number;
  /** What the model sees, or why there is nothing to see. */
  readonly seen: PreviewView | { readonly reason: string; readonly detail: string };
}

/** A decoded view with its masks. */
export interface PreviewView extends DecodedView {
  readonly layout: CubeLayout;
  /** Tokens that the student sees; tokens that only the teacher sees. */
  readonly studentTokens: Int32Array;
  readonly teacherOnlyTokens: Int32Array;
}

/** A preview, ready to be drawn. */
export interface Preview {
  readonly part: "train" | "val";
  /** Clips of this part of the list. */
  readonly listed: number;
  readonly classes: number;
  readonly settings: Settings;
  readonly clips: readonly PreviewClip[];
}

/**
 * Decodes a sample of clips, of as many classes as possible; the same settings and seed show the same clips.
 *
 * @throws {ListError} The list cannot be read.
 * @throws {SettingsError} There is no validation part, or the number of clips makes no sense.
 */
export async function previewClips(options: PreviewOptions): Promise<Preview> {
  const { settings, clips: count, signal, progress } = options;
  if (!Number.isSafeInteger(count) || count < 1 || count > 200) {
    throw new SettingsError([`--clips must be a whole number from 1 to 200, found ${count}`]);
  }
  const sources = await sourcesOf(options);
  const part = options.val ? sources.val : sources.train;
  if (part === undefined) throw new SettingsError(["No clip is held back for validation: name a list with --val"]);
  const rules = options.val ? validation(settings) : settings;
  const items = sample(part.clips, count, settings.run.seed);
  const lanes = settings.data.lanes || os.availableParallelism();
  const { decoder: kind, deadline } = settings.data;
  await using decoder = new DecoderLanes({ lanes, decoder: kind, deadlineMs: deadline * 1000, signal });
  using bar = progress.begin("preview", items.length, "clips");
  let done = 0;
  const clips = await Promise.all(items.map(async (item, i) => {
    const clip = await previewClip(decoder, rules, part.clips[item]!, item, i, sources.classes);
    bar.update(++done);
    return clip;
  }));
  return { part: part.name, listed: part.clips.length, classes: sources.classes.length, settings, clips };
}

async function sourcesOf({ settings, signal, progress, print }: PreviewOptions): Promise<ClipSources> {
  if (settings.data.data !== null) return await readClipSources({ settings, print }, undefined);
  return await readClipSources({ settings }, await makeDemo({ settings, signal, progress }));
}

/** Numbers of clips in the list's order: in a seeded order one of every class first, then others. */
function sample(clips: readonly ListedClip[], count: number, seed: number): number[] {
  const order = [...permutation(clips.length, seed, "preview")], seen = new Set<number | null>();
  const [first, others] = [[] as number[], [] as number[]];
  for (const item of order) {
    const { label } = clips[item]!;
    (seen.has(label) ? others : first).push(item);
    seen.add(label);
  }
  return [...first, ...others].slice(0, count).sort((a, b) => a - b);
}

async function previewClip(
  decoder: DecoderLanes,
  settings: Settings & Pick<ViewSettings, "test">,
  clip: ListedClip,
  item: number,
  place: number,
  classes: readonly string[],
): Promise<PreviewClip> {
  const rules = rulesOfViews(settings), views = rules.length, view = place % views, rule = rules[view]!;
  const { seed } = settings.run, { name, path, label } = clip;
  const facts = { name, path, label: label === null ? null : classes[label] ?? `${label}`, view, views };
  try {
    const decoded = await decoder.decode(viewRequest(clip, rules, view, seed));
    const sizes = maskSizes(settings), row = item * views + view;
    const tokens = amdInputs([{ row, epoch: 0 }], (row) => teacherPositions(sizes, seed, row), sizes, seed);
    const layout = cubeLayout(rule.sampling.frames, rule.size, rule.size, rule.tubelet, rule.patch);
    const studentTokens = tokens.get("student_tokens")!, teacherOnlyTokens = tokens.get("teacher_only_tokens")!;
    return { ...facts, seen: { ...decoded, layout, studentTokens, teacherOnlyTokens } };
  } catch (error) {
    if (!(error instanceof CorruptClipError)) throw error;
    return { ...facts, seen: { reason: error.reason, detail: error.detail } };
  }
}
