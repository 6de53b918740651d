/** What the parsers of list formats share: the list's text, the entries that they make of it, lines and fields. */
import type { ClipSpan } from "../span.ts";
import { ListError } from "./list_error.ts";

/** A list to parse. */
export interface ListSource {
  /** The list, for messages and for files beside it. */
  path: string;
  /** Its text, without a byte order mark; empty for a folder. */
  text: string;
  /** Real path of the folder of videos. */
  root: string;
  /** Class names that labels must belong to, in the order of their numbers; null lets the list decide. */
  classes: readonly string[] | null;
}

/** Part of a data set that a list says a clip belongs to. */
export type SplitName = "train" | "val" | "test";

/** A clip as a list names it. */
export interface ListEntry {
  /** What the list calls it; no two may be the same. */
  name: string;
  /** Where it should be, from the root or absolute. */
  file: string;
  /** Number or name of its class; a list has either. */
  label: number | string | null;
  /** Line of the list, from 1; null where there are no lines. */
  line: number | null;
  /** Undefined where the list does not part its clips. */
  split?: SplitName;
  /** File of this line, where a list is several files. */
  list?: string;
  /** Pictures of a folder of pictures. */
  frames?: number;
  /** Part of the clip that is meant. */
  span?: ClipSpan;
}

/** What a parser says of a list as a whole. */
export interface ParsedList {
  /** Names of the labels in the order of their numbers; null where the names that occur are to be numbered, or there
   * are only numbers. */
  classes: readonly string[] | null;
  /** Clips whose files are not there, or null where nobody looked. */
  missing: number | null;
  /** Whether names that are all whole numbers are labels' numbers. @default false */
  numbersAsNames?: boolean;
}

/** Reads a list and hands out one entry after the other, so that there is never a second copy of all of them. */
export type ListParser = (source: ListSource, emit: (entry: ListEntry) => void) => Promise<ParsedList>;

/** Bytes of the longest list that is read; the largest public ones have a tenth of it. */
const MAX_LIST_BYTES = 2 ** 28;

/** Characters of the longest line or item. */
export const MAX_LINE = 2 ** 16;

/**
 * Reads a text file.
 *
 * @throws {ListError} It is missing, not a file, too long or not UTF-8.
 */
export async function readListText(path: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    const { isFile, size } = await Deno.stat(path); // a pipe without a writer would be read for ever
    if (!isFile) throw new ListError(path, null, "is not a file; name a list");
    if (size > MAX_LIST_BYTES) {
      const found = `has ${Math.ceil(size / 2 ** 20)} MiB, a list may have ${MAX_LIST_BYTES / 2 ** 20}`;
      throw new ListError(path, null, `${found}; name a list, or part it into several`);
    }
    bytes = await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new ListError(path, null, "there is no such file");
    throw error;
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes); // drops a byte order mark
  } catch {
    const mend = "save it as UTF-8, for instance with: iconv -f LATIN1 -t UTF-8";
    throw new ListError(path, firstWrongLine(bytes), `is not text in UTF-8; ${mend}`);
  }
}

/** Number of the first line that is not UTF-8; null where the file is no text at all. */
function firstWrongLine(bytes: Uint8Array): number | null {
  if (bytes.subarray(0, 4096).includes(0)) return null;
  for (let line = 1, at = 0; at < bytes.length; line++) {
    const end = bytes.indexOf(10, at);
    const next = end < 0 ? bytes.length : end + 1;
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(at, next));
    } catch {
      return line;
    }
    at = next;
  }
  return null;
}

/** A line that is not blank, with its number from 1. */
export interface Line {
  line: number;
  /** Without blanks around it. */
  text: string;
}

/**
 * Lines that are not blank, one at a time.
 *
 * @throws {ListError} A line is too long to be one of a list.
 */
export function* linesOf(path: string, text: string): Generator<Line> {
  const ends = /\r\n|\n|\r/g;
  for (let line = 1, at = 0; at <= text.length; line++) {
    const end = ends.exec(text);
    const stop = end === null ? text.length : end.index;
    if (stop - at > MAX_LINE) throw tooLong(path, line);
    const trimmed = text.slice(at, stop).trim();
    if (trimmed !== "") yield { line, text: trimmed };
    if (end === null) return;
    at = ends.lastIndex;
  }
}

/** The error of a line, a record or an item beyond {@linkcode MAX_LINE}. */
export function tooLong(path: string, line: number): ListError {
  const mend = "look for a quote or bracket that is not closed, or lost line ends";
  return new ListError(path, line, `is longer than ${MAX_LINE} characters; ${mend}`);
}

/**
 * Splits a line into fields. A field in double quotes may hold separators, and quotes written twice.
 *
 * @param line The text of the line.
 * @param separator One character; several blanks in a row count as one.
 * @returns The fields, or null where a quote is not closed or text follows a closing one.
 */
export function splitFields(line: string, separator: string): string[] | null {
  if (!line.includes('"')) {
    return line.split(separator).map((field) => field.trim()).filter((field) => separator !== " " || field !== "");
  }
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

/** The text of a file beside a list, or null where there is none. */
export async function readBeside(path: string): Promise<string | null> {
  try {
    await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
  return await readListText(path);
}
