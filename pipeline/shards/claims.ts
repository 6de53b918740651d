/**
 * Claims: who works on what in a folder that several processes or hosts share. A claim is a small file that link(2) puts
 * in place, so that of several takers one wins, on NFS too. Its holder touches it every few seconds. It is stale, and
 * may be taken over, when a watcher has seen it untouched for a minute of its own clock (clocks of hosts are never
 * compared), or at once where the watcher is on the same host and the holder's lock on the file is gone.
 *
 * Claims save work and keep nothing safe: a holder that only slept may go on beside the one who took its claim over.
 * Whatever they make must therefore be the same and be published by link(2).
 */
import fs from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { orDiskFull } from "./_full_disk.ts";
import { errorCode, publish } from "./_publish.ts";
import { TemporaryFile } from "./_temporary_file.ts";

const PREFIX = ".claim-";

/** Settings of {@linkcode Claims}. */
export interface ClaimsOptions {
  /** How long a claim must stay untouched to be taken over. @default 60_000 */
  readonly staleMs?: number;
  /** Time between two touches of the claims that are held. @default 5000 */
  readonly beatMs?: number;
  /** Clock for watching others, ms; it never runs backwards. @default performance.now */
  readonly now?: () => number;
  /** Name of this host. @default os.hostname() */
  readonly host?: string;
}

/** Who holds a claim. */
export interface ClaimOwner {
  readonly host: string;
  readonly pid: number;
}

/** A held claim; disposing of it gives it up. */
export type Claim = Disposable;

interface HeldClaim {
  readonly path: string;
  readonly file: TemporaryFile;
}

/** The claims of this process on a folder. Disposing of them gives all up. */
export class Claims implements Disposable {
  readonly #folder: string;
  readonly #staleMs: number;
  readonly #now: () => number;
  readonly #host: string;
  readonly #held = new Set<HeldClaim>();
  readonly #watched = new Map<string, { mark: string; since: number }>();
  readonly #beats: ReturnType<typeof setInterval>;

  constructor(folder: string, options: ClaimsOptions = {}) {
    const { staleMs = 60_000, beatMs = 5000, now = () => performance.now(), host = os.hostname() } = options;
    this.#folder = folder;
    this.#staleMs = staleMs;
    this.#now = now;
    this.#host = host;
    this.#beats = setInterval(() => this.#held.forEach(touch), beatMs);
    Deno.unrefTimer(Number(this.#beats));
  }

  /** Takes a claim. @returns Undefined if another holds it. */
  take(name: string): Claim | undefined {
    const path = join(this.#folder, PREFIX + name);
    if (fs.existsSync(path) && !this.#takeOver(path)) return undefined;
    const file = orDiskFull(path, () => this.#claim(path));
    if (file === undefined) return undefined;
    const held = { path, file };
    this.#held.add(held);
    return { [Symbol.dispose]: () => this.#release(held) };
  }

  #claim(path: string): TemporaryFile | undefined {
    const file = new TemporaryFile(path);
    let won = false;
    try {
      fs.writeFileSync(file.fd, JSON.stringify({ id: crypto.randomUUID(), host: this.#host, pid: Deno.pid }) + "\n");
      won = publish(file.path, path);
    } finally {
      if (!won) file[Symbol.dispose]();
    }
    return won ? file : undefined;
  }

  /** Names of all claims in the folder, own ones too. */
  names(): string[] {
    return fs.readdirSync(this.#folder).filter((name) => name.startsWith(PREFIX)).map((name) =>
      name.slice(PREFIX.length)
    );
  }

  /** Who holds a claim; undefined if nobody does or the file does not tell. */
  owner(name: string): ClaimOwner | undefined {
    return look(join(this.#folder, PREFIX + name))?.owner;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#beats);
    for (const held of this.#held) this.#release(held);
  }

  /** @returns True if the name is free now. */
  #takeOver(path: string): boolean {
    const seen = look(path);
    if (seen === undefined) return true;
    using dead = seen.owner?.host === this.#host ? lockIfDead(path) : undefined;
    if (dead === undefined && !this.#isUntouched(path, `${seen.text} ${seen.touched}`)) return false;
    // Only one of several takers gets the file away; had it been replaced meanwhile, it goes back.
    const aside = join(this.#folder, `.tmp-stale-claim-${crypto.randomUUID()}`);
    try {
      fs.renameSync(path, aside);
    } catch (error) {
      if (errorCode(error) === "ENOENT") return false;
      throw error;
    }
    const isStale = look(aside)?.text === seen.text;
    if (!isStale) publish(aside, path);
    fs.rmSync(aside, { force: true });
    this.#watched.delete(path);
    return isStale;
  }

  #isUntouched(path: string, mark: string): boolean {
    const now = this.#now(), before = this.#watched.get(path);
    if (before?.mark === mark) return now - before.since >= this.#staleMs;
    this.#watched.set(path, { mark, since: now });
    return false;
  }

  #release(held: HeldClaim): void {
    if (!this.#held.delete(held)) return;
    // Taken over by another, it is no longer ours to remove.
    if (look(held.path)?.inode === fs.fstatSync(held.file.fd).ino) fs.rmSync(held.path, { force: true });
    held.file[Symbol.dispose]();
  }
}

function touch({ file }: HeldClaim): void {
  const now = new Date();
  fs.futimesSync(file.fd, now, now);
}

/** A claim as it is. */
interface SeenClaim {
  /** All that the file says; an id makes it unlike that of any other claim. */
  readonly text: string;
  /** Undefined if the file does not tell. */
  readonly owner: ClaimOwner | undefined;
  /** When it was touched, by whatever clock. */
  readonly touched: number;
  readonly inode: number;
}

/** Looks through an open file, since NFS may answer from memory otherwise. Undefined if there is no claim. */
function look(path: string): SeenClaim | undefined {
  let fd: number;
  try {
    fd = fs.openSync(path, "r");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
  try {
    const text = fs.readFileSync(fd, "utf8"), { mtimeMs, ino } = fs.fstatSync(fd);
    return { text, owner: parseOwner(text), touched: mtimeMs, inode: ino };
  } finally {
    fs.closeSync(fd);
  }
}

function parseOwner(text: string): ClaimOwner | undefined {
  try {
    const { host, pid } = JSON.parse(text);
    return typeof host === "string" && Number.isInteger(pid) ? { host, pid } : undefined;
  } catch {
    return undefined;
  }
}

/** The lock of a claim whose holder has died on this host; undefined if it lives or the file system has no locks. */
function lockIfDead(path: string): Disposable | undefined {
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path, { read: true, write: true });
  } catch {
    return undefined;
  }
  try {
    if (file.tryLockSync(true)) return { [Symbol.dispose]: () => file.close() };
  } catch {
    // No locks here: only time tells.
  }
  file.close();
  return undefined;
}
