/**
 * A folder of pictures as a clip: files numbered without gaps such as `img_00001.jpg`, as AMD's lists of raw frames name
 * them. The first number and the digits are whatever the folder has. A picture that is missing in the row, or a list that
 * names more pictures than there are, makes the clip a bad one.
 */
import { dirname, join } from "node:path";
import { CorruptClipError } from "./decoder.ts";

/** Name of a picture: what comes before its number, the number, the ending. */
const PICTURE = /^(.*?)(\d+)(\.(?:jpe?g|png))$/i;

/** What AMD's lists call the pictures; it wins where a folder has others too, such as optical flow. */
const OFFICIAL = "img_";

/** The pictures of a folder. */
export interface FrameFolder {
  path: string;
  /** What comes before the number in a name. */
  prefix: string;
  /** Digits of a number that is filled with zeros; 1 where it is not. */
  digits: number;
  ending: string;
  /** Number of the first picture. */
  first: number;
  /** Pictures of the clip. */
  count: number;
}

/** Whether a path leads to a folder; a path that leads nowhere does not. */
export function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return false; // whoever opens the path says what is wrong with it
  }
}

/**
 * Lists the pictures of a folder.
 *
 * @param path The folder.
 * @param listed Pictures that the list says it has; only these belong to the clip.
 * @throws {CorruptClipError} They are not one row of numbered pictures, or too few.
 */
export function readFrameFolder(path: string, listed?: number): FrameFolder {
  const rows = new Map<string, string[]>();
  for (const { name } of Deno.readDirSync(path)) {
    const [, prefix, number, ending] = PICTURE.exec(name) ?? [];
    if (number === undefined || name.startsWith(".")) continue;
    const row = rows.get(`${prefix}*${ending}`);
    if (row === undefined) rows.set(`${prefix}*${ending}`, [number]);
    else row.push(number);
  }
  if (rows.size === 0) {
    throw new CorruptClipError(path, "not-a-file", "it is a folder without numbered pictures such as img_00001.jpg");
  }
  const names = [...rows.keys()].sort();
  const official = names.filter((name) => name.startsWith(`${OFFICIAL}*`));
  const [name, other] = official.length > 0 ? official : names;
  if (other !== undefined) {
    throw new CorruptClipError(path, "damaged", `it holds pictures of several kinds: ${names.slice(0, 4).join(", ")}`);
  }
  const [prefix, ending] = splitLast(name!);
  return checkRow(path, prefix, ending, rows.get(name!)!, listed);
}

/**
 * Finds a picture.
 *
 * @param frame Its number in the clip, from 0.
 * @returns Its file.
 * @throws {CorruptClipError} It is no file, empty, or a link out of the folder.
 */
export function pictureFile({ path, prefix, digits, ending, first }: FrameFolder, frame: number): string {
  const name = `${prefix}${String(first + frame).padStart(digits, "0")}${ending}`;
  const file = join(path, name);
  let real: string, info: Deno.FileInfo;
  try {
    real = Deno.realPathSync(file);
    info = Deno.statSync(real); // before anybody opens it: a pipe without a writer would be read for ever
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    throw new CorruptClipError(path, "missing", `${name} is not there or may not be read`);
  }
  if (dirname(real) !== Deno.realPathSync(path)) {
    throw new CorruptClipError(path, "not-a-file", `${name} is a link that leads out of the folder`);
  }
  if (!info.isFile) throw new CorruptClipError(path, "not-a-file", `${name} is a folder, pipe or device`);
  if (info.size === 0) throw new CorruptClipError(path, "empty", `${name} has zero bytes`);
  return real;
}

function checkRow(path: string, prefix: string, ending: string, texts: string[], listed?: number): FrameFolder {
  const numbers = texts.map(Number).sort((a, b) => a - b);
  const digits = texts.some((text) => text.length > 1 && text.startsWith("0"))
    ? texts.reduce((least, text) => Math.min(least, text.length), Infinity)
    : 1;
  const first = numbers[0]!;
  const there = new Set(texts);
  for (let i = 0; i < texts.length; i++) {
    const text = String(first + i).padStart(digits, "0");
    if (!there.has(text)) throw new CorruptClipError(path, "damaged", `${prefix}${text}${ending} is missing in it`);
  }
  if (listed !== undefined && listed > texts.length) {
    const problem = `it has ${texts.length} pictures, the list names ${listed}`;
    throw new CorruptClipError(path, "truncated", problem);
  }
  return { path, prefix, digits, ending, first, count: listed ?? texts.length };
}

/** The parts before and after the last star. */
function splitLast(name: string): [string, string] {
  const at = name.lastIndexOf("*");
  return [name.slice(0, at), name.slice(at + 1)];
}
