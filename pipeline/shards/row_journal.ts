/**
 * The journal of an unfinished frame shard: a line for every row that is in the file, `<file>.rows` beside it. Whoever
 * goes on after its writer died learns from it which rows need not be decoded again. A line carries its own CRC-32 and
 * that of the row's cubes, so that nothing need be forced to the disk: a line or a row that a crash tore is passed over.
 */
import fs from "node:fs";
import * as z from "zod";
import { crc32 } from "./_positional.ts";
import { orDiskFull } from "./_full_disk.ts";
import { errorCode } from "./_publish.ts";

const count = z.int().min(0);
const real = z.number();
const journalRow = z.strictObject({
  row: count.describe("Row of the whole set"),
  crc: count.describe("CRC-32 of the cubes"),
  frames: z.array(z.int()),
  ptsUs: z.array(z.string().regex(/^-?\d+$/)),
  crop: z.strictObject({ x: real, y: real, width: real, height: real }),
  sourceWidth: count,
  sourceHeight: count,
});
const journalFailure = z.strictObject({
  row: count,
  path: z.string(),
  reason: z.string(),
  detail: z.string(),
  byteOffset: count.nullable(),
  fileBytes: count.nullable(),
});
const journalEntry = z.union([journalRow, journalFailure]);

/** A row that is in the file, or one that could not be decoded. */
export type JournalEntry = z.infer<typeof journalEntry>;

/** The journal of an unfinished file. */
export function journalPath(unfinished: string): string {
  return `${unfinished}.rows`;
}

/** A journal being written. Disposing of it closes and removes it. */
export class RowJournal implements Disposable {
  readonly path: string;
  readonly #fd: number;
  #open = true;

  /** @param unfinished The file whose rows it lists. */
  constructor(unfinished: string) {
    this.path = journalPath(unfinished);
    this.#fd = orDiskFull(this.path, () => fs.openSync(this.path, "ax"));
  }

  append(entry: JournalEntry): void {
    const json = JSON.stringify(entry);
    orDiskFull(this.path, () => fs.writeFileSync(this.#fd, `${sum(json)} ${json}\n`));
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    fs.closeSync(this.#fd);
    fs.rmSync(this.path, { force: true });
  }
}

/** The entries of a journal, those that are whole; none if there is no journal. */
export function readJournal(unfinished: string): JournalEntry[] {
  let text: string;
  try {
    text = fs.readFileSync(journalPath(unfinished), "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
  return text.split("\n").flatMap((line) => parse(line) ?? []);
}

function parse(line: string): JournalEntry | undefined {
  const [, found, json] = /^([0-9a-f]{8}) (.+)$/.exec(line) ?? [];
  return json !== undefined && sum(json) === found ? journalEntry.safeParse(JSON.parse(json)).data : undefined;
}

function sum(text: string): string {
  return crc32(new TextEncoder().encode(text)).toString(16).padStart(8, "0");
}
