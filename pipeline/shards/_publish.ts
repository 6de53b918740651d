/** Gives a finished file its name so that a crash leaves either no file or a whole one. */
import fs from "node:fs";
import { dirname } from "node:path";
import { orDiskFull } from "./_full_disk.ts";
import { TemporaryFile } from "./_temporary_file.ts";

/** File system calls that tests replace. */
export interface PublishCalls {
  /** @default node:fs linkSync */
  readonly link?: (from: string, to: string) => void;
  /** @default node:fs fsync */
  readonly sync?: (fd: number) => Promise<void>;
  /** Writes all bytes at an offset. */
  readonly write?: (fd: number, bytes: Uint8Array, offset: number) => void;
}

const NO_HARD_LINKS = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EXDEV"]);

/** The system's name of an error, such as `"ENOENT"`. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/**
 * Publishes a temporary file under its final name without replacing a file that is there.
 *
 * A hard link cannot overwrite, so of several writers one wins. Where the file system has no hard links, the name is
 * checked and then renamed, which leaves a moment in which two writers may both win; their files are equally good.
 *
 * @returns False if the name was taken; the temporary file stays for its owner to remove.
 */
export function publish(temporary: string, final: string, calls: PublishCalls = {}): boolean {
  const won = linkOrRename(temporary, final, calls.link ?? fs.linkSync);
  syncFolder(dirname(final));
  return won;
}

function linkOrRename(temporary: string, final: string, link: (from: string, to: string) => void): boolean {
  try {
    link(temporary, final);
  } catch (error) {
    const code = errorCode(error);
    if (code === "EEXIST") return false;
    if (code === undefined || !NO_HARD_LINKS.has(code)) throw error;
    if (fs.existsSync(final)) return false;
    fs.renameSync(temporary, final);
    return true;
  }
  fs.unlinkSync(temporary);
  return true;
}

/** Writes a small file through a temporary name, replacing an older one whole. */
export function writeFileAtomically(path: string, text: string): void {
  orDiskFull(path, () => {
    using temporary = new TemporaryFile(path);
    fs.writeFileSync(temporary.fd, text);
    fs.fsyncSync(temporary.fd);
    fs.renameSync(temporary.path, path);
    syncFolder(dirname(path));
  });
}

/** Makes names in a folder durable. Some systems cannot open a folder; there the name follows a moment later. */
export function syncFolder(folder: string): void {
  let fd: number;
  try {
    fd = fs.openSync(folder, "r");
  } catch {
    return;
  }
  try {
    fs.fsyncSync(fd);
  } catch (error) {
    if (!["EINVAL", "ENOTSUP", "EBADF"].includes(errorCode(error) ?? "")) throw error;
  } finally {
    fs.closeSync(fd);
  }
}
