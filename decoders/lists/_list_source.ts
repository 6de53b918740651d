/** What the parsers of list formats share: the list's text, the entries that they make of it, and CSV fields. */
import { ListError } from "./list_error.ts";

/** A list to parse. */
export interface ListSource {
  /** The list, for messages and for files beside it. */
  path: string;
  /** Its text, without a byte order mark. */
  text: string;
  /** Real path of the folder of videos. */
  root: string;
  /** Class names that labels must belong to, in the order of their numbers; null lets the list decide. */
  classes: readonly string[] | null;
}

/** A clip as a list names it. */
export interface ListEntry {
  /** What the list calls it; no two may be the same. */
  name: string;
  /** Where it should be, from the root or absolute. */
  file: string;
  label: number | null;
  /** Line of the list, from 1; null where there are no lines. */
  line: number | null;
}

/** What a parser makes of a list. */
export interface ParsedList {
  entries: ListEntry[];
  /** Names of the labels, or null where labels are mere numbers. */
  classes: readonly string[] | null;
}

/**
 * Reads a text file.
 *
 * @throws {ListError} It is missing or not UTF-8.
 */
export async function readListText(path: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new ListError(path, null, "there is no such file");
    throw error;
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes); // drops a byte order mark
  } catch {
    throw new ListError(path, null, "is not text in UTF-8; save it as UTF-8 or name a list");
  }
}

/** Lines that are not blank, with their numbers from 1. */
export function linesOf(text: string): { line: number; text: string }[] {
  return text.split(/\r\n|\n|\r/).map((text, i) => ({ line: i + 1, text: text.trim() })).filter(({ text }) =>
    text !== ""
  );
}

/**
 * Splits a line into fields. A field in double quotes may hold separators, and quotes written twice.
 *
 * @param line The text of the line.
 * @param separator One character; several blanks in a row count as one.
 * @returns The fields, or null where a quote is not closed or text follows a closing one.
 */
export function splitFields(line: string, separator: string): string[] | null {
  const fields: string[] = [];
  const gap = separator === " " ? / +/y : new RegExp(` *${separator} *`, "y");
  for (let at = 0;;) {
    const field = line[at] === '"' ? /"((?:[^"]|"")*)"/y : new RegExp(`[^${separator}]*`, "y");
    field.lastIndex = at;
    const found = field.exec(line);
    if (found === null) return null;
    fields.push(found[1] === undefined ? found[0].trim() : found[1].replaceAll('""', '"'));
    at += found[0].length;
    if (at === line.length) return fields;
    gap.lastIndex = at;
    const between = gap.exec(line);
    if (between === null) return null;
    at += between[0].length;
  }
}

/**
 * Numbers class names.
 *
 * @param source The list.
 * @param names Names that occur, in any order, with repeats.
 * @returns Its classes, sorted unless they were given, and the number of each.
 */
export function numberClasses(
  source: ListSource,
  names: Iterable<string>,
): { classes: readonly string[]; numbers: Map<string, number> } {
  const classes = source.classes ?? [...new Set(names)].sort();
  return { classes, numbers: new Map(classes.map((name, i) => [name, i])) };
}

/** @throws {ListError} Always: the label is none of the classes. */
export function unknownLabel(source: ListSource, line: number | null, label: string): never {
  throw new ListError(
    source.path,
    line,
    `unknown label ${JSON.stringify(label)}; it is none of the ${
      source.classes?.length ?? 0
    } classes of the training list`,
  );
}
