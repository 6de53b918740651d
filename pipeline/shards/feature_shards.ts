/** Sets of feature shards: making, writing and reading them. The layout is in `feature_format.ts`. */
import { type CodedFeatures, storedLevel } from "./_feature_rows.ts";
import type { FeatureData } from "./_half.ts";
import { featureFormat, type FeaturesConfig, type FeaturesConfigInput } from "./feature_format.ts";
import type { FramesSet } from "./frame_shards.ts";
import { layOut } from "./hdf5_layout.ts";
import { type ResumeReport, resumeSet } from "./resume.ts";
import { createShardSet, openShardSet, plannedShardSet } from "./set_folder.ts";
import { ShardBuilder } from "./shard_builder.ts";
import { ShardError } from "./shard_error.ts";
import { shardTree } from "./shard_format.ts";
import type { ShardSet, ShardSetOptions } from "./shard_set.ts";
import type { ShardWriterOptions } from "./shard_writer.ts";
import type { Sidecar } from "./sidecar.ts";

export type { CodedFeatures } from "./_feature_rows.ts";
export type { FeatureData } from "./_half.ts";

/** A set of feature shards. */
export type FeaturesSet = ShardSet<FeaturesConfig>;

/** The settings of a feature set that its frame set does not decide. */
export type TeacherSettings = Pick<
  FeaturesConfigInput,
  "teacher" | "dtype" | "levels" | "teacherPositions" | "provenance"
>;

/** What the teacher gave for one row. */
export interface FeatureRow {
  /**
   * Per level [teacherTokens, width], tokens ascending: float16 or its bytes, or float32 to be rounded; codes and scales
   * where the set has bytes.
   */
  readonly levels: readonly (FeatureData | CodedFeatures)[];
  /** Spatial positions that the teacher saw in every slot, ascending. */
  readonly teacherPositions: ArrayLike<number>;
}

/**
 * Settings of the feature set of a frame set and a teacher.
 *
 * @param frames The frame set; rows and shard boundaries are taken from it.
 * @param settings Teacher, levels and mask.
 */
export function featuresConfigFor(
  frames: Pick<FramesSet, "config" | "configSha256">,
  settings: TeacherSettings,
): FeaturesConfig {
  const { dataset, split, items, views, rowsPerShard, grid } = frames.config;
  return featureFormat.parse({
    ...settings,
    dataset,
    split,
    items,
    views,
    rowsPerShard,
    framesConfigSha256: frames.configSha256,
    slots: grid[0],
    positions: grid[1] * grid[2],
  });
}

/**
 * Makes or opens the feature set of a frame set and a teacher for writing.
 *
 * @param cache The cache folder; the set lies in `features/<hash>` below it.
 * @param frames The frame set.
 * @param settings Teacher, levels and mask.
 * @param options How to open it.
 */
export function createFeaturesSet(
  cache: string,
  frames: FramesSet,
  settings: TeacherSettings,
  options: ShardSetOptions = {},
): FeaturesSet {
  return createShardSet(cache, featureFormat, featuresConfigFor(frames, settings), options);
}

/**
 * Opens a complete set for reading.
 *
 * @param folder The set's folder.
 * @param options How to open it.
 * @throws {ShardError} If it is no complete set of feature shards.
 */
export function openFeaturesSet(folder: string, options: ShardSetOptions = {}): FeaturesSet {
  return openShardSet(folder, featureFormat, options);
}

/**
 * Opens the complete set that is computed from these frames, if there is one in the cache; nothing is made.
 *
 * @param cache The cache folder.
 * @param frames The complete frame set.
 * @param settings Teacher, levels and mask.
 */
export function findFeaturesSet(cache: string, frames: FramesSet, settings: TeacherSettings): FeaturesSet | undefined {
  const set = plannedShardSet(cache, featureFormat, featuresConfigFor(frames, settings));
  const shards = Array.from({ length: set.shards }, (_, shard) => shard);
  const isWhole = set.missing().length === 0 &&
    shards.every((shard) => parentProblem(set, frames, shard) === undefined);
  if (isWhole) return set;
  set[Symbol.dispose]();
  return undefined;
}

/**
 * Checks that features were computed from these frames: the same settings, and shard by shard the same bytes.
 *
 * @param settings What the teacher must have been, too. @default any teacher
 * @throws {ShardError} If they were not; the message names the difference.
 */
export function assertFeaturesFit(features: FeaturesSet, frames: FramesSet, settings?: TeacherSettings): void {
  const path = features.folder;
  if (features.config.framesConfigSha256 !== frames.configSha256) {
    const found = features.config.framesConfigSha256;
    throw new ShardError(`was computed from frames ${found}, these are ${frames.configSha256}`, { path });
  }
  for (const field of ["items", "views", "rowsPerShard"] as const) {
    if (features.config[field] !== frames.config[field]) {
      const found = `${features.config[field]}, its frames have ${frames.config[field]}`;
      throw new ShardError(`has ${field} ${found}`, { path });
    }
  }
  const difference = settings && firstDifference(features.config, featuresConfigFor(frames, settings));
  if (difference !== undefined) {
    throw new ShardError(
      `was made with ${difference}: give the settings that it was made with, or another --run folder to teach anew`,
      { path },
    );
  }
  for (let shard = 0; shard < frames.shards; shard++) {
    const problem = parentProblem(features, frames, shard);
    if (problem !== undefined) throw new ShardError(problem, { path: features.path(shard) });
  }
}

/**
 * Brings the feature set of an interrupted stage into order; shards whose frame shard was made again count as missing.
 *
 * @param features The feature set.
 * @param frames The complete frame set it is computed from.
 * @throws {ShardError} If a frame shard is missing.
 */
