/**
 * Why clips were refused, one JSON object a line. `shard-00003.bad.jsonl` holds the records of one shard and is written
 * before its shard is published, so that a failed row always has its reason; several processes may write shards at a
 * time, each its own file. `bad_clips.jsonl` gathers them for people once nothing is missing; like `manifest.json` it is
 * never the authority.
 */
import fs from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { errorCode, writeFileAtomically } from "./_publish.ts";
import { ShardError } from "./shard_error.ts";

const FILE = "bad_clips.jsonl";

/** Where the records of a whole set are gathered. */
export function badClipsPath(folder: string): string {
  return join(folder, FILE);
}

const badClip = z.object({
  row: z.int().min(0).describe("Row of the whole set"),
  item: z.int().min(0).describe("Number of the clip in the list, from 0"),
  view: z.int().min(0),
  name: z.string().describe("The clip's name in the list"),
  path: z.string().describe("The file that was opened"),
  reason: z.string().describe("What kind of defect, such as truncated"),
  detail: z.string().describe("What was found, as a sentence"),
  byteOffset: z.int().min(0).nullable().describe("Where in the file decoding failed, null where unknown"),
  fileBytes: z.int().min(0).nullable().describe("Length of the file then, null if there was none"),
});

/** A refused view of a clip. */
export type BadClip = z.infer<typeof badClip>;

/** The file of a shard's records, beside its `.h5` file. */
export function shardBadClipsPath(shardPath: string): string {
  return shardPath.replace(/\.h5$/, ".bad.jsonl");
}

/** Writes the records of one shard, if it has any. */
export function writeShardBadClips(shardPath: string, clips: readonly BadClip[]): void {
  if (clips.length > 0) writeUnlessSame(shardBadClipsPath(shardPath), lines(clips));
}

/**
 * Reads the records of one shard. Some may be of rows that are good by now; the shard decides.
 *
 * @throws {ShardError} If the file is there and cannot be read.
 */
export function readShardBadClips(shardPath: string): BadClip[] {
  return readFile(shardBadClipsPath(shardPath));
}

/**
 * Writes `bad_clips.jsonl`, or removes it where there is nothing to tell.
 *
 * @param folder Folder of the frame set.
 * @param clips All refused views.
 */
export function gatherBadClips(folder: string, clips: readonly BadClip[]): void {
  const path = badClipsPath(folder);
  if (clips.length > 0) writeUnlessSame(path, lines(clips));
  else if (fs.existsSync(path)) fs.rmSync(path);
}

/**
 * Reads `bad_clips.jsonl`.
 *
 * @param folder Folder of the frame set.
 * @throws {ShardError} If the file is there and cannot be read.
 */
export function readBadClips(folder: string): BadClip[] {
  return readFile(badClipsPath(folder));
}

function lines(clips: readonly BadClip[]): string {
  return clips.toSorted((a, b) => a.row - b.row).map((clip) => JSON.stringify(clip) + "\n").join("");
}

function writeUnlessSame(path: string, text: string): void {
  if (!fs.existsSync(path) || fs.readFileSync(path, "utf8") !== text) writeFileAtomically(path, text);
}

function readFile(path: string): BadClip[] {
  let text: string;
  try {
    text = fs.readFileSync(path, "utf8");
  } catch (cause) {
    if (errorCode(cause) === "ENOENT") return [];
    throw new ShardError(`cannot be read: ${cause instanceof Error ? cause.message : cause}`, { path }, { cause });
  }
  return text.split("\n").flatMap((line) => parseLine(line) ?? []);
}

/** A line that was edited or cut explains nothing. */
function parseLine(line: string): BadClip | undefined {
  try {
    return badClip.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}
