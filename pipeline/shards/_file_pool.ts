/**
 * Files open for reading, at most a fixed number of idle ones. A file may be open more than once: background reads of one
 * descriptor wait for each other, so reads that shall run at the same time each take their own.
 */
import fs from "node:fs";

/** A bounded set of open files, least recently used closed first. */
export class FilePool implements Disposable {
  readonly #capacity: number;
  readonly #check: (fd: number, path: string) => void;
  /** Idle files, oldest first. */
  #idle: { path: string; fd: number }[] = [];
  #closed = false;

  /**
   * @param capacity Idle files to keep.
   * @param check Called on each newly opened file; if it throws, the file is closed.
   */
  constructor(capacity: number, check: (fd: number, path: string) => void) {
    if (!Number.isSafeInteger(capacity) || capacity < 1) {
      throw new RangeError(`A pool keeps 1 or more files open: found ${capacity}`);
    }
    this.#capacity = capacity;
    this.#check = check;
  }

  /** Idle files at present. */
  get idle(): number {
    return this.#idle.length;
  }

  /** Runs `use` with a descriptor that nobody else has meanwhile. If it throws, the file is closed rather than kept. */
  withFile<T>(path: string, use: (fd: number) => T): T {
    const fd = this.#take(path);
    let kept = false;
    try {
      const result = use(fd);
      kept = this.#keep(path, fd);
      return result;
    } finally {
      if (!kept) fs.closeSync(fd);
    }
  }

  /** {@linkcode withFile} for work in the background. */
  async withFileAsync<T>(path: string, use: (fd: number) => Promise<T>): Promise<T> {
    const fd = this.#take(path);
    let kept = false;
    try {
      const result = await use(fd);
      kept = this.#keep(path, fd);
      return result;
    } finally {
      if (!kept) fs.closeSync(fd);
    }
  }

  /** Closes the idle files of a path, whose file was replaced. */
  drop(path: string): void {
    for (const { fd } of this.#idle.filter((entry) => entry.path === path)) fs.closeSync(fd);
    this.#idle = this.#idle.filter((entry) => entry.path !== path);
  }

  /** Closes the idle files now and those in use when their work is done. */
  [Symbol.dispose](): void {
    this.#closed = true;
    for (const { fd } of this.#idle.splice(0)) fs.closeSync(fd);
  }

  #take(path: string): number {
    const at = this.#idle.findLastIndex((entry) => entry.path === path);
    if (at >= 0) return this.#idle.splice(at, 1)[0]!.fd;
    const fd = fs.openSync(path, "r");
    try {
      this.#check(fd, path);
    } catch (error) {
      fs.closeSync(fd);
      throw error;
    }
    return fd;
  }

  #keep(path: string, fd: number): boolean {
    if (this.#closed) return false;
    this.#idle.push({ path, fd });
    if (this.#idle.length > this.#capacity) fs.closeSync(this.#idle.shift()!.fd);
    return true;
  }
}
