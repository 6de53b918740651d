/**
 * The split files of UCF101: `trainlist01.txt` with lines `Class/clip.avi number`, `testlist01.txt` with lines
 * `Class/clip.avi`, and beside them `classInd.txt` with lines `number Class`. Their numbers begin at 1, ours at 0. The
 * class is that of the folder; the clip may also lie flat, below other folders or under another video ending.
 */
import { basename, dirname, join, parse } from "node:path";
import { linesOf, type ListEntry, type ListSource, type ParsedList, readBeside } from "./_list_source.ts";
import { VideoIndex } from "./_video_files.ts";
import { ListError } from "./list_error.ts";

/** Levels of folders below the root. */
const DEPTH = 2;

/** File that numbers the classes. */
const CLASSES = "classInd.txt";

/** Names of these lists. */
export const UCF101_LIST = /^(?:train|test)list\d+\.txt$/i;

/**
 * @param source The list.
 * @param emit Receives its clips.
 * @throws {ListError} The list or its classes cannot be read.
 */
export async function parseUcf101(source: ListSource, emit: (entry: ListEntry) => void): Promise<ParsedList> {
  const { path } = source;
  const numbers = await readNumbers(join(dirname(path), CLASSES), source);
  const videos = await VideoIndex.read(source.root, DEPTH);
  let missing = 0;
  for (const { line, text } of linesOf(path, source.text)) {
    const [, name, number] = /^(.*\S)\s+(\d+)$/.exec(text) ?? [null, text, null];
    const [folder, ...rest] = name.split("/");
    if (rest.length !== 1) {
      throw new ListError(path, line, `lines are "Class/clip.avi" or "Class/clip.avi number", found ${quoted(text)}`);
    }
    const label = numbers.get(folder!);
    if (label === undefined) {
      throw new ListError(path, line, `unknown label ${quoted(folder!)}; it is not in ${CLASSES}`);
    }
    if (number !== null && Number(number) !== label + 1) {
      throw new ListError(
        path,
        line,
        `has number ${number} for the class ${folder}, which is ${label + 1} in ${CLASSES}`,
      );
    }
    const file = videos.locate(parse(name).name, folder!);
    if (file === null) missing++;
    emit({ name, file: file ?? name, label, line });
  }
  return { classes: [...numbers.keys()], missing };
}

/** Numbers of the classes from 0, in order. */
async function readNumbers(path: string, source: ListSource): Promise<Map<string, number>> {
  const text = await readBeside(path);
  if (text === null) {
    const mend = `put it into ${dirname(path)}, or read the list with --format videomae`;
    throw new ListError(source.path, null, `needs ${CLASSES} beside it; ${mend}`);
  }
  const numbers = new Map<string, number>();
  for (const { line, text: found } of linesOf(path, text)) {
    const [, number, name] = /^(\d+)\s+(\S.*)$/.exec(found) ?? [];
    if (Number(number) !== numbers.size + 1 || numbers.has(name!)) {
      const expected = `expected "${numbers.size + 1} Class" with a class of its own`;
      throw new ListError(path, line, `${expected}, found ${quoted(found)}`);
    }
    numbers.set(name!, numbers.size);
  }
  if (source.classes !== null && source.classes.join("\n") !== [...numbers.keys()].join("\n")) {
    throw new ListError(path, null, `has other classes than the training list; use the same ${CLASSES} for both`);
  }
  return numbers;
}

/** The list of test clips that belongs to a list of training clips, or null. */
export function ucf101TestList(list: string): string | null {
  const name = basename(list);
  const test = name.replace(/^(t)rain(?=list\d+\.txt$)/i, "$1est");
  return UCF101_LIST.test(name) && test !== name ? join(dirname(list), test) : null;
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}
