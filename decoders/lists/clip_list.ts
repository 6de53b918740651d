/**
 * Lists of clips: which files, which labels. `readClipList` reads every supported format, recognises it if asked to, and
 * holds all of them to the same rules: no path leaves the folder of videos, no clip comes twice, no list is empty. Whether
 * a file is there is not asked: a missing clip is a bad clip, found when it is decoded. `readClipLists` reads the two lists
 * of a training run. What is read depends on the names in list and folders, never on the order in which a folder gives them.
 */
import { createHash } from "node:crypto";
import { resolve } from "node:path";
import { ClipCollector } from "./_clip_collector.ts";
import { formatOfFile, formatOfFolder } from "./_detect.ts";
import { findValidationList } from "./_find_validation.ts";
import { type ListParser, type ListSource, readListText, type SplitName } from "./_list_source.ts";
import { VideoRoot } from "./_video_root.ts";
import { parseFolder } from "./folder.ts";
import { parseHmdb51 } from "./hmdb51.ts";
import { parseKinetics } from "./kinetics.ts";
import { clipRecord, type ListedClip, type ListFormat } from "./listed_clip.ts";
import { ListError } from "./list_error.ts";
import { parseCsvList, parseJsonList } from "./named_columns.ts";
import { parseSsv2 } from "./ssv2.ts";
import { parseUcf101 } from "./ucf101.ts";
import { parseVideoMaeList } from "./videomae_list.ts";

export { ListError } from "./list_error.ts";
export { LIST_FORMATS, type ListedClip, type ListFormat } from "./listed_clip.ts";

/** A list of clips. */
export interface ClipList {
  /** The list, as it was named or found. */
  list: string;
  /** At least one, in the order of the list. */
  clips: ListedClip[];
  /** Names of the labels, or null where they are mere numbers. */
  classes: string[] | null;
  /** The format it had. */
  format: ListFormat;
  /** The part of the list that was taken, or null where it does not part its clips. */
  split: SplitName | null;
  /** Files of the whole list that are not there, or null where nobody has looked. */
  missing: number | null;
  /** Hash of all names, labels, parts and classes; the same for the same clips wherever list and videos lie. */
  sha256: string;
}

/** Which list to read. */
export interface ClipListOptions {
  /** The list, or a folder of clips. */
  list: string;
  /** Folder that its paths start from; nothing outside it is used. A folder of clips is its own root. */
  root: string;
  /** Format of the list; "auto" looks at its name and its first lines. */
  format: ListFormat | "auto";
  /** Classes of the training list, which the labels of this list must belong to. */
  classes?: readonly string[] | null;
  /** Which clips to take where a list names the split of each. @default "train" */
  part?: "train" | "val";
}

const PARSERS: Record<ListFormat, ListParser> = {
  ssv2: parseSsv2,
  kinetics: parseKinetics,
  videomae: parseVideoMaeList,
  folder: parseFolder,
  ucf101: parseUcf101,
  hmdb51: parseHmdb51,
  csv: parseCsvList,
  jsonl: parseJsonList,
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
  const list = await readWhole(options);
  const split = options.part === "val" ? list.val : list.train;
  if (split === null) {
    const found = [...list.bySplit.keys()].filter((name) => name !== "").join(" and ");
    throw new ListError(options.list, null, `names no clips for ${options.part ?? "train"}, only for ${found}`);
  }
  return taken(list, split);
}

/** Which lists to read. */
export interface ClipListsOptions extends Omit<ClipListOptions, "classes" | "part"> {
  /** List of validation clips; null for none, "auto" to look for it in the list itself and beside it. */
  val: string | null;
}

/** The lists of a training run. */
export interface ClipLists {
  train: ClipList;
  /** Null where there is none. */
  val: ClipList | null;
  /** Where the validation clips come from. */
  valOrigin: "named" | "found" | "same-list" | null;
}

