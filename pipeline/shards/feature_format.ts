/**
 * The feature shard, schema `tubelet-features/1`: what a frozen teacher gives for the rows of a frame shard, as
 * float16 or as bytes with a scale and an offset per token, one dataset per level. Tokens stand in ascending order and carry no student mask, so that every epoch can
 * draw a fresh one inside the teacher's.
 */
import * as z from "zod";
import { parseConfig, setFields, sha256Text, type ShardFormat } from "./shard_format.ts";

/** Schema name with its version. */
export const FEATURES_SCHEMA = "tubelet-features/1";

/** NumPy's names of the element types. */
const NUMPY = { f16: "float16", u8: "uint8" } as const;

const positive = z.int().min(1);
const level = z.strictObject({
  block: positive.describe("Teacher block whose output this is, from 1"),
  width: positive.describe("Values per token"),
  norm: z.enum(["none", "layer"]).default("none").describe(
    "Normalisation applied before storing; none: raw residual stream",
  ),
});
const featuresConfig = z.strictObject({
  schema: z.literal(FEATURES_SCHEMA).default(FEATURES_SCHEMA),
  ...setFields,
  framesConfigSha256: sha256Text.describe("Hash of the frame set's settings"),
  teacher: z.strictObject({
    name: z.string().min(1),
    sha256: sha256Text.describe("Of the teacher's weights"),
    precision: z.string().min(1).describe("Arithmetic of the teacher's forward pass, such as f32 or bf16"),
  }),
  dtype: z.enum(["f16", "u8"]).default("f16").describe("Stored element type; u8 has scale and offset per token"),
  levels: z.array(level).min(1).max(64),
  slots: positive.describe("Temporal slots of the token grid"),
  positions: positive.max(65536).describe("Spatial positions in a slot"),
  teacherPositions: positive.describe("Positions of a slot that the teacher sees, the same in every slot"),
  provenance: z.record(z.string(), z.json()).describe("Everything else that decides the bytes: mask rule and seed"),
}).refine((config) => config.teacherPositions <= config.positions, "teacherPositions exceeds positions");

/** Settings of a set of feature shards; their hash names the folder. */
export type FeaturesConfig = z.infer<typeof featuresConfig>;
/** The same with defaults left out. */
export type FeaturesConfigInput = z.input<typeof featuresConfig>;

/** Tokens that the teacher sees. */
export function teacherTokens(config: FeaturesConfig): number {
  return config.slots * config.teacherPositions;
}

/** Path of a level's dataset. */
export function levelPath(level: number): string {
  return `/features/level_${level}`;
}

/** Path of the scales and offsets of a level's tokens, which sets of bytes have. */
export function scalePath(level: number): string {
  return `/scales/level_${level}`;
}

/** Datasets of the levels, then those of their scales where the set has them. */
function bulkPaths({ dtype, levels }: FeaturesConfig): string[] {
  return (dtype === "u8" ? [levelPath, scalePath] : [levelPath]).flatMap((path) => levels.map((_, i) => path(i)));
}

/** The kind "features". */
export const featureFormat: ShardFormat<FeaturesConfig> = {
  schema: FEATURES_SCHEMA,
  kind: "features",
  measured: [],
  parents: ["frames"],
  parse: (config) => parseConfig(featuresConfig, config, "feature shards"),
  bulk: bulkPaths,
  attributes: (config) => ({
    teacher: config.teacher.name,
    teacher_sha256: config.teacher.sha256,
    teacher_precision: config.teacher.precision,
    teacher_blocks: config.levels.map(({ block }) => block),
    frames_config_sha256: config.framesConfigSha256,
  }),
  children(config, { rows }) {
    const tokens = teacherTokens(config), levels = config.levels.length;
    const features = config.levels.map(({ block, width, norm }, i) => [`level_${i}`, {
      dtype: config.dtype,
      shape: [rows, tokens, width],
      attributes: { axes: "row,token,channel", order: "ascending token", block, dtype: NUMPY[config.dtype], norm },
    }]);
    const scales = config.levels.map((_, i) => [`level_${i}`, {
      dtype: "f32",
      shape: [rows, tokens, 2],
      attributes: { axes: "row,token,field", fields: "scale,offset" },
    }]);
    const columns = config.dtype === "u8"
      ? "/features/level_0 and on, /scales/level_0 and on"
      : "/features/level_0 and on";
    return {
      features: { children: Object.fromEntries(features) },
      ...(config.dtype === "u8" ? { scales: { children: Object.fromEntries(scales) } } : {}),
      mask: {
        children: {
          teacher: {
            dtype: "u16",
            shape: [rows, config.teacherPositions],
            attributes: { order: "ascending position", slots: config.slots, positions: config.positions },
          },
        },
      },
      index: {
        children: {
          item: { dtype: "i64", shape: [rows] },
          view: { dtype: "u16", shape: [rows] },
          status: { dtype: "u8", shape: [rows], attributes: { meaning: "0 good, 2 decode failed" } },
          crc32: { dtype: "u32", shape: [rows, bulkPaths(config).length], attributes: { columns } },
        },
      },
      stats: { children: { absmax: { dtype: "f32", shape: [rows, levels] } } },
    };
  },
};
