/**
 * Runs the frozen teacher once over every stored view and keeps the outputs of the aligned blocks in feature shards. The
 * teacher sees its own positions only (25 % in the paper); they are drawn once per view and stored with the features.
 */
import { featureName, scaleName } from "../../models/feature_codec.ts";
import type { Engine, HostArray } from "../../models/runtime/engine.ts";
import { TEACHER_MASK_RULE, teacherInputs, teacherPositions } from "../training/mask_draws.ts";
import type { FramesSet } from "../shards/frame_shards.ts";
import {
  type CodedFeatures,
  createFeaturesSet,
  type FeaturesSet,
  findFeaturesSet,
  resumeFeatures,
  type TeacherSettings,
} from "../shards/feature_shards.ts";
import { FeatureShardSequence } from "../shards/feature_shard_sequence.ts";
import type { Settings } from "../settings.ts";
import { writeManifest } from "../shards/manifest.ts";
import { Network } from "../training/network.ts";
import { batchSetting } from "./batch_setting.ts";
import { contentHash } from "./prepare_splits.ts";
import { teacherFeatures } from "./programs.ts";
import { computeType, maskSizes, type StageContext } from "./stage_context.ts";
import type { Teacher } from "./teacher.ts";

/** What the stage works with. */
export type TeachContext = Pick<StageContext, "settings" | "engine" | "signal" | "progress" | "warn">;

/** What the stage leaves behind. */
export type TeachResult = {
  folder: string;
  /** Hash of the set's settings. */
  configSha256: string;
  /** Hash of what the shards hold. */
  contentSha256: string;
  shards: number;
  bytes: number;
};

/**
 * What decides the features of a set of frames.
 *
 * @param precision Arithmetic and engine, such as "bf16 on xla".
 */
export function cacheSettings(
  settings: Settings,
  { name, sha256 }: Pick<Teacher, "name" | "sha256">,
  precision: string,
): TeacherSettings {
  const { alignment, clip: { form }, teacher: { width, heads }, run: { seed } } = settings;
  return {
    teacher: { name, sha256, precision },
    dtype: settings.teach.featureDtype,
    levels: alignment.teacherLayers.map((block) => ({ block, width })),
    teacherPositions: maskSizes(settings).teacher,
    // Features of clips have the names that they had before there were those of pictures.
    provenance: { mask: TEACHER_MASK_RULE, seed, heads, ...(form === "mae" && { form }) },
  };
}

/** Arithmetic and engine as the cache names them. */
export function precisionOf(settings: Settings, engine: Engine): string {
  return `${computeType(settings, engine)} on ${engine.name}`;
}

/** Fills the feature cache; shards that are there are kept. */
export async function teach(context: TeachContext, frames: FramesSet, teacher: Teacher): Promise<TeachResult> {
  const { settings, signal, progress, warn } = context;
  const engine = await context.engine();
  const { teacher: encoder, alignment, run } = settings;
  const sizes = maskSizes(settings);
  const { slots, teacher: seen } = sizes;
  const masks = (row: number) => teacherPositions(sizes, run.seed, row);
  const compute = computeType(settings, engine);
  const forward = teacherFeatures(settings, compute);
  using set = createFeaturesSet(run.cache, frames, cacheSettings(settings, teacher, precisionOf(settings, engine)));
  const { missing, damaged } = await resumeFeatures(set, frames);
  for (const { shard, problem } of damaged) warn(`Feature shard ${shard} is made again: ${problem}`);
  if (missing.length > 0) {
    const setting = batchSetting(settings, "teach.batch", (other) => teacherFeatures(other, compute));
    using network = await Network.load(engine, forward, await teacher.parameters(forward.parameters), setting);
    using bar = progress.begin("teach", set.rows, "views", { from: doneRows(set, missing) });
    await using shards = new FeatureShardSequence(set, frames, missing);
    const batches = network.infer({
      frames,
      rows: shards.pending,
      batch: settings.teach.batch,
      groupOf: (row) => set.shardOf(row),
      signal,
      inputs: (rows) => teacherInputs(rows, masks, sizes),
    });
    let done = doneRows(set, missing);
    for await (const { rows, outputs } of batches) {
      const writer = await shards.writerOf(rows[0]!);
      rows.forEach((row, i) => {
        const levels = alignment.teacherLayers.map((_, level) => {
          return rowOf(outputs, level, i, { tokens: slots * seen, width: encoder.width });
        });
        writer.write(row, { levels, teacherPositions: masks(row) });
      });
      bar.update(done += rows.length);
    }
    await shards.finish();
  }
  writeManifest(set);
  return taught(set);
}

/** A row of a level in the form it is stored in. */
function rowOf(
  outputs: ReadonlyMap<string, HostArray>,
  level: number,
  i: number,
  { tokens, width }: { tokens: number; width: number },
): Uint16Array | CodedFeatures {
  const features = outputs.get(featureName(level)) as Uint8Array | Uint16Array;
  const row = features.subarray(i * tokens * width, (i + 1) * tokens * width);
  if (row instanceof Uint16Array) return row;
  const scales = outputs.get(scaleName(level)) as Float32Array;
  return { codes: row, scales: scales.subarray(i * tokens * 2, (i + 1) * tokens * 2) };
}

/** What an earlier job left in the cache; undefined if a shard is missing. */
export async function findTaught(
  context: StageContext,
  frames: FramesSet,
  teacher: Teacher,
): Promise<TeachResult | undefined> {
  const { settings } = context, engine = await context.engine();
  const expected = cacheSettings(settings, teacher, precisionOf(settings, engine));
  using set = findFeaturesSet(settings.run.cache, frames, expected);
  return set && taught(set);
}

function taught(set: FeaturesSet): TeachResult {
  const { folder, configSha256, shards } = set;
  return { folder, configSha256, contentSha256: contentHash(set), shards, bytes: setBytes(set) };
}

function doneRows(set: FeaturesSet, missing: readonly number[]): number {
  return set.rows - missing.reduce((sum, shard) => sum + set.span(shard).rows, 0);
}

function setBytes(set: FeaturesSet): number {
  return Array.from({ length: set.shards }, (_, shard) => set.sidecar(shard).bytes).reduce(
    (sum, bytes) => sum + bytes,
    0,
  );
}
