/**
 * `bad_clips.jsonl`: why clips were refused, one JSON object a line, beside the frame shards. Lines are appended before
 * their shard is published, so a published failed row always has its reason; a shard that is made twice repeats its
 * lines, and the last one of a row counts.
 */
import fs from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { orDiskFull } from "./_full_disk.ts";
import { ShardError } from "./shard_error.ts";

const FILE = "bad_clips.jsonl";

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

/**
 * Appends records durably, in one write.
 *
 * @param folder Folder of the frame set.
 * @param clips What to add.
 */
export function appendBadClips(folder: string, clips: readonly BadClip[]): void {
  if (clips.length === 0) return;
  const path = join(folder, FILE);
  orDiskFull(path, () => {
    const fd = fs.openSync(path, "a+");
    try {
      // A writer that died in the middle leaves a line without its end; ours must not be glued to it.
      const size = fs.fstatSync(fd).size, last = new Uint8Array(1);
      if (size > 0) fs.readSync(fd, last, 0, 1, size - 1);
      const start = size > 0 && last[0] !== 0x0a ? "\n" : "";
      fs.writeFileSync(fd, start + clips.map((clip) => JSON.stringify(clip) + "\n").join(""));
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
  });
}

/**
 * Reads the records, one per row, ascending. A line that was cut by a dying writer is passed over: its shard was not
 * published, so its clips are recorded again. Records of rows that are good by now are among them; the shards decide.
 *
 * @param folder Folder of the frame set.
 * @throws {ShardError} If the file cannot be read.
 */
export function readBadClips(folder: string): BadClip[] {
  const path = join(folder, FILE);
  if (!fs.existsSync(path)) return [];
  let text: string;
  try {
    text = fs.readFileSync(path, "utf8");
  } catch (cause) {
    throw new ShardError(`cannot be read: ${cause instanceof Error ? cause.message : cause}`, { path }, { cause });
  }
  const clips = new Map<number, BadClip>();
  for (const line of text.split("\n")) {
    const clip = parseLine(line);
    if (clip !== undefined) clips.set(clip.row, clip);
  }
  return [...clips.values()].sort((a, b) => a.row - b.row);
}

function parseLine(line: string): BadClip | undefined {
  try {
    return badClip.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}
