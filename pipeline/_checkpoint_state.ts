/** What a checkpoint says of itself, `state.json`, and whether its files are what it says. It may have been edited. */
import fs from "node:fs";
import { join } from "node:path";
import { type Json } from "./shards/config_hash.ts";
import { sha256OfFile } from "./shards/file_hash.ts";

/** File beside the checkpoint's own. */
export const STATE = "state.json";

/** `state.json` */
export interface StateFile {
  step: number;
  /** Lower is better; null if none was given. */
  score: number | null;
  files: { [name: string]: { bytes: number; sha256: string } };
  state: Json;
}

/** What a checkpoint says of itself; undefined if that cannot be read. */
export function readState(folder: string): StateFile | undefined {
  try {
    const content = JSON.parse(fs.readFileSync(join(folder, STATE), "utf8"));
    const isWhole = Number.isInteger(content?.step) && typeof content.files === "object" && content.files !== null &&
      (content.score === null || Number.isFinite(content.score)) && content.state !== undefined;
    return isWhole ? content : undefined;
  } catch {
    return undefined;
  }
}

/** The state of a whole checkpoint, or what is wrong with it. */
export async function verify(folder: string): Promise<StateFile | string> {
  const content = readState(folder);
  if (!content) return `${STATE} cannot be read`;
  for (const [name, { bytes, sha256 }] of Object.entries(content.files)) {
    // Names come from a file that may have been edited: none may lead out of the folder.
    if (name.includes("/") || name.includes("\\") || name === "..") return `${STATE} names a file outside, ${name}`;
    const path = join(folder, name);
    const found = fs.statSync(path, { throwIfNoEntry: false });
    if (!found?.isFile()) return `${name} is missing`;
    if (found.size !== bytes) return `${name} has ${found.size} bytes instead of ${bytes}`;
    if (await sha256OfFile(path) !== sha256) return `${name} does not have the SHA-256 it was written with`;
  }
  return content;
}
