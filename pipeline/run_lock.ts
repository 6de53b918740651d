/**
 * The lock of a run folder: one process writes, a second one is told who does. The system drops the lock when its holder
 * dies, however it dies, so a stale lock is taken over without asking. The file stays; only the lock on it counts.
 */
import fs from "node:fs";
import os from "node:os";
import { join } from "node:path";

const NAME = ".lock";

/** Who holds a run folder. */
export interface LockOwner {
  pid: number;
  host: string;
  /** ISO 8601. */
  since: string;
}

/** Another process works on the run folder. */
export class RunLockedError extends Error {
  override readonly name = "RunLockedError";

  /** @param owner Undefined if it did not write its name yet. */
  constructor(readonly folder: string, readonly owner: LockOwner | undefined) {
    const who = owner ? `process ${owner.pid} on ${owner.host} since ${owner.since}` : "another process";
    super(`Run folder ${folder} is in use by ${who}: wait for it, end it, or name another folder with --run`);
  }
}

/** Options of {@linkcode lockRun}. */
export interface LockRunOptions {
  /** @default () => new Date() */
  now?: () => Date;
  /** Called with a sentence if the file system has no locks, so that two runs cannot be told apart. */
  warn?: (message: string) => void;
}

/** A held lock; disposing of it gives it up. */
export interface RunLock extends Disposable {
  readonly owner: LockOwner;
}

/**
 * Takes the lock of a run folder.
 *
 * @param folder An existing folder.
 * @throws {RunLockedError} if another process holds it
 */
export function lockRun(folder: string, options: LockRunOptions = {}): RunLock {
  const path = join(folder, NAME);
  const file = Deno.openSync(path, { read: true, write: true, create: true });
  try {
    if (!tryLock(file, folder, options)) throw new RunLockedError(folder, readOwner(path));
    const owner = { pid: Deno.pid, host: os.hostname(), since: (options.now?.() ?? new Date()).toISOString() };
    file.truncateSync(0);
    file.writeSync(new TextEncoder().encode(JSON.stringify(owner) + "\n"));
    return { owner, [Symbol.dispose]: () => release(file) };
  } catch (error) {
    file.close();
    throw error;
  }
}

/** False if another holds the lock; a file system without locks counts as free, with a warning. */
function tryLock(file: Deno.FsFile, folder: string, options: LockRunOptions): boolean {
  try {
    return file.tryLockSync(true);
  } catch (error) {
    options.warn?.(
      `The file system of ${folder} has no locks (${(error as Error).message}): see that only one run uses it`,
    );
    return true;
  }
}

/**
 * Gives the lock up and closes the file. Closing alone is not enough: a child process that is just being started holds
 * a copy of the file until it runs its own program.
 */
function release(file: Deno.FsFile): void {
  try {
    file.unlockSync();
  } catch {
    // A file system without locks.
  }
  file.close();
}

function readOwner(path: string): LockOwner | undefined {
  try {
    const { pid, host, since } = JSON.parse(fs.readFileSync(path, "utf8"));
    return Number.isInteger(pid) && typeof host === "string" && typeof since === "string"
      ? { pid, host, since }
      : undefined;
  } catch {
    return undefined;
  }
}
