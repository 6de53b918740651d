/**
 * The frame shard, schema `tubelet-frames/1`: one row per view (one clip, one choice of frames, one crop), stored as
 * uint8 cube patches in token order, un-normalised RGB. `docs/shards.md` describes it for readers in other languages.
 */
import * as z from "zod";
import { parseConfig, setFields, type ShardFormat } from "./shard_format.ts";

/** Schema name with its version. */
export const FRAMES_SCHEMA = "tubelet-frames/1";

/** Label of a clip without one. */
export const NO_LABEL = -1;

const positive = z.int().min(1);
const framesConfig = z.strictObject({
  schema: z.literal(FRAMES_SCHEMA).default(FRAMES_SCHEMA),
  ...setFields,
  grid: z.tuple([positive, positive, positive]).describe("Cubes along time, height and width, such as [8, 14, 14]"),
  cube: z.tuple([positive, positive, positive, positive])
    .describe("Frames, height, width and channels of a cube, such as [2, 16, 16, 3]"),
  provenance: z.record(z.string(), z.json())
    .describe("Everything else that decides the bytes: list hash, frame rule, decoder, resize and crop rule, seed"),
});

/** Settings of a set of frame shards; their hash names the folder. */
export type FramesConfig = z.infer<typeof framesConfig>;
/** The same with defaults left out. */
export type FramesConfigInput = z.input<typeof framesConfig>;

/** Tokens of a view: cubes of the grid. */
export function tokenCount(config: FramesConfig): number {
  return config.grid[0] * config.grid[1] * config.grid[2];
}

/** Bytes of a cube patch, one per value. */
export function cubeBytes(config: FramesConfig): number {
  return config.cube[0] * config.cube[1] * config.cube[2] * config.cube[3];
}

/** Frames of a view. */
export function frameCount(config: FramesConfig): number {
  return config.grid[0] * config.cube[0];
}

/** The kind "frames". */
export const frameFormat: ShardFormat<FramesConfig> = {
  schema: FRAMES_SCHEMA,
  kind: "frames",
  measured: ["/names/utf8"],
  parents: [],
  parse: (config) => parseConfig(framesConfig, config, "frame shards"),
  bulk: () => ["/cubes"],
  attributes: () => ({}),
  children(config, { rows }, facts) {
    const frames = frameCount(config);
    return {
      cubes: {
        dtype: "u8",
        shape: [rows, tokenCount(config), cubeBytes(config)],
        attributes: { axes: "row,token,value", order: "dt,dy,dx,channel", grid: config.grid, cube: config.cube },
      },
      index: {
        children: {
          item: { dtype: "i64", shape: [rows] },
          view: { dtype: "u16", shape: [rows] },
          label: { dtype: "i32", shape: [rows], attributes: { none: NO_LABEL } },
          frame: { dtype: "i32", shape: [rows, frames] },
          pts_us: { dtype: "i64", shape: [rows, frames] },
          crop: { dtype: "f32", shape: [rows, 4], attributes: { order: "x,y,width,height" } },
          source_size: { dtype: "i32", shape: [rows, 2], attributes: { order: "height,width" } },
          status: { dtype: "u8", shape: [rows], attributes: { meaning: "0 good, 2 decode failed" } },
          crc32: { dtype: "u32", shape: [rows], attributes: { columns: "/cubes" } },
        },
      },
      names: {
        children: {
          utf8: { dtype: "u8", shape: [facts.lengths["/names/utf8"] ?? 0] },
          offset: { dtype: "u32", shape: [rows + 1] },
        },
      },
    };
  },
};
