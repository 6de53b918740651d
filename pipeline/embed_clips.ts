/** Features of many clips as one array: what `deno task embed` writes to a file, for a program. */
import { sizeOf } from "../models/tensor/mod.ts";
import { type EmbedFailure, embedInto } from "./embed.ts";
import { type Progress, silentProgress } from "./progress.ts";
import { resolveSettings } from "./settings.ts";

/** What to embed, and with what. */
export interface EmbedClipsOptions {
  /** A run, a folder of `deno task export`, or a file of weights. */
  readonly from: string;
  /** Videos. @default the clips of `settings.data` */
  readonly files?: readonly string[];
  /**
   * Flags of `deno task embed` without dashes, such as `{ size: 112, lanes: 4, "max-bad": "5%" }`. @default those of the
   * run or folder, else of the published network of its width
   */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** Every token of the last block after the encoder's norm, in the place of their mean. @default false */
  readonly tokens?: boolean;
  readonly signal?: AbortSignal;
  /** @default nobody is shown any */
  readonly progress?: Progress;
  /** Receives a sentence about what is done otherwise than asked for. @default nobody is told */
  readonly warn?: (message: string) => void;
}

/** Features of clips. */
export interface EmbeddedClips {
  /** `[clips, width]`, or `[clips, tokens, width]`. */
  readonly shape: readonly number[];
  /** By `shape`, row-major; the row of a clip that could not be decoded is NaN throughout. */
  readonly features: Float32Array;
  /** Of the clips, in the order of the rows. */
  readonly names: readonly string[];
  /** Class of every clip, null where the list has none or there is no list. */
  readonly labels: readonly (number | null)[];
  /** Clips that could not be decoded, and why. */
  readonly bad: readonly EmbedFailure[];
}

/**
 * Embeds many clips: decoders work side by side in processes of their own while the network is at work on the clips before.
 * All features are held in memory; `deno task embed` writes them to a file instead.
 *
 * @throws {SettingsError} if no clips are named or a setting cannot be used
 * @throws {TooManyFailuresError} if more clips cannot be decoded than the setting `max-bad` allows
 * @throws the signal's reason when it is aborted
 *
 * @example Two clips, one of them broken
 * ```ts
 * import { embedClips } from "./embed_clips.ts";
 * import { assert, assertEquals } from "@std/assert";
 *
 * // A small network, which no config.json describes.
 * const { shape, features, bad } = await embedClips({
 *   from: "tests/fixtures/golden/videomae-pretrain-hf.safetensors",
 *   files: ["tests/fixtures/clips/colours.webm", "README.md"],
 *   settings: { "student-heads": 4, frames: 8, size: 32, stride: 1, "max-bad": 1 },
 * });
 * const [clips, width] = shape;
 * assertEquals([clips, features.length], [2, 2 * width!]);
 * assert(features.subarray(0, width).every(Number.isFinite));
 * assert(features.subarray(width).every(Number.isNaN));
 * assertEquals(bad.map(({ name }) => name), ["README.md"]);
 * ```
 */
export async function embedClips(options: EmbedClipsOptions): Promise<EmbeddedClips> {
  const { from, files = [], settings = {}, tokens = false, progress = silentProgress, warn = () => {} } = options;
  const { signal = new AbortController().signal } = options;
  const flags = Object.fromEntries(Object.entries(settings).map(([flag, value]) => [flag, String(value)]));
  const resolved = resolveSettings({ flags: { ...flags, student: from }, withoutData: true });
  let names: readonly string[] = [], labels: EmbeddedClips["labels"] = [], features = new Float32Array();
  const { shape, bad } = await embedInto({ resolved, files, tokens, signal, progress, warn }, (rows) => {
    ({ names, labels } = rows);
    features = new Float32Array(names.length * sizeOf(rows.shape)).fill(NaN);
    return { write: (row, values) => features.set(values, row * values.length), [Symbol.dispose]: () => {} };
  });
  return { shape, features, names, labels, bad };
}
