/** How a clip that could not be decoded is known again: by the length of its file. */
import fs from "node:fs";

/** Length of a file, null if there is none that can be looked at. */
export function fileBytes(path: string): number | null {
  try {
    return fs.statSync(path).size;
  } catch {
    return null;
  }
}
