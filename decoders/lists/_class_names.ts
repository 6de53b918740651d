/** Names of classes that stand in a file beside a list whose labels are numbers. */
import { dirname, join } from "node:path";
import { linesOf, readBeside } from "./_list_source.ts";

/** File beside the list that names the labels, a line each. */
const CLASSES = "classes.txt";

/**
 * @param list The list.
 * @returns Names in the order of their numbers, or null where the file is not there.
 * @throws {ListError} It is no text.
 */
export async function readClassNames(list: string): Promise<string[] | null> {
  const path = join(dirname(list), CLASSES);
  const text = await readBeside(path);
  return text === null ? null : Array.from(linesOf(path, text), ({ text }) => text);
}
