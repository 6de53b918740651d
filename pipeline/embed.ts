/**
 * Features of any clips for other programs: a pre-trained encoder sees the middle of every clip of a list, all its tokens,
 * and their mean or the tokens themselves become rows, of a file or of whatever takes them. Clips that cannot be decoded
 * keep their row, are named and counted, and too many of them leave no file.
 */
import os from "node:os";
import { CorruptClipError, type DecodeRequest } from "../decoders/decoder.ts";
import { DecoderLanes } from "../decoders/lanes.ts";
import { type ListedClip, readClipList } from "../decoders/lists/clip_list.ts";
import { openEngine } from "../models/runtime/open_engine.ts";
import { tokensOf } from "../models/shapes.ts";
import { ClipEncoder } from "./clip_encoder.ts";
import { presets } from "./presets/mod.ts";
import type { Progress } from "./progress.ts";
import { quiet } from "./quiet.ts";
import { badClipLimit, describeFlags, type ResolvedSettings, SettingsError } from "./settings.ts";
import { FeatureTable, type TableRows } from "./shards/feature_table.ts";
import { clipRequest } from "./stages/clip_request.ts";
import { weightsFile, withStudentSizes } from "./stages/student.ts";
import { rulesOfViews } from "./stages/view_rules.ts";
import { formatAmount } from "./units.ts";

/** Bad clips that a message names. */
const NAMED = 5;

/** What to embed. */
export interface EmbedOptions {
  /** `student.weights` is the encoder; sizes and frame rule of a run's own are taken where none are named. */
  readonly resolved: ResolvedSettings;
  /** Files to embed. @default the clips of `data.data` */
  readonly files: readonly string[];
  /** A row for every token instead of their mean. @default false */
  readonly tokens?: boolean;
  readonly signal: AbortSignal;
  readonly progress: Progress;
  readonly warn: (line: string) => void;
}

/** What takes the rows. */
export interface EmbedSink extends Disposable {
  readonly write: (row: number, features: Float32Array) => void;
}

/** What was embedded. */
export interface EmbedResult {
  readonly clips: number;
  /** Of the features, clips first. */
  readonly shape: readonly number[];
  readonly bad: readonly EmbedFailure[];
}

/** A clip that could not be decoded. */
export interface EmbedFailure {
  readonly name: string;
  readonly reason: string;
}

/** More clips than allowed could not be decoded: no file was written (exit code 3). */
export class TooManyFailuresError extends Error {
  override readonly name = "TooManyFailuresError";
  readonly exitCode = 3;

  constructor(readonly bad: readonly EmbedFailure[], maxBad: string, clips: number) {
    const rest = bad.length - NAMED;
    super([
      `${formatAmount(bad.length, "clip")} of ${clips} cannot be decoded, --max-bad ${maxBad} allows ` +
      `${badClipLimit(maxBad, clips)}:`,
      ...bad.slice(0, NAMED).map(({ name, reason }) => `  ${name}: ${reason}`),
      ...(rest > 0 ? [`  and ${rest} more`] : []),
      "Mend these files or take them off the list, or allow more with --max-bad; nothing was written",
    ].join("\n"));
  }
}

/**
 * Embeds clips into a file.
 *
 * @param out Ends in `.h5` or `.npy`.
 * @throws {SettingsError} if no encoder or no clips are named
 * @throws {TooManyFailuresError} if too many cannot be decoded
 * @throws the signal's reason when it is aborted
 */
export async function embedToFile(options: EmbedOptions, out: string): Promise<EmbedResult & { out: string }> {
  const result = await embedInto(options, (rows) => new FeatureTable(out, rows), (table) => table.finish());
  return { out, ...result };
}

/**
 * Embeds clips.
 *
 * @param sinkOf Opens what takes the rows, in any order; told of names and shape before the first clip is decoded.
 * @param finish Called with it when all rows are there but those of clips that could not be decoded.
 * @throws as {@linkcode embedToFile}
 */
