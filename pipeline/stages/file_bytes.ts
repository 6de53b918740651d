/** How a clip that could not be decoded is known again: by the length of its file, or of the files of its folder. */
import fs from "node:fs";
import { join } from "node:path";

/** Length of a file, in a folder of pictures that of all files; null if there is none that can be looked at. */
export function fileBytes(path: string): number | null {
  try {
    const stat = fs.statSync(path);
    if (!stat.isDirectory()) return stat.size;
    return fs.readdirSync(path).reduce(
      (sum, name) => sum + (fs.statSync(join(path, name), { throwIfNoEntry: false })?.size ?? 0),
      0,
    );
  } catch {
    return null;
  }
}

/** Whether there is a file or folder that can be looked at. */
export function isThere(path: string): boolean {
  return fs.existsSync(path);
}
