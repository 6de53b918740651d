/** Finds video files in folders by their names. */
import { join, parse } from "node:path";

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

/** Whether a name ends like a video's. */
function isVideoName(name: string): boolean {
  return VIDEO_ENDINGS.includes(parse(name).ext.toLowerCase());
}

/** A folder or a video in a folder. */
export interface VideoEntry {
  name: string;
  isFolder: boolean;
}

/**
 * @param folder Where to look; links to folders count as folders.
 * @returns Its folders and videos, by name; hidden ones and other files are passed over.
 */
export async function readVideoFolder(folder: string): Promise<VideoEntry[]> {
  const found: VideoEntry[] = [];
  for await (const { name, isDirectory, isSymlink } of Deno.readDir(folder)) {
    if (name.startsWith(".")) continue;
    const isFolder = isDirectory || isSymlink && await leadsToFolder(join(folder, name));
    if (isFolder || isVideoName(name)) found.push({ name, isFolder });
  }
  return found.sort((a, b) => a.name < b.name ? -1 : 1);
}

/**
 * @param root Where to look.
 * @param depth Levels of folders below it.
 * @returns Files relative to the root, in order of their paths, by their name without folder and ending.
 */
export async function findVideos(root: string, depth: number): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  const visit = async (below: string, left: number): Promise<void> => {
    for (const { name, isFolder } of await readVideoFolder(join(root, below))) {
      const path = below === "" ? name : `${below}/${name}`;
      if (isFolder) {
        if (left > 0) await visit(path, left - 1);
        continue;
      }
      const stem = parse(name).name;
      const same = found.get(stem);
      if (same === undefined) found.set(stem, [path]);
      else same.push(path);
    }
  };
  await visit("", depth);
  return found;
}

async function leadsToFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch {
    return false; // a link to nothing; where it is a video's, decoding will say so
  }
}
