/**
 * The folder of videos as a border: what a list names must lie in it, whatever dots, absolute paths or symbolic links are
 * used. Folders are looked at once each, so that lists of hundreds of thousands of clips are read in seconds.
 */
import { basename, dirname, isAbsolute, relative, resolve, sep } from "node:path";

/** Where a file is, or what is wrong with its name. */
export type Placed = { path: string; problem: null } | { path: null; problem: string };

/** Relative paths that are resolved already: no empty part, none that begins with a dot, no other separator or drive. */
const PLAIN = /^[^\\/:.][^\\/:]*(?:\/[^\\/:.][^\\/:]*)*$/;

/** A folder of videos. */
export class VideoRoot {
  /** Of each folder: the links in it, or null where it is not there, or "outside". */
  readonly #folders = new Map<string, Set<string> | "outside" | null>();

  /** What the path of everything in the folder begins with. */
  readonly #border: string;

  /**
   * @param given The folder as it was named, absolute.
   * @param real The same without links.
   */
  constructor(readonly given: string, readonly real: string) {
    this.#border = real.endsWith(sep) ? real : real + sep;
  }

  /**
   * @param file A path from the root, or an absolute one below the root, as it was named or as it is.
   * @returns The path; whether a file is there is not asked.
   */
  place(file: string): Placed {
    if (file === "" || file.includes("\0")) return { path: null, problem: "names no file in" };
    if (PLAIN.test(file)) return this.#checked(`${this.#border}${file}`);
    const below = isAbsolute(file) ? [this.given, this.real].map((root) => relative(root, file)) : [file];
    const path = below.map((name) => resolve(this.real, name)).find((path) => this.#holds(path));
    if (path === undefined) return { path: null, problem: "leads out of" };
    return this.#checked(path);
  }

  #checked(path: string): Placed {
    return this.#linksOut(path) ? { path: null, problem: "is a link that leads out of" } : { path, problem: null };
  }

  #holds(path: string): boolean {
    return path.startsWith(this.#border);
  }

  #linksOut(path: string): boolean {
    const folder = dirname(path);
    let links = this.#folders.get(folder);
    if (links === undefined) this.#folders.set(folder, links = this.#look(folder));
    if (links === null || links === "outside") return links === "outside";
    if (!links.has(basename(path))) return false;
    const real = orNull(() => Deno.realPathSync(path));
    return real !== null && !this.#holds(real);
  }

  #look(folder: string): Set<string> | "outside" | null {
    const real = orNull(() => Deno.realPathSync(folder));
    if (real === null) return null;
    if (real !== this.real && !this.#holds(real)) return "outside";
    return orNull(() => new Set([...Deno.readDirSync(real)].flatMap(({ name, isSymlink }) => isSymlink ? [name] : [])));
  }
}

/** Null for what is missing, a circular link, not readable, no folder: bad clips, which decoding reports. */
function orNull<Result>(look: () => Result): Result | null {
  try {
    return look();
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return null;
  }
}
