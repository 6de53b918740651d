/**
 * Lists of clips: which files, which labels. `readClipList` reads every supported format, recognises it if asked to, and
 * holds all of them to the same rules: no path leaves the folder of videos, no clip comes twice, no list is empty. Whether
 * a file is there is not asked: a missing clip is a bad clip, found when it is decoded.
 */
import { createHash } from "node:crypto";
import { resolve } from "node:path";
import { type ListEntry, type ListSource, type ParsedList, readListText } from "./_list_source.ts";
import { VideoRoot } from "./_video_root.ts";
import { parseFolder } from "./folder.ts";
import { parseKinetics } from "./kinetics.ts";
import { ListError } from "./list_error.ts";
import { parseSsv2 } from "./ssv2.ts";
import { parseVideoMaeList } from "./videomae_list.ts";

export { ListError } from "./list_error.ts";

/** A clip of a list. */
export interface ListedClip {
  /** What the list calls it: a path, or an id. It does not depend on where the videos lie. */
  name: string;
  /** The file, inside the folder of videos. */
  path: string;
  /** Number of its class, or null where the list has no labels. */
  label: number | null;
}

/** A list of clips. */
export interface ClipList {
  /** At least one, in the order of the list. */
  clips: ListedClip[];
  /** Names of the labels, or null where they are mere numbers. */
  classes: string[] | null;
  /** The format it had. */
  format: ListFormat;
  /** Hash of all names, labels and classes; the same for the same clips wherever list and videos lie. */
  sha256: string;
}

/** A format of lists. */
export type ListFormat = "ssv2" | "kinetics" | "videomae" | "folder";

/** Which list to read. */
export interface ClipListOptions {
  /** The list, or a folder of clips. */
  list: string;
  /** Folder that its paths start from; nothing outside it is used. A folder of clips is its own root. */
  root: string;
  /** Format of the list; "auto" looks at its first line. */
  format: ListFormat | "auto";
  /** Classes of the training list, which the labels of this list must belong to. */
  classes?: readonly string[] | null;
}

const PARSERS: Record<ListFormat, (source: ListSource) => Promise<ParsedList>> = {
  ssv2: parseSsv2,
  kinetics: parseKinetics,
  videomae: parseVideoMaeList,
  folder: parseFolder,
};

/**
 * Reads a list of clips.
 *
 * @param options Which list.
 * @returns Its clips.
 * @throws {ListError} The list cannot be read, is empty, or names a clip twice or outside the root; the message says
 * where and what to do.
 */
export async function readClipList(options: ClipListOptions): Promise<ClipList> {
  const { list, classes: given = null } = options;
  const isFolder = (await statOf(list, list, "there is no such list")).isDirectory;
  if (isFolder !== (options.format === "folder") && options.format !== "auto") {
    const found = isFolder ? "is a folder" : "is a file";
    throw new ListError(list, null, `${found}, which is no list of the format "${options.format}"; try --format auto`);
  }
  const root = isFolder ? list : options.root;
  if (!(await statOf(root, list, `the folder of videos ${root} does not exist; name it with --videos`)).isDirectory) {
    throw new ListError(list, null, `${root} is not a folder; name the folder of videos with --videos`);
  }
  const text = isFolder ? "" : await readListText(list);
  const format = isFolder ? "folder" : options.format === "auto" ? formatOf(text) : options.format;
  const source: ListSource = { path: list, text, root: await Deno.realPath(root), classes: given };
  const { entries, classes } = await PARSERS[format](source);
  if (entries.length === 0) {
    throw new ListError(list, null, `holds no clips (format "${format}"); name another list or --format`);
  }
  const clips = placeClips(list, new VideoRoot(resolve(root), source.root), entries);
  const hash = createHash("sha256").update(JSON.stringify({ classes }));
  for (const { name, label } of clips) hash.update(`\n${JSON.stringify([name, label])}`);
  return { clips, classes: classes === null ? null : [...classes], format, sha256: hash.digest("hex") };
}

/** Tells a format by the first line of a list. */
function formatOf(text: string): ListFormat {
  const start = text.trimStart();
  if (/^[\[{]/.test(start)) return "ssv2";
  const header = start.split(/[\r\n]/, 1)[0]!;
  return /(?:^|[,"])youtube_id(?:$|[,"])/.test(header) ? "kinetics" : "videomae";
}

async function statOf(path: string, list: string, missing: string): Promise<Deno.FileInfo> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new ListError(list, null, missing);
    throw error;
  }
}

/** @throws {ListError} A path leads out of the root, or comes twice. */
function placeClips(list: string, root: VideoRoot, entries: readonly ListEntry[]): ListedClip[] {
  const lines = new Map<string, number | null>();
  return entries.map(({ name, file, label, line }) => {
    const { path, problem } = root.place(file);
    if (problem !== null) {
      const mend = "move the file into it or name another --videos";
      throw new ListError(list, line, `${JSON.stringify(file)} ${problem} the folder of videos ${root.given}; ${mend}`);
    }
    const before = lines.get(path);
    if (before !== undefined) {
      const where = before === null ? "" : ` on line ${before}`;
      throw new ListError(list, line, `the clip ${name} was listed before${where}; remove one of the two`);
    }
    lines.set(path, line);
    return { name, path, label };
  });
}
