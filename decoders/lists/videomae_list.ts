/**
 * The lists of VideoMAE and AMD: lines `path label` or `path frames label`, or `path` alone where nothing is labelled.
 * Fields are parted by blanks, tabs or commas; a path that holds the separator stands in double quotes. The number of
 * frames is not used: clips are counted when they are decoded. A `classes.txt` beside the list names the labels, a line
 * each.
 */
import { dirname, join } from "node:path";
import {
  linesOf,
  type ListEntry,
  type ListSource,
  type ParsedList,
  readListText,
  splitFields,
} from "./_list_source.ts";
import { ListError } from "./list_error.ts";

/** A separator and a number at the end of a line. */
const LABELLED = /([ \t,])[ \t]*-?\d+$/;

/** What a line should be, for messages. */
const EXPECTED = `lines are "path label" or "path frames label", without a header, paths with blanks in double quotes`;

/** File beside the list that names the labels. */
const CLASSES = "classes.txt";

/**
 * @param source The list.
 * @returns Its clips.
 * @throws {ListError} A line cannot be read.
 */
export async function parseVideoMaeList(source: ListSource): Promise<ParsedList> {
  const lines = linesOf(source.text);
  const classes = source.classes ?? await readClasses(join(dirname(source.path), CLASSES));
  // Where any line ends in a label, all must: a header or a forgotten label is not taken for a path.
  const model = lines.find(({ text }) => LABELLED.test(text)) ?? lines[0];
  if (model === undefined) return { entries: [], classes };
  const separator = LABELLED.exec(model.text)?.[1] ?? null;
  const columns = fieldsOf(source, model, separator).length;
  const entries = lines.map((line): ListEntry => {
    const fields = fieldsOf(source, line, separator);
    if (fields.length !== columns) {
      throw new ListError(
        source.path,
        line.line,
        `has ${fields.length} fields where line ${model.line} has ${columns}; ${EXPECTED}`,
      );
    }
    const label = columns === 1 ? null : wholeNumber(source, line.line, "label", fields.at(-1)!);
    if (columns === 3) wholeNumber(source, line.line, "number of frames", fields[1]!);
    if (label !== null && classes !== null && label >= classes.length) {
      throw new ListError(
        source.path,
        line.line,
        `unknown label ${label}; there are ${classes.length} classes, 0 to ${classes.length - 1}`,
      );
    }
    return { name: fields[0]!, file: fields[0]!, label, line: line.line };
  });
  return { entries, classes };
}

function fieldsOf(source: ListSource, { line, text }: { line: number; text: string }, separator: string | null) {
  // Without a label there is no separator: blanks belong to the path.
  const fields = splitFields(text, separator ?? "\n");
  if (fields === null) {
    throw new ListError(source.path, line, "a double quote is not closed, or not followed by a separator");
  }
  if (fields.length > 3) {
    throw new ListError(source.path, line, `has ${fields.length} fields; ${EXPECTED}`);
  }
  return fields;
}

function wholeNumber(source: ListSource, line: number, what: string, text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= 0x7fffffff) return value;
  const found = JSON.stringify(text);
  throw new ListError(
    source.path,
    line,
    `the ${what} must be a whole number of at least 0, found ${found}; ${EXPECTED}`,
  );
}

async function readClasses(path: string): Promise<string[] | null> {
  try {
    await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
  return linesOf(await readListText(path)).map(({ text }) => text);
}
