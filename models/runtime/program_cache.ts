/**
 * Compiled programs on disk, so that a program is compiled once on a machine and not in every process: one file a program,
 * named after the SHA-256 of all that its machine code depends on. `TUBELET_PROGRAM_CACHE` names another folder than
 * `tubelet/programs` in the user's cache, or is `off`.
 *
 * A file is a mark, the SHA-256 of name and content, and the content. It appears whole or not at all, so any number of
 * processes may share a folder; one that is cut short or edited is removed and its program compiled. The check does not
 * stand against someone who may write to the folder, who could have any code executed: a folder that others may write to
 * is not used. When the folder is larger than its limit, what was not used for longest goes.
 */
import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder } from "./_cache_folder.ts";

/** The variable that names the folder, or is `off`. */
export const PROGRAM_CACHE_VARIABLE = "TUBELET_PROGRAM_CACHE";

const ENDING = ".program";
const UNFINISHED = ".new-";
const MARK = new TextEncoder().encode("tubelet program 1\n");
const HASH_BYTES = 32;
const LIMIT_BYTES = 2 ** 29;
/** An unfinished file of this age, ms, was left by a process that was killed. */
const ABANDONED_MS = 3_600_000;

/** How a program is made, and made again from bytes. */
export interface Compilation<T> {
  compile(): Promise<T>;
  /** Makes bytes of a compiled program; undefined where that cannot be done. */
  serialize(program: T): Promise<Uint8Array | undefined>;
  load(bytes: Uint8Array<ArrayBuffer>): Promise<T>;
}

/** Options of {@linkcode ProgramCache}. */
export interface ProgramCacheOptions {
  /** Made when it is first written to. */
  readonly folder: string;
  /** Size that the files together may have, bytes. @default 512 MiB */
  readonly limitBytes?: number;
  /** Told, in one line and once, why programs are not kept. */
  readonly warn?: (message: string) => void;
}

/** The SHA-256 of parts, as the name of a program; any difference in any part gives another. */
export function programKey(parts: { readonly [name: string]: string | number | boolean | null }): string {
  return createHash("sha256").update(JSON.stringify(Object.entries(parts).sort())).digest("hex");
}

/**
 * The cache of this user.
 *
 * @returns undefined if it is switched off, or the environment may not be read or names no home
 */
export function userProgramCache(warn?: (message: string) => void): ProgramCache | undefined {
  if (Deno.permissions.querySync({ name: "env" }).state !== "granted") return undefined;
  const named = Deno.env.get(PROGRAM_CACHE_VARIABLE);
  if (named === "off") return undefined;
  const folder = named ? named : cacheFolder("programs");
  return folder === undefined ? undefined : new ProgramCache({ folder, ...(warn && { warn }) });
}

/** Compiled programs in a folder. */
export class ProgramCache {
  readonly #folder: string;
  readonly #limitBytes: number;
  readonly #warn: (message: string) => void;
  /** Whether something went wrong that will go wrong again. */
  #givenUp = false;

  constructor({ folder, limitBytes = LIMIT_BYTES, warn = () => {} }: ProgramCacheOptions) {
    this.#folder = folder;
    this.#limitBytes = limitBytes;
    this.#warn = warn;
  }

  /** A program out of the folder, or compiled and kept there. Trouble with the folder is a warning, no error. */
  async get<T>(key: string, { compile, serialize, load }: Compilation<T>): Promise<T> {
    const bytes = this.#attempt(() => this.#read(key));
    if (bytes !== undefined) {
      try {
        return await load(bytes);
      } catch {
        // Whole, and yet refused by the plugin: as good as damaged.
        this.#attempt(() => remove(this.#path(key)));
      }
    }
    const program = await compile();
    const made = this.#givenUp ? undefined : await serialize(program);
    if (made !== undefined) this.#attempt(() => this.#write(key, made));
    return program;
  }

  #path(key: string): string {
    return join(this.#folder, key + ENDING);
  }

  /** Does something with the folder; after a failure nothing more. */
  #attempt<R>(work: () => R): R | undefined {
    if (this.#givenUp) return undefined;
    try {
      return work();
    } catch (error) {
      this.#givenUp = true;
      const reason = error instanceof Error ? error.message : String(error);
      this.#warn(
        `Compiled programs are not kept in ${this.#folder}: ${reason}. Mend that, or set ${PROGRAM_CACHE_VARIABLE} to ` +
          "another folder or to off",
      );
      return undefined;
    }
  }

  /** The checked content of a file; undefined if there is none. */
  #read(key: string): Uint8Array<ArrayBuffer> | undefined {
    const path = this.#path(key);
    let file: Uint8Array<ArrayBuffer>;
    try {
      file = Deno.readFileSync(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
    checkOwner(this.#folder);
    const content = file.subarray(MARK.length + HASH_BYTES);
    if (!sameBytes(file.subarray(0, MARK.length + HASH_BYTES), head(key, content))) {
      remove(path);
      return undefined;
    }
    touch(path);
    return content;
  }

  #write(key: string, content: Uint8Array): void {
    if (content.length > this.#limitBytes) return;
    Deno.mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    checkOwner(this.#folder);
    const unfinished = Deno.makeTempFileSync({ dir: this.#folder, prefix: UNFINISHED });
    try {
      using file = Deno.openSync(unfinished, { write: true });
      for (const part of [head(key, content), content]) {
        for (let done = 0; done < part.length;) done += file.writeSync(part.subarray(done));
      }
      Deno.renameSync(unfinished, this.#path(key));
    } catch (error) {
      remove(unfinished);
      throw error;
    }
    this.#trim();
  }

  /** Removes what was not used for longest, and what killed processes left. */
  #trim(): void {
    const files = [...Deno.readDirSync(this.#folder)].flatMap(({ name }) => {
      const path = join(this.#folder, name);
      const info = statSync(path, { throwIfNoEntry: false });
      return info === undefined ? [] : [{ path, name, bytes: info.size, used: info.mtimeMs }];
    });
    for (const { path, name, used } of files) {
      if (name.startsWith(UNFINISHED) && Date.now() - used > ABANDONED_MS) remove(path);
    }
    const programs = files.filter(({ name }) => name.endsWith(ENDING)).sort((a, b) => a.used - b.used);
    let bytes = programs.reduce((sum, program) => sum + program.bytes, 0);
    for (const program of programs) {
      if (bytes <= this.#limitBytes) return;
      remove(program.path);
      bytes -= program.bytes;
    }
  }
}

/** What stands before the content. */
function head(key: string, content: Uint8Array): Uint8Array {
  return Uint8Array.of(...MARK, ...createHash("sha256").update(key).update(content).digest());
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** What lies in the folder is executed, so nobody else may put something there. */
function checkOwner(folder: string): void {
  if (Deno.build.os === "windows") return;
  const { mode, uid } = statSync(folder);
  const OTHERS_WRITE = 0o022;
  if ((mode & OTHERS_WRITE) !== 0) throw new Error(`others may write to it (chmod go-w ${folder})`);
  const known = Deno.permissions.querySync({ name: "sys", kind: "uid" }).state === "granted";
  if (known && uid !== Deno.uid()) throw new Error("it belongs to another user");
}

function remove(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    // Another process was faster.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Notes that a file was used; in a folder that may only be read it stays as it is. */
function touch(path: string): void {
  try {
    const now = new Date();
    Deno.utimeSync(path, now, now);
  } catch {
    // It ages as if it had not been used.
  }
}
