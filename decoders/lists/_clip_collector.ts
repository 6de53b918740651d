/**
 * Takes the entries of a list one by one and makes the clips of it: places them below the folder of videos, refuses what
 * comes twice, numbers the names of classes, and parts the clips by the splits that the list names.
 */
import type { ListedClip } from "./listed_clip.ts";
import type { ListEntry, ParsedList, SplitName } from "./_list_source.ts";
import type { VideoRoot } from "./_video_root.ts";
import { ListError } from "./list_error.ts";

/** A label as a list names it, with the first line that does. */
interface LabelName {
  number: number;
  line: number | null;
  list: string;
}

/** The clips of a list by split, "" where it names none, and the names of their classes. */
export interface CollectedClips {
  bySplit: Map<SplitName | "", ListedClip[]>;
  classes: string[] | null;
}

/** Collects the clips of one list. */
export class ClipCollector {
  readonly #bySplit = new Map<SplitName | "", ListedClip[]>();
  /** Lines by path, and by part of a clip. */
  readonly #lines = new Map<string, number | null>();
  /** Names of labels, numbered as they come. */
  readonly #names = new Map<string, LabelName>();

  /**
   * @param list The list, for messages.
   * @param root The folder of videos.
   */
  constructor(readonly list: string, readonly root: VideoRoot) {}

  /** @throws {ListError} The path leads out of the root, or the clip came before. */
  readonly add = (entry: ListEntry): void => {
    const { name, file, line, split = "", list = this.list, frames, span } = entry;
    const { path, problem } = this.root.place(file);
    if (problem !== null) {
      const found = `${JSON.stringify(file)} ${problem} the folder of videos ${this.root.given}`;
      throw new ListError(list, line, `${found}; move the file into it or name another --videos`);
    }
    const key = span ? `${path}\0${span.start}\0${span.end}` : path;
    const before = this.#lines.get(key);
    if (before !== undefined) {
      const where = before === null ? "" : ` on line ${before}`;
      throw new ListError(list, line, `the clip ${name} was listed before${where}; remove one of the two`);
    }
    this.#lines.set(key, line);
    const label = typeof entry.label === "string" ? this.#number(entry.label, line, list) : entry.label;
    const clips = this.#bySplit.get(split);
    const clip = { name, path, label, ...(frames !== undefined && { frames }), ...(span && { span }) };
    if (clips === undefined) this.#bySplit.set(split, [clip]);
    else clips.push(clip);
  };

  /**
   * @param parsed What the parser said.
   * @returns The clips with the numbers of their classes.
   * @throws {ListError} A label is none of the classes.
   */
  finish({ classes: given, numbersAsNames }: ParsedList): CollectedClips {
    this.#lines.clear();
    if (this.#names.size === 0) return { bySplit: this.#bySplit, classes: given && [...given] };
    const numbered = numbersAsNames === true && this.#areNumbers(given);
    const classes = given ?? (numbered ? null : [...this.#names.keys()].sort());
    const numbers = numbered ? null : new Map(classes!.map((name, i) => [name, i]));
    const final = Int32Array.from(this.#names, ([name, { line, list }]) => {
      const number = numbers === null ? Number(name) : numbers.get(name);
      if (number !== undefined && number < (classes?.length ?? 2 ** 31)) return number;
      const known = classes === null ? "labels go up to 2147483647" : `it is none of the ${classes.length} classes`;
      throw new ListError(list, line, `unknown label ${JSON.stringify(name)}; ${known}${given ? OF_TRAINING : ""}`);
    });
    for (const clips of this.#bySplit.values()) {
      for (const clip of clips) if (clip.label !== null) clip.label = final[clip.label]!;
    }
    return { bySplit: this.#bySplit, classes: classes && [...classes] };
  }

  #number(name: string, line: number | null, list: string): number {
    const before = this.#names.get(name);
    if (before !== undefined) return before.number;
    this.#names.set(name, { number: this.#names.size, line, list });
    return this.#names.size - 1;
  }

  /** Whether the labels are numbers; given classes may have numbers for names. */
  #areNumbers(given: readonly string[] | null): boolean {
    const names = [...this.#names.keys()];
    if (given !== null && names.every((name) => given.includes(name))) return false;
    const other = names.find((name) => !/^\d+$/.test(name));
    const number = names.find((name) => /^\d+$/.test(name));
    if (other !== undefined && number !== undefined) {
      const [{ line, list }, { line: otherLine }] = [this.#names.get(number)!, this.#names.get(other)!];
      const problem = `the label ${number} is a number where line ${otherLine} has the name ${JSON.stringify(other)}`;
      throw new ListError(list, line, `${problem}; write names everywhere, or numbers and their names in classes.txt`);
    }
    return other === undefined;
  }
}

const OF_TRAINING = " of the training list or of classes.txt";
