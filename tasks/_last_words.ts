/**
 * What a task is doing, kept in a small file for whoever started it: a fault inside a native library or the lack of
 * memory ends a process without a chance to speak. A note is one write of some 200 bytes; it survives the process, not the
 * machine.
 */
import type { Progress } from "../pipeline/progress.ts";

/** What was going on. */
export interface LastWords {
  /** Stage, as progress shows it, with its count. */
  stage?: { readonly name: string; readonly unit: string; readonly done: number; readonly total: number } | undefined;
  /** What the engine does, such as "running the program amd_step". */
  engine?: string;
}

/** The variables by which a task knows the file, and the process that started it. */
export const LAST_WORDS = "TUBELET_LAST_WORDS";
export const LAUNCHER = "TUBELET_LAUNCHER";
/** A Ctrl-C in a terminal reaches launcher and task alike; what the launcher passes on must not count twice. */
export const PASSED_ON = "SIGUSR2";

/** Keeps a task's last words. */
export interface Notes {
  /** Adds to what is known; the file holds it at return. */
  note(words: LastWords): void;
}

/** Keeps notes in a file. */
export class NoteFile implements Notes {
  readonly #file: Deno.FsFile;
  readonly #encoder = new TextEncoder();
  #words: LastWords = {};

  constructor(path: string) {
    this.#file = Deno.openSync(path, { write: true });
  }

  note(words: LastWords): void {
    this.#words = { ...this.#words, ...words };
    // The rest of a longer note stays behind the line end, where nobody reads it.
    const line = this.#encoder.encode(JSON.stringify(this.#words) + "\n");
    try {
      this.#file.seekSync(0, Deno.SeekMode.Start);
      this.#file.writeSync(line);
    } catch {
      // A full disk: the work does not depend on its notes.
    }
  }
}

/** Reads the notes of a task that is over; nothing if it kept none. */
export async function readLastWords(path: string | undefined): Promise<LastWords> {
  if (path === undefined) return {};
  try {
    const [line] = (await Deno.readTextFile(path)).split("\n");
    return line ? JSON.parse(line) as LastWords : {};
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof SyntaxError) return {};
    throw error;
  }
}

/** Progress that also goes into the notes. */
export function notedProgress(progress: Progress, notes: Notes): Progress {
  return {
    begin: (name, total, unit, options) => {
      const shown = progress.begin(name, total, unit, options);
      const note = (done: number) => notes.note({ stage: { name, unit, done, total } });
      note(options?.from ?? 0);
      return {
        update: (done, extra) => {
          note(done);
          shown.update(done, extra);
        },
        [Symbol.dispose]: () => {
          notes.note({ stage: undefined });
          shown[Symbol.dispose]();
        },
      };
    },
  };
}
