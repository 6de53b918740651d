/** The names that lists give to the parts of a data set. */
import type { SplitName } from "./_list_source.ts";
import { ListError } from "./list_error.ts";

const NAMES: Readonly<Record<SplitName, readonly string[]>> = {
  train: ["train", "training"],
  val: ["val", "valid", "validate", "validation"],
  test: ["test", "testing"],
};

/**
 * @param text A split as a list names it; null or empty where it names none.
 * @throws {ListError} Nobody knows a split of that name.
 */
export function splitName(path: string, line: number | null, text: string | null): SplitName | undefined {
  if (text === null || text === "") return undefined;
  const lower = text.toLowerCase();
  for (const [split, names] of Object.entries(NAMES)) if (names.includes(lower)) return split as SplitName;
  const expected = Object.values(NAMES).flat().join(", ");
  throw new ListError(path, line, `unknown split ${JSON.stringify(text)}; expected one of ${expected}`);
}

/** The file names that a validation list may have where the training list is called `train`, in order of preference. */
export const VALIDATION_NAMES: readonly string[] = ["validation", "validate", "val", "valid"];
