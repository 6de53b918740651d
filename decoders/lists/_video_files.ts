/** Finds files of videos and of pictures in folders by their names. */
import { join, parse } from "node:path";
import { ListError } from "./list_error.ts";

/** Endings that are taken for videos. */
const VIDEO_ENDINGS: readonly string[] = [
  ".mp4",
  ".webm",
  ".mkv",
  ".avi",
  ".mov",
  ".m4v",
  ".mpg",
  ".mpeg",
  ".flv",
  ".ts",
  ".ogv",
  ".3gp",
];

/** Endings that are taken for pictures; what they really are is looked at when they are decoded. */
const PICTURE_ENDINGS: readonly string[] = [".jpg", ".jpeg", ".png", ".webp", ".bmp"];

/** Whether a name ends like a video's. */
export function isVideoName(name: string): boolean {
  return VIDEO_ENDINGS.includes(parse(name).ext.toLowerCase());
}

/** What a folder holds that may be part of a data set. */
export interface MediaEntry {
  name: string;
  kind: "folder" | "video" | "picture";
}

/**
 * @param folder Where to look; links to folders count as folders.
 * @returns Its folders, videos and pictures, by name; hidden ones and other files are passed over.
 * @throws {ListError} A name is not UTF-8, so that nobody could open the file.
 */
export async function readMediaFolder(folder: string): Promise<MediaEntry[]> {
  const found: MediaEntry[] = [];
  for await (const { name, isDirectory, isSymlink } of Deno.readDir(folder)) {
    if (name.startsWith(".")) continue;
    const kind = isDirectory ? "folder" : mediaKind(name);
    const isFolder = isDirectory || isSymlink && kind === null && await leadsToFolder(join(folder, name));
    if (!isFolder && kind === null) continue;
    if (name.includes(REPLACEMENT) && !await isThere(join(folder, name))) {
      throw new ListError(folder, null, `holds ${JSON.stringify(name)}, a name that is not UTF-8; rename it`);
    }
    found.push({ name, kind: isFolder ? "folder" : kind! });
  }
  return found.sort((a, b) => a.name < b.name ? -1 : 1);
}

/** What a name ends like. */
function mediaKind(name: string): "video" | "picture" | null {
  const ending = parse(name).ext.toLowerCase();
  return VIDEO_ENDINGS.includes(ending) ? "video" : PICTURE_ENDINGS.includes(ending) ? "picture" : null;
}

/** What stands for bytes that are not UTF-8 in the names that a folder gives. */
const REPLACEMENT = "\ufffd";

/**
 * Where videos lie, by their names without ending. Of each there is one number instead of a path: folder and ending, so
 * that the index of a large folder stays small.
 */
export class VideoIndex {
  readonly #folders: string[] = [];
  readonly #endings: string[] = [];
  readonly #places = new Map<string, number | number[]>();

  private constructor() {}

  /**
   * @param root Where to look.
   * @param depth Levels of folders below it; folders below these count as clips, folders of pictures.
   * @throws {ListError} A name is not UTF-8.
   */
  static async read(root: string, depth: number): Promise<VideoIndex> {
    const index = new VideoIndex();
    const visit = async (below: string, left: number): Promise<void> => {
      const folder = index.#folders.push(below) - 1;
      for (const { name, kind } of await readMediaFolder(join(root, below))) {
        if (kind === "folder" && left > 0) await visit(below === "" ? name : `${below}/${name}`, left - 1);
        else if (kind === "folder") index.#add(name, folder, "");
        else if (kind === "video") index.#add(parse(name).name, folder, parse(name).ext);
      }
    };
    await visit("", depth);
    return index;
  }

  /**
   * @param stem Name without folder and ending.
   * @returns Files of that name relative to the root, in order of their paths.
   */
  find(stem: string): string[] {
    const places = this.#places.get(stem);
    if (places === undefined) return [];
    return [places].flat().map((place) => {
      const folder = this.#folders[Math.floor(place / ENDINGS)]!;
      return `${folder === "" ? "" : `${folder}/`}${stem}${this.#endings[place % ENDINGS]}`;
    });
  }

  /**
   * @param stem Name without folder and ending.
   * @param group Folder that is preferred where several files have the name, such as its class; blanks and underscores are
   * the same in it.
   * @returns The file relative to the root, or null if there is none.
   */
  locate(stem: string, group: string | null): string | null {
    const found = this.find(stem);
    const ofGroup = (file: string) => file.split("/").at(-2)?.replaceAll("_", " ") === group?.replaceAll("_", " ");
    return found.find(ofGroup) ?? found[0] ?? null;
  }

  #add(stem: string, folder: number, ending: string): void {
    let number = this.#endings.indexOf(ending);
    if (number < 0) number = this.#endings.push(ending) - 1;
    const place = folder * ENDINGS + number;
    const before = this.#places.get(stem);
    this.#places.set(stem, before === undefined ? place : [before, place].flat());
  }
}

/** More than there are endings, however they are written. */
const ENDINGS = 4096;

async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch {
    return false;
  }
}

async function leadsToFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch {
    return false; // a link to nothing; where it is a video's, decoding will say so
  }
}
