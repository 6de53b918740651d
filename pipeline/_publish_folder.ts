/** Gives a finished folder its name, so that a crash leaves either no folder or a whole one. */
import fs from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { syncFolder } from "./shards/_publish.ts";

/** Writes one file. */
export type FileWriter = (path: string) => void | Promise<void>;

/**
 * Writes a folder under a temporary name and renames it when it is whole and on the disk.
 *
 * @param out Must not exist, or be an empty folder.
 * @param contents What writes each file, by name.
 */
export async function publishFolder(out: string, contents: ReadonlyMap<string, FileWriter>): Promise<void> {
  const parent = dirname(resolve(out));
  fs.mkdirSync(parent, { recursive: true });
  const temporary = fs.mkdtempSync(join(parent, `.tmp-${basename(resolve(out))}-`));
  try {
    for (const [name, write] of contents) {
      const path = join(temporary, name);
      await write(path);
      const fd = fs.openSync(path, "r+");
      try {
        fs.fsyncSync(fd);
      } finally {
        fs.closeSync(fd);
      }
    }
    fs.chmodSync(temporary, 0o755);
    syncFolder(temporary);
    // Some systems do not rename onto an empty folder.
    if (fs.existsSync(out)) fs.rmdirSync(out);
    fs.renameSync(temporary, out);
    syncFolder(parent);
  } catch (error) {
    fs.rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
}