/**
 * Reads a training list and the validation list that belongs to it.
 *
 * @param options Which lists.
 * @returns Both, of the same classes.
 * @throws {ListError} As {@linkcode readClipList}.
 */
export async function readClipLists({ val: wanted, ...options }: ClipListsOptions): Promise<ClipLists> {
  const list = await readWhole(options);
  if (list.train === null) return { train: await readClipList(options), val: null, valOrigin: null }; // throws
  const train = taken(list, list.train);
  if (wanted === "auto" && list.val !== null && list.val !== list.train) {
    return { train, val: taken(list, list.val), valOrigin: "same-list" };
  }
  const path = wanted === "auto" ? await findValidationList(options.list, list.format) : wanted;
  if (path === null) return { train, val: null, valOrigin: null };
  const { classes } = train;
  const val = await readClipList({ ...options, list: path, classes, part: "val" });
  if (classes === null && val.classes !== null && train.clips.some(({ label }) => label !== null)) {
    const mend = "put the same classes.txt beside both, or write numbers in both";
    throw new ListError(path, null, `has names of classes where the training list has none; ${mend}`);
  }
  return { train, val, valOrigin: wanted === "auto" ? "found" : "named" };
}

/** A list with all its splits. */
interface WholeList extends Pick<ClipList, "list" | "classes" | "format" | "missing"> {
  bySplit: ReadonlyMap<SplitName | "", ListedClip[]>;
  /** Split to train on, or null where the list has several and none of them is for training. */
  train: SplitName | "" | null;
  /** Split to validate on, or null as above. */
  val: SplitName | "" | null;
}

async function readWhole(options: ClipListOptions): Promise<WholeList> {
  const { list, root: videos, format: wanted, classes: given = null } = options;
  const isFolder = (await statOf(list, list, "there is no such list")).isDirectory;
  if (wanted !== "auto" && wanted !== "hmdb51" && isFolder !== (wanted === "folder")) {
    const found = isFolder ? "is a folder" : "is a file";
    throw new ListError(list, null, `${found}, which is no list of the format "${wanted}"; try --format auto`);
  }
  const text = isFolder ? "" : await readListText(list);
  const detected = async () => isFolder ? await formatOfFolder(list) : formatOfFile(list, text);
  const format = wanted === "auto" ? await detected() : wanted;
  const root = format === "folder" ? list : videos;
  if (!(await statOf(root, list, `the folder of videos ${root} does not exist; name it with --videos`)).isDirectory) {
    throw new ListError(list, null, `${root} is not a folder; name the folder of videos with --videos`);
  }
  const source: ListSource = { path: list, text, root: await Deno.realPath(root), classes: given };
  const collector = new ClipCollector(list, new VideoRoot(resolve(root), source.root));
  const parsed = await PARSERS[format](source, collector.add);
  const { bySplit, classes } = collector.finish(parsed);
  if (bySplit.size === 0) {
    throw new ListError(list, null, `holds no clips (format "${format}"); name another list or --format`);
  }
  const [only] = bySplit.size === 1 ? bySplit.keys() : [];
  const first = (names: readonly (SplitName | "")[]) => only ?? names.find((name) => bySplit.has(name)) ?? null;
  const test: SplitName[] = bySplit.get("test")?.some(({ label }) => label !== null) ? ["test"] : [];
  const { missing } = parsed;
  return { list, classes, format, missing, bySplit, train: first(["train"]), val: first(["val", ...test]) };
}

function taken({ list, classes, format, missing, bySplit }: WholeList, split: SplitName | ""): ClipList {
  const clips = bySplit.get(split)!;
  const hash = createHash("sha256").update(JSON.stringify({ classes }));
  for (const clip of clips) hash.update(`\n${clipRecord(clip)}`);
  return { list, clips, classes, format, split: split || null, missing, sha256: hash.digest("hex") };
}

async function statOf(path: string, list: string, missing: string): Promise<Deno.FileInfo> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new ListError(list, null, missing);
    throw error;
  }
}
