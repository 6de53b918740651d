/**
 * The lists of VideoMAE and AMD: lines `path label` or `path frames label`, or `path` alone where nothing is labelled.
 * Fields are parted by blanks, tabs or commas; a path that holds the separator stands in double quotes. The number of
 * frames is that of a folder of pictures; videos are counted when they are decoded. A `classes.txt` beside the list names
 * the labels, a line each.
 */
import { type Line, linesOf, type ListEntry, type ListSource, type ParsedList, splitFields } from "./_list_source.ts";
import { readClassNames } from "./_class_names.ts";
import { isVideoName } from "./_video_files.ts";
import { ListError } from "./list_error.ts";

/** A separator and a number at the end of a line. */
const LABELLED = /([ \t,])[ \t]*-?\d+$/;

/** What a line should be, for messages. */
const EXPECTED = `lines are "path label" or "path frames label", without a header, paths with blanks in double quotes`;

/**
 * @param source The list.
 * @param emit Receives its clips.
 * @throws {ListError} A line cannot be read.
 */
export async function parseVideoMaeList(source: ListSource, emit: (entry: ListEntry) => void): Promise<ParsedList> {
  const classes = source.classes ?? await readClassNames(source.path);
  // Where any line ends in a label, all must: a header or a forgotten label is not taken for a path.
  let model: Line | undefined;
  let separator: string | null = null;
  for (const line of linesOf(source.path, source.text)) {
    model ??= line;
    separator = LABELLED.exec(line.text)?.[1] ?? null;
    if (separator === null) continue;
    model = line;
    break;
  }
  if (model === undefined) return { classes, missing: null };
  const columns = fieldsOf(source, model, separator).length;
  for (const line of linesOf(source.path, source.text)) {
    const fields = fieldsOf(source, line, separator);
    if (fields.length !== columns) {
      const found = `has ${fields.length} fields where line ${model.line} has ${columns}`;
      throw new ListError(source.path, line.line, `${found}; ${EXPECTED}`);
    }
    const file = fields[0]!;
    const label = columns === 1 ? null : wholeNumber(source, line.line, "label", fields.at(-1)!);
    const frames = columns === 3 ? wholeNumber(source, line.line, "number of frames", fields[1]!) : 0;
    if (label !== null && classes !== null && label >= classes.length) {
      const problem = `unknown label ${label}; there are ${classes.length} classes, 0 to ${classes.length - 1}`;
      throw new ListError(source.path, line.line, problem);
    }
    emit({ name: file, file, label, line: line.line, ...(frames > 0 && !isVideoName(file) && { frames }) });
  }
  return { classes, missing: null };
}

function fieldsOf(source: ListSource, { line, text }: Line, separator: string | null) {
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
  const problem = `the ${what} must be a whole number of at least 0, found ${found}; ${EXPECTED}`;
  throw new ListError(source.path, line, problem);
}
