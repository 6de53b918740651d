/**
 * Checkpoints as folders: `step-00001000/` with the files that the caller writes and a `state.json` that lists them with
 * size and SHA-256. A checkpoint is written under a temporary name, fsynced and renamed, so a crash leaves it whole or
 * not at all; it is verified when it is taken up again, and an older one is taken if it is damaged. What the files hold
 * is the caller's business.
 */
import fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { readState, STATE, type StateFile, verify } from "./_checkpoint_state.ts";
import { type Json } from "./shards/config_hash.ts";
import { sha256OfFile } from "./shards/file_hash.ts";
import { orDiskFull } from "./shards/_full_disk.ts";
import { errorCode, syncFolder } from "./shards/_publish.ts";

const NAME = /^step-(\d{8,})$/;
const TEMPORARY = ".tmp-";

/** A checkpoint that was found whole. */
export interface Checkpoint {
  /** Optimiser steps that it holds. */
  step: number;
  /** Its folder. */
  path: string;
  /** What the caller gave to keep beside the files. */
  state: Json;
}

/** What to save. */
export interface CheckpointContent {
  /** Optimiser steps done. */
  step: number;
  /** Small values to keep, such as the seed and the hash of the settings. */
  state: Json;
  /** Lower is better: the best checkpoint is kept beside the newest. @default none */
  score?: number;
  /** Writes the files, flat, into the folder. */
  write: (folder: string) => void | Promise<void>;
}

/** File system calls that tests replace. */
export interface CheckpointCalls {
  /** @default node:fs renameSync */
  readonly rename?: (from: string, to: string) => void;
  /** @default node:fs fsyncSync */
  readonly sync?: (fd: number) => void;
}

/** Checkpoints of one training. One writer at a time: the run's lock sees to that. */
export class CheckpointFolder {
  readonly #calls: Required<CheckpointCalls>;

  /**
   * @param path The folder; made when the first checkpoint is saved.
   * @param keep How many of the newest stay, at least 1.
   * @param warn Called with a sentence for every damaged checkpoint.
   * @param calls File system calls, for tests.
   */
  constructor(
    readonly path: string,
    readonly keep: number,
    private readonly warn: (message: string) => void,
    calls: CheckpointCalls = {},
  ) {
    this.#calls = { rename: fs.renameSync, sync: fs.fsyncSync, ...calls };
    if (!Number.isInteger(keep) || keep < 1) {
      throw new RangeError(`Cannot keep ${keep} checkpoints: expected at least 1`);
    }
  }

  /**
   * Saves a checkpoint and removes those that are no longer kept. One of the same step is replaced.
   *
   * @returns The folder of the checkpoint, whole and on the disk.
   * @throws {DiskFullError} if there is no space for it; the earlier ones stay
   */
  async save(content: CheckpointContent): Promise<string> {
    const { step } = content;
    if (!Number.isSafeInteger(step) || step < 0) {
      throw new RangeError(`Cannot save step ${step}: expected a whole number`);
    }
    const final = join(this.path, nameOf(step));
    await orDiskFull(final, () => this.#save(content, final));
    this.tidy();
    return final;
  }

  async #save({ step, state, score, write }: CheckpointContent, final: string): Promise<void> {
    fs.mkdirSync(this.path, { recursive: true });
    this.#removeLeftovers();
    const temporary = join(this.path, `${TEMPORARY}${nameOf(step)}-${crypto.randomUUID()}`);
    fs.mkdirSync(temporary);
    try {
      await write(temporary);
      const files = await this.#seal(temporary);
      const content: StateFile = { step, score: score ?? null, files, state };
      fs.writeFileSync(join(temporary, STATE), JSON.stringify(content, null, 2) + "\n");
      this.#syncFile(join(temporary, STATE));
      syncFolder(temporary);
      this.#publish(temporary, final);
      syncFolder(this.path);
    } catch (error) {
      fs.rmSync(temporary, { recursive: true, force: true });
      throw error;
    }
  }

  /** A folder that has entries cannot be replaced by rename: the old one steps aside first. */
  #publish(temporary: string, final: string): void {
    const { rename } = this.#calls;
    const old = fs.existsSync(final) ? `${temporary}-old` : undefined;
    // A kill between the two renames costs this step; the run then goes on from the checkpoint before.
    if (old !== undefined) rename(final, old);
    try {
      rename(temporary, final);
    } catch (error) {
      if (old !== undefined) rename(old, final);
      throw error;
    }
  }

  async #seal(folder: string): Promise<StateFile["files"]> {
    const files: StateFile["files"] = {};
    for (const name of fs.readdirSync(folder).sort()) {
      if (name === STATE) {
        throw new TypeError(`A checkpoint's ${STATE} is written by the checkpoint folder, not by its caller`);
      }
      const path = join(folder, name);
      this.#syncFile(path);
      files[name] = { bytes: fs.statSync(path).size, sha256: await sha256OfFile(path) };
    }
    return files;
  }

  #syncFile(path: string): void {
    const fd = fs.openSync(path, "r+");
    try {
      this.#calls.sync(fd);
    } finally {
      fs.closeSync(fd);
    }
  }

  /** The newest whole checkpoint; damaged ones are passed over with a warning. Undefined if there is none. */
  async latest(): Promise<Checkpoint | undefined> {
    for (const step of this.steps().reverse()) {
      const path = join(this.path, nameOf(step));
      const found = await verify(path);
      if (typeof found !== "string") return { step, path, state: found.state };
      this.warn(`Checkpoint ${path} is damaged (${found}): the one before it is taken`);
    }
    return undefined;
  }

  /** Steps of all checkpoints, damaged ones too, ascending. */
  steps(): number[] {
    return names(this.path).flatMap((name) => NAME.exec(name)?.[1] ?? []).map(Number).sort((a, b) => a - b);
  }

  /**
   * Moves all checkpoints out of the way, so that a training of other settings can begin.
   *
   * @returns The folder they lie in now, beside this one.
   */
  setAside(): string {
    const kept = this.steps().map(nameOf);
    const number = names(dirname(this.path)).filter((name) => name.startsWith(`${basename(this.path)}.old-`)).length +
      1;
    const aside = `${this.path}.old-${number}`;
    fs.mkdirSync(aside);
    for (const name of kept) fs.renameSync(join(this.path, name), join(aside, name));
    return aside;
  }

  /** Removes what killed writers left, and checkpoints that are no longer kept. */
  tidy(): void {
    this.#removeLeftovers();
    this.#prune();
  }

  #removeLeftovers(): void {
    for (const name of names(this.path)) {
      if (name.startsWith(TEMPORARY)) fs.rmSync(join(this.path, name), { recursive: true, force: true });
    }
  }

  #prune(): void {
    const steps = this.steps();
    const scores = steps.map((step) => readState(join(this.path, nameOf(step)))?.score ?? Infinity);
    const best = scores.indexOf(Math.min(...scores));
    steps.slice(0, -this.keep).forEach((step, i) => {
      if (i === best && scores[i] !== Infinity) return;
      const path = join(this.path, nameOf(step));
      // Renamed first, so that a crash in the middle of removing does not leave a damaged checkpoint.
      const temporary = join(this.path, `${TEMPORARY}${nameOf(step)}-${crypto.randomUUID()}`);
      fs.renameSync(path, temporary);
      fs.rmSync(temporary, { recursive: true, force: true });
    });
  }
}

function nameOf(step: number): string {
  return `step-${String(step).padStart(8, "0")}`;
}

function names(folder: string): string[] {
  try {
    return fs.readdirSync(folder);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}