export async function resumeFeatures(features: FeaturesSet, frames: FramesSet): Promise<ResumeReport> {
  return await resumeSet(features, { stale: (shard) => parentProblem(features, frames, shard) });
}

/** The first field that differs, with both values. */
function firstDifference(found: unknown, expected: unknown, path = ""): string | undefined {
  if (typeof found !== "object" || typeof expected !== "object" || !found || !expected) {
    return found === expected
      ? undefined
      : `${path} ${JSON.stringify(found)}, this run has ${JSON.stringify(expected) ?? "none"}`;
  }
  const [a, b] = [found, expected] as Record<string, unknown>[];
  return [...new Set([...Object.keys(a!), ...Object.keys(b!)])]
    .map((key) => firstDifference(a![key], b![key], path === "" ? key : `${path}.${key}`))
    .find((difference) => difference !== undefined);
}

function parentProblem(features: FeaturesSet, frames: FramesSet, shard: number): string | undefined {
  const found = features.sidecar(shard).parents["frames"], expected = frames.sidecar(shard).sha256;
  if (found === expected) return undefined;
  return `was computed from a frame shard with SHA-256 ${found}, ${frames.path(shard)} has ${expected}`;
}

/**
 * Rows of the whole set that the teacher has to compute for a shard: those whose frames are good, ascending.
 *
 * @throws {ShardError} If the frame shard is missing.
 */
export function pendingRows(frames: FramesSet, shard: number): number[] {
  const { row0, rows, failed_rows } = frames.sidecar(shard), failed = new Set(failed_rows);
  return Array.from({ length: rows }, (_, i) => row0 + i).filter((row) => !failed.has(row - row0));
}

/** Writes one feature shard; dispose of it to drop an unsealed one. */
export class FeatureShardWriter implements Disposable {
  /** {@linkcode pendingRows} of this shard. */
  readonly pending: readonly number[];
  readonly #set: FeaturesSet;
  readonly #builder: ShardBuilder<FeaturesConfig>;
  readonly #masks: Uint16Array;
  readonly #absmax: Float32Array;

  /**
   * @param set The feature set.
   * @param frames The frame set it is computed from.
   * @param shard Number of the shard.
   * @param options For the file.
   * @throws {ShardError} If the frame shard is missing.
   */
  constructor(set: FeaturesSet, frames: FramesSet, shard: number, options: ShardWriterOptions = {}) {
    const source = frames.sidecar(shard), { rows } = set.span(shard), { levels, teacherPositions } = set.config;
    this.#set = set;
    this.#masks = new Uint16Array(rows * teacherPositions);
    this.#absmax = new Float32Array(rows * levels.length);
    this.#builder = new ShardBuilder(set, shard, { lengths: {}, parents: { frames: source.sha256 } }, options);
    for (const local of source.failed_rows) this.#builder.writeFailed(local);
    this.pending = pendingRows(frames, shard);
  }

  /**
   * Stores the features of a row.
   *
   * @param row Row of the whole set.
   * @param data Features and mask.
   * @throws {RangeError} If the row is not pending here, a size or the mask is wrong, or a value is not finite or exceeds
   * float16; the message names row and level.
   */
  write(row: number, data: FeatureRow): void {
    const local = this.#builder.local(row), { levels, teacherPositions } = this.#set.config;
    if (data.levels.length !== levels.length) {
      throw new RangeError(`Row ${row} has ${data.levels.length} levels of features, expected ${levels.length}`);
    }
    this.#checkMask(row, data.teacherPositions);
    const stored = data.levels.map((level, i) => storedLevel(this.#set.config, i, row, level));
    const scales = stored.flatMap(({ scales }) => scales === undefined ? [] : [scales]);
    this.#builder.writeGood(local, [...stored.map(({ features }) => features), ...scales]);
    this.#masks.set(Array.from(data.teacherPositions), local * teacherPositions);
    this.#absmax.set(stored.map(({ absmax }) => absmax), local * levels.length);
  }

  /**
   * Publishes the shard and writes its sidecar.
   *
   * @throws {RangeError} If a row is missing.
   */
  async seal(): Promise<Sidecar> {
    return await this.#builder.seal({ "/mask/teacher": this.#masks, "/stats/absmax": this.#absmax });
  }

  [Symbol.dispose](): void {
    this.#builder[Symbol.dispose]();
  }

  #checkMask(row: number, mask: ArrayLike<number>): void {
    const { positions, teacherPositions } = this.#set.config;
    if (mask.length !== teacherPositions) {
      throw new RangeError(`The teacher mask of row ${row} has ${mask.length} positions, expected ${teacherPositions}`);
    }
    for (let i = 0, before = -1; i < mask.length; before = mask[i]!, i++) {
      if (!Number.isInteger(mask[i]) || mask[i]! <= before || mask[i]! >= positions) {
        throw new RangeError(
          `The teacher mask of row ${row} is no ascending list of positions below ${positions}: ${before}, ${mask[i]}`,
        );
      }
    }
  }
}

/**
 * The teacher-visible positions of all rows, [rows, teacherPositions], ascending in each row; zero in failed rows.
 *
 * @throws {ShardError} If a shard is missing or a table is damaged.
 */
export function readTeacherPositions(set: FeaturesSet): Uint16Array {
  return new Uint16Array(set.column("/mask/teacher").buffer);
}

/**
 * Bytes of a shard file before it is made.
 *
 * @param config Settings.
 * @param shard Number of the shard.
 */
export function plannedFeatureShardBytes(config: FeaturesConfig, shard: number): number {
  return layOut(shardTree(featureFormat, config, shard, { lengths: {}, parents: {} })).fileBytes;
}
