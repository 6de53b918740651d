/** Tells the format of a list by its name and its first lines. */
import { basename } from "node:path";
import { separatorOf } from "./_csv.ts";
import { MAX_LINE } from "./_list_source.ts";
import type { ListFormat } from "./listed_clip.ts";
import { HMDB51_LIST } from "./hmdb51.ts";
import { COLUMN_NAMES } from "./named_columns.ts";
import { UCF101_LIST } from "./ucf101.ts";

/**
 * @param path The list.
 * @param text Its text.
 * @returns Its format; "videomae", which has no marks of its own, where nothing else fits.
 */
export function formatOfFile(path: string, text: string): ListFormat {
  const name = basename(path);
  if (UCF101_LIST.test(name)) return "ucf101";
  if (HMDB51_LIST.test(name)) return "hmdb51";
  const start = text.trimStart().slice(0, MAX_LINE);
  if (/^\[\s*\{/.test(start)) return namesPath(/^\[\s*(\{[^{}]*\})/.exec(start)?.[1]) ? "jsonl" : "ssv2";
  const first = start.split(/[\r\n]/, 1)[0]!;
  if (first.startsWith("{") && namesPath(first)) return "jsonl";
  if (/^[\[{]/.test(start)) return "ssv2";
  return formatOfHeader(first);
}

/**
 * @param folder A folder.
 * @returns "hmdb51" where the split files of HMDB51 lie in it, else "folder".
 */
export async function formatOfFolder(folder: string): Promise<ListFormat> {
  for await (const { name, isFile } of Deno.readDir(folder)) if (isFile && HMDB51_LIST.test(name)) return "hmdb51";
  return "folder";
}

function formatOfHeader(line: string): ListFormat {
  const separator = separatorOf(line);
  const names = line.split(separator).map((name) => name.trim().replace(/^"(.*)"$/, "$1").toLowerCase());
  if (names.includes("youtube_id")) return "kinetics";
  const known = Object.values(COLUMN_NAMES).map((aliases) => names.some((name) => aliases.some((a) => a === name)));
  // A header that lacks the path is a mistake in a list with columns; one column alone may be a path called "video".
  return names.length > 1 && known.filter(Boolean).length > 1 ? "csv" : "videomae";
}

/** Whether a text is a JSON object that names a path as lists with columns do. */
function namesPath(text: string | undefined): boolean {
  try {
    const names = Object.keys(JSON.parse(text ?? "null") ?? {}).map((name) => name.toLowerCase());
    return names.some((name) => COLUMN_NAMES.path.some((path) => path === name));
  } catch {
    return false;
  }
}