export async function embedInto<Sink extends EmbedSink>(
  options: EmbedOptions,
  sinkOf: (rows: TableRows) => Sink,
  finish: (sink: Sink) => void = () => {},
): Promise<EmbedResult> {
  const { tokens = false, signal, progress, warn } = options;
  const resolved = await withStudentSizes(withoutDemo(options.resolved), { clips: true });
  const { settings, origins } = resolved, { student, data, clip, run, finetune } = settings;
  if (student.weights === null) throw new SettingsError(["--from is missing: name a run or a file of weights"]);
  const clips = await clipsOf(options, settings);
  const isTold = (path: string) => ["flag", "file"].includes(origins[path]!);
  const batch = Math.min(finetune.evalBatch, clips.length);
  await using engine = await openEngine({ engine: run.engine, device: run.device, warn });
  await using encoder = await ClipEncoder.open(await weightsFile(student.weights, warn), {
    ...(isTold("student.heads") && { heads: student.heads }),
    ...(isTold("clip.frames") && { frames: clip.frames }),
    ...(isTold("clip.size") && { size: clip.size }),
    batch,
    engine,
  });
  const { grid, cube } = encoder, frames = grid.slots * cube.tubelet, size = grid.rows * cube.patch;
  const [rule] = rulesOfViews({
    clip: { ...clip, ...cube, frames, size },
    data: { views: 1 },
    test: { segments: 1, crops: 1 },
  });
  const { width } = encoder.encoder;
  // A class token stands in front.
  const rows = tokensOf(grid) + (encoder.form === "mae" ? 1 : 0);
  const shape = tokens ? [rows, width] : [width];
  using sink = sinkOf({
    names: clips.map(({ name }) => name),
    labels: clips.map(({ label }) => label),
    shape,
    attributes: {
      schema: "tubelet-embedding/1",
      kind: tokens ? "tokens" : "pooled",
      weights: student.weights,
      grid: `${grid.slots} x ${grid.rows} x ${grid.columns}`,
      frames: `${frames} ${rule!.sampling.kind}, ${size} x ${size}`,
    },
  });
  const lanes = data.lanes || os.availableParallelism();
  await using decoder = new DecoderLanes({
    lanes,
    decoder: data.decoder,
    deadlineMs: data.deadline * 1000,
    signal,
  });
  using bar = progress.begin("embed", clips.length, "clips");
  const bad: EmbedFailure[] = [], allowed = badClipLimit(data.maxBad, clips.length);
  const decodedFrom = (start: number) =>
    quiet(Promise.all(
      clips.slice(start, start + batch).map(async (clip) => {
        const request: DecodeRequest = { ...rule!, ...clipRequest(clip), draws: [] };
        try {
          return (await decoder.decode(request)).cubes;
        } catch (error) {
          if (!(error instanceof CorruptClipError)) throw error;
          return { name: clip.name, reason: `${error.reason}: ${error.detail}` };
        }
      }),
    ));
  // The next clips are decoded while the network is at work on these.
  let next = decodedFrom(0);
  for (let start = 0; start < clips.length; start += batch) {
    const found = await next;
    signal.throwIfAborted();
    next = decodedFrom(start + batch);
    const good = found.flatMap((cubes, i) => cubes instanceof Uint8Array ? [{ row: start + i, cubes }] : []);
    bad.push(...found.flatMap((cubes) => cubes instanceof Uint8Array ? [] : [cubes]));
    if (bad.length > allowed) throw new TooManyFailuresError(bad, data.maxBad, clips.length);
    const embedded = await encoder.embed(good.map(({ cubes }) => cubes));
    good.forEach(({ row }, i) => sink.write(row, embedded[i]![tokens ? "tokens" : "features"]));
    bar.update(start + found.length, bad.length > 0 ? { note: `${bad.length} bad` } : {});
  }
  finish(sink);
  return { clips: clips.length, shape: [clips.length, ...shape], bad };
}

/** Without a list a demo's preset is taken, whose clips these are not: its values give way to the defaults. */
function withoutDemo(resolved: ResolvedSettings): ResolvedSettings {
  const preset = resolved.preset === null ? undefined : presets.get(resolved.preset);
  if (preset?.needsData !== false || resolved.settings.data.data !== null) return resolved;
  const settings = structuredClone(resolved.settings), origins = { ...resolved.origins };
  for (const { path, group, default: value } of describeFlags()) {
    if (origins[path] !== "preset") continue;
    Object.assign(settings[group as keyof typeof settings], { [path.slice(group.length + 1)]: value });
    origins[path] = "default";
  }
  return { settings, origins, preset: null };
}

/** The files that are named, or the clips of the list. */
async function clipsOf(
  { files }: EmbedOptions,
  { data }: ResolvedSettings["settings"],
): Promise<readonly ListedClip[]> {
  if ((files.length > 0) === (data.data !== null)) {
    throw new SettingsError([
      files.length > 0
        ? "--data and files are two ways to name clips: take one"
        : "No clips: name files, or a list with --data",
    ]);
  }
  if (data.data === null) return files.map((path) => ({ name: path, path, label: null }));
  const { clips } = await readClipList({ list: data.data, root: data.videos, format: data.format });
  return data.limit > 0 ? clips.slice(0, data.limit) : clips;
}
