/**
 * Unfinished files, named `.tmp-*` beside their final place. Each is locked by its writer; the system drops the lock
 * when the writer dies, so a leftover of a killed process can be told from a file that another process is filling.
 */
import fs from "node:fs";
import { basename, dirname, join } from "node:path";

const PREFIX = ".tmp-";

/** A new file under a temporary name, open for reading and writing. Disposing of it closes and removes it. */
export class TemporaryFile implements Disposable {
  /** Where it lies for now. */
  readonly path: string;
  /** Descriptor for `node:fs` calls. */
  readonly fd: number;
  readonly #lock: Deno.FsFile;
  #open = true;

  /** @param final Path that the file is meant for; its folder must exist. */
  constructor(final: string) {
    for (;;) {
      const path = join(dirname(final), `${PREFIX}${basename(final)}-${crypto.randomUUID()}`);
      const fd = fs.openSync(path, "wx+");
      const lock = tryToLock(path);
      if (lock !== undefined) {
        this.path = path;
        this.fd = fd;
        this.#lock = lock;
        return;
      }
      // Another process took the file for a leftover between its creation and its lock: begin again.
      fs.closeSync(fd);
    }
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    fs.rmSync(this.path, { force: true });
    fs.closeSync(this.fd);
    this.#lock.close();
  }
}

/** The locked file; undefined if it is gone. A file system without locks gives the file unlocked. */
function tryToLock(path: string): Deno.FsFile | undefined {
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path, { read: true, write: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  try {
    file.lockSync(true);
  } catch {
    return file;
  }
  if (fs.existsSync(path)) return file;
  file.close();
  return undefined;
}

/**
 * Removes the unfinished files of dead processes from a folder. Files that a live process holds stay, and so does
 * everything where the file system has no locks.
 *
 * @param folder The folder.
 * @param isLeftover Which unfinished files may go. @default all
 * @returns Names of the removed files.
 */
export function removeLeftovers(folder: string, isLeftover: (name: string) => boolean = () => true): string[] {
  return fs.readdirSync(folder).filter((name) =>
    name.startsWith(PREFIX) && isLeftover(name) && removeUnlocked(join(folder, name))
  );
}

/** Names of the unfinished files that are meant for a path, whoever left them. */
export function unfinishedFiles(final: string): string[] {
  const start = `${PREFIX}${basename(final)}-`;
  return fs.readdirSync(dirname(final)).filter((name) => name.startsWith(start));
}

function removeUnlocked(path: string): boolean {
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path, { read: true, write: true });
  } catch {
    return false;
  }
  try {
    if (!file.tryLockSync(true)) return false;
    fs.rmSync(path, { force: true });
    return true;
  } catch {
    return false;
  } finally {
    file.close();
  }
}
