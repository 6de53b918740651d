/**
 * The items of a JSON array, one at a time with their lines: a list of hundreds of thousands of objects is never in memory
 * as such. Only brackets and quotes are followed here; `JSON.parse` reads every item.
 */
import { MAX_LINE, tooLong } from "./_list_source.ts";
import { ListError } from "./list_error.ts";

const [QUOTE, BACKSLASH, COMMA, NEWLINE] = [0x22, 0x5c, 0x2c, 0x0a];
const [OPEN, CLOSE, BRACE, UNBRACE] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * Reads an array.
 *
 * @param path The list, for messages.
 * @param text Its text, beginning with `[`.
 * @param visit Called with every item and the line on which it begins, from 1.
 * @throws {ListError} It is not JSON.
 */
export function eachJsonItem(path: string, text: string, visit: (item: unknown, line: number) => void): void {
  let [at, line] = [0, 1];
  const skipBlanks = () => {
    for (; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === NEWLINE) line++;
      else if (code !== 0x20 && code !== 0x09 && code !== 0x0d) return;
    }
  };
  const wrong = (expected: string) => {
    const found = at < text.length ? JSON.stringify(text.slice(at, at + 20)) : "the end of the file";
    return new ListError(path, line, `is not JSON: expected ${expected}, found ${found}`);
  };
  const code = () => text.charCodeAt(at);

  skipBlanks();
  if (code() !== OPEN) throw wrong("a JSON array");
  at++;
  skipBlanks();
  for (let first = true; code() !== CLOSE; first = false) {
    if (!first) {
      if (code() !== COMMA) throw wrong("a comma or ] after an item");
      at++;
      skipBlanks();
    }
    const start = at;
    at = itemEnd(text, start);
    if (at - start > MAX_LINE) throw tooLong(path, line);
    const item = text.slice(start, at);
    visit(parseJson(path, item, line), line);
    for (let end = item.indexOf("\n"); end >= 0; end = item.indexOf("\n", end + 1)) line++;
    skipBlanks();
  }
  at++;
  skipBlanks();
  if (at < text.length) throw wrong("nothing after the array");
}

/** Where an item ends: before the comma or bracket that follows it, or at the end of the text. */
function itemEnd(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = stringEnd(text, at);
    else if (code === OPEN || code === BRACE) depth++;
    else if (code === CLOSE || code === UNBRACE) {
      if (depth === 0) return at;
      depth--;
    } else if (code === COMMA && depth === 0) return at;
    if (at - start > MAX_LINE) return at;
  }
  return text.length;
}

/** Place of the closing quote, or the end of the text. */
function stringEnd(text: string, open: number): number {
  for (let at = open + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === BACKSLASH) at++;
    else if (code === QUOTE) return at;
  }
  return text.length;
}

/**
 * Parses JSON.
 *
 * @param line Where it stands in the list; null where it is a whole file.
 * @throws {ListError} It is not JSON.
 */
export function parseJson(path: string, text: string, line: number | null): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ListError(path, line, `is not JSON: ${(error as Error).message}`);
  }
}
