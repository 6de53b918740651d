/** How many clips a planned run has, and what their shards will weigh, byte for byte. */
import { DIGIT_CLASSES, digitClipName } from "../decoders/lists/digits.ts";
import { FASHION_CLASSES, fashionPictureName } from "../decoders/lists/fashion_mnist.ts";
import { presets } from "./presets/mod.ts";
import { type ResolvedSettings, type Settings, SettingsError } from "./settings.ts";
import { configHash } from "./shards/config_hash.ts";
import { featureFormat } from "./shards/feature_format.ts";
import { featuresConfigFor, plannedFeatureShardBytes, type TeacherSettings } from "./shards/feature_shards.ts";
import { frameFormat } from "./shards/frame_format.ts";
import { plannedFrameShardBytes } from "./shards/frame_shards.ts";
import { shardSpan } from "./shards/shard_format.ts";
import { readClipSources } from "./stages/clip_sources.ts";
import { framesConfig } from "./stages/prepare.ts";
import { validation } from "./stages/prepare_splits.ts";

/** Clips of one part. */
export interface PlannedPart {
  readonly clips: number;
  /** Clips with a label. */
  readonly labelled: number;
  readonly format: string;
  /** UTF-8 bytes of a clip's name. */
  readonly nameBytes: (item: number) => number;
}

/** What a run works on. */
export interface PlannedData {
  /** Where the numbers come from, for people. */
  readonly source: string;
  /** Whether the clips are only supposed to be there. */
  readonly isSupposed: boolean;
  readonly train: PlannedPart;
  readonly val: PlannedPart | undefined;
  readonly classes: number;
}

/** Digits of a SHA-256: hashes that are not known yet stand as zeros, which weigh the same. */
const UNKNOWN_SHA256 = "0".repeat(64);
/** Names and classes of the clips of each demo. */
const DEMOS = {
  "digits": { clipName: digitClipName, classes: DIGIT_CLASSES.length },
  "fashion-mnist": { clipName: fashionPictureName, classes: FASHION_CLASSES.length },
};

/**
 * Finds the clips: those of the list, or as many as are asked for, or as many as the recipe's data set has, or the demo's.
 *
 * @param clips Training clips where no list is named.
 * @throws {SettingsError} if clips are asked for beside a list or the demo
 */
export async function plannedData({ settings, preset }: ResolvedSettings, clips?: number): Promise<PlannedData> {
  const { data, demo } = settings;
  const recipe = preset === null ? undefined : presets.get(preset);
  if (data.data !== null) {
    if (clips !== undefined) throw new SettingsError(["--clips is for plans without --data: take --limit instead"]);
    return await listedData(settings);
  }
  const published = recipe?.published;
  if (!published) {
    if (clips !== undefined) throw new SettingsError(["--clips is for plans of your own clips: take --train-clips"]);
    const { clipName, classes } = DEMOS[demo.kind];
    const part = (name: "train" | "val", clips: number): PlannedPart => ({
      clips,
      labelled: clips,
      format: "videomae",
      nameBytes: (item) => clipName(name, item).length,
    });
    return {
      source: "the demo",
      isSupposed: false,
      train: part("train", demo.trainClips),
      val: part("val", demo.valClips),
      classes,
    };
  }
  const { nameBytes, format, classes } = published;
  const part = (clips: number) => ({ clips, labelled: clips, format, nameBytes: () => nameBytes });
  const held = clips === undefined ? published.valClips : Math.floor(clips * data.valShare);
  return {
    source: clips === undefined ? `the published size, names of ${nameBytes} bytes` : "--clips",
    isSupposed: true,
    train: part(clips === undefined ? published.trainClips : clips - held),
    val: held > 0 ? part(held) : undefined,
    classes,
  };
}

async function listedData(settings: Settings): Promise<PlannedData> {
  const { train, val, classes } = await readClipSources({ settings }, undefined);
  const utf8 = new TextEncoder();
  const part = ({ clips, format }: NonNullable<typeof val>): PlannedPart => ({
    clips: clips.length,
    labelled: clips.filter(({ label }) => label !== null).length,
    format,
    nameBytes: (item) => utf8.encode(clips[item]!.name).length,
  });
  return {
    source: settings.data.data!,
    isSupposed: false,
    train: part(train),
    val: val && part(val),
    classes: classes.length,
  };
}

/** Shard files of a part. */
export interface PlannedShards {
  readonly rows: number;
  readonly shards: number;
  readonly frameBytes: number;
  /** With this teacher; 0 without one. */
  readonly featureBytes: number;
}

/**
 * Bytes of the shard files of a part, sidecars not counted.
 *
 * @param teacher What the features will be of; undefined if none are kept.
 */
export function plannedShards(
  part: PlannedPart,
  split: "train" | "val",
  settings: Settings,
  teacher: TeacherSettings | undefined,
): PlannedShards {
  const own = split === "val" ? validation(settings) : settings;
  const list = { clips: { length: part.clips }, sha256: UNKNOWN_SHA256, format: part.format };
  const config = frameFormat.parse(framesConfig(list, split, own));
  const features = teacher && featuresConfigFor({ config, configSha256: configHash(config) }, teacher);
  const { views } = config, rows = part.clips * views, shards = Math.ceil(rows / config.rowsPerShard);
  let frameBytes = 0, featureBytes = 0;
  for (let shard = 0; shard < shards; shard++) {
    const { row0, rows } = shardSpan(config, shard);
    let names = 0;
    for (let row = row0; row < row0 + rows; row++) names += part.nameBytes(Math.floor(row / views));
    frameBytes += plannedFrameShardBytes(config, shard, names);
    if (features) featureBytes += plannedFeatureShardBytes(featureFormat.parse(features), shard);
  }
  return { rows, shards, frameBytes, featureBytes };
}
