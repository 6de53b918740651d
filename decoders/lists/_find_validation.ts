/** Finds the validation list that lies beside a training list, by the names that data sets give to the two. */
import { basename, dirname, join } from "node:path";
import type { ListFormat } from "./listed_clip.ts";
import { VALIDATION_NAMES } from "./_splits.ts";
import { ucf101TestList } from "./ucf101.ts";

/** The word "train" in a name such as `something-something-v2-train.json`. */
const TRAIN = /(?<![a-z])train(?![a-z])/i;

/**
 * @param list The training list, or its folder.
 * @param format Its format.
 * @returns The list that has "validation", "validate", "val" or "valid" where the other has "train", the first there is;
 * the test list of UCF101; null where there is none.
 */
export async function findValidationList(list: string, format: ListFormat): Promise<string | null> {
  const name = basename(list);
  const names = TRAIN.test(name) ? VALIDATION_NAMES.map((other) => name.replace(TRAIN, other)) : [];
  const test = ucf101TestList(list);
  const candidates = test === null ? names.map((other) => join(dirname(list), other)) : [test];
  for (const path of candidates) {
    const info = await Deno.stat(path).catch((error: unknown) => {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    });
    if (info !== null && info.isDirectory === (format === "folder")) return path;
  }
  return null;
}
