/**
 * A frame shard under construction whose finished rows outlive its writer: what a killed or stopped process had decoded
 * is copied, row by row and checked, into the file of the one who goes on. It is copied rather than taken over, since
 * the old writer may only have slept and still write into its own file.
 */
import fs from "node:fs";
import { dirname, join } from "node:path";
import { crc32, readAtAsync } from "./_positional.ts";
import { errorCode } from "./_publish.ts";
import { unfinishedFiles } from "./_temporary_file.ts";
import type { BadClip } from "./bad_clips.ts";
import { type FailedRow, type FrameRow, frameShardLayout, FrameShardWriter, type FramesSet } from "./frame_shards.ts";
import { type JournalEntry, journalPath, readJournal, RowJournal } from "./row_journal.ts";
import type { Sidecar } from "./sidecar.ts";

/** A finished row without its label, which the list of clips knows. */
export type FinishedRow =
  | { readonly row: number; readonly view: Omit<FrameRow, "label"> }
  | { readonly row: number; readonly failure: Omit<FailedRow, "label"> };

/** One frame shard under construction. Dispose of it to drop it, or {@linkcode leave} its rows to whoever goes on. */
export class PartialShard implements Disposable {
  readonly #set: FramesSet;
  readonly #shard: number;
  readonly #writer: FrameShardWriter;
  readonly #journal: RowJournal;
  #rows = 0;

  /**
   * @param set The set.
   * @param shard Number of the shard.
   * @param names Clip names of its rows, in row order.
   */
  constructor(set: FramesSet, shard: number, names: readonly string[]) {
    this.#set = set;
    this.#shard = shard;
    this.#writer = new FrameShardWriter(set, shard, names);
    try {
      this.#journal = new RowJournal(this.#writer.temporaryPath);
    } catch (error) {
      this.#writer[Symbol.dispose]();
      throw error;
    }
  }

  /** Stores a view; see {@linkcode FrameShardWriter.write}. */
  write(row: number, view: FrameRow): void {
    const crc = this.#writer.write(row, view);
    const { frames, ptsUs, crop: { x, y, width, height }, sourceWidth, sourceHeight } = view;
    this.#journal.append({
      row,
      crc,
      frames: [...frames],
      ptsUs: Array.from(ptsUs, String),
      crop: { x, y, width, height },
      sourceWidth,
      sourceHeight,
    });
    this.#rows++;
  }

  /** Records a view that could not be made; see {@linkcode FrameShardWriter.fail}. */
  fail(row: number, failure: FailedRow): BadClip {
    const bad = this.#writer.fail(row, failure);
    const { path, reason, detail, byteOffset, fileBytes } = failure;
    this.#journal.append({ row, path, reason, detail, byteOffset, fileBytes });
    this.#rows++;
    return bad;
  }

  /** The records of the views that could not be made so far. */
  get bad(): readonly BadClip[] {
    return this.#writer.bad;
  }

  /** Publishes the shard and removes what earlier writers of it left. @throws {RangeError} If a row is missing. */
  async seal(): Promise<Sidecar> {
    let sidecar: Sidecar;
    try {
      sidecar = await this.#writer.seal();
    } catch (error) {
      // Another took this writer for dead, was faster, and removed its file: what it published is as good.
      if (errorCode(error) !== "ENOENT" || this.#set.problem(this.#shard) !== undefined) throw error;
      sidecar = this.#set.sidecar(this.#shard);
    }
    this[Symbol.dispose]();
    removePartials(this.#set, this.#shard);
    return sidecar;
  }

  /** Closes the shard and keeps its rows, if there are any. */
  leave(): void {
    if (this.#rows > 0) {
      // Under names of their own the two files are no longer this writer's to remove.
      const left = `${this.#writer.temporaryPath}-left`;
      try {
        fs.renameSync(this.#writer.temporaryPath, left);
        fs.renameSync(this.#journal.path, journalPath(left));
      } catch (error) {
        // Another took this writer for dead and has removed its files.
        if (errorCode(error) !== "ENOENT") throw error;
      }
    }
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#journal[Symbol.dispose]();
    this.#writer[Symbol.dispose]();
  }
}

/** Unfinished files of a shard, whoever left them, without their journals. */
export function listPartials(set: FramesSet, shard: number): string[] {
  const path = set.path(shard);
  return unfinishedFiles(path).filter((name) => !name.endsWith(".rows")).map((name) => join(dirname(path), name));
}

/**
 * The rows that are whole in unfinished files of a shard, each once.
 *
 * @param set The set.
 * @param shard Number of the shard.
 * @param names Clip names of its rows, in row order.
 * @param partials Files to look into.
 */
export async function* finishedRows(
  set: FramesSet,
  shard: number,
  names: readonly string[],
  partials: readonly string[],
): AsyncGenerator<FinishedRow> {
  const nameBytes = new TextEncoder().encode(names.join("")).length;
  const { offset, bytes, shape } = frameShardLayout(set.config, shard, nameBytes).datasets
    .find(({ path }) => path === "/cubes")!;
  const { row0, rows } = set.span(shard), cubes = new Uint8Array(bytes / shape[0]!);
  const seen = new Set<number>();
  for (const path of partials) {
    const entries = readJournal(path).filter(({ row }) => row >= row0 && row < row0 + rows);
    const fd = openOrNone(path);
    if (fd === undefined) continue;
    try {
      for (const entry of entries) {
        if (seen.has(entry.row)) continue;
        if ("crc" in entry) {
          const read = await readAtAsync(fd, cubes, offset + (entry.row - row0) * cubes.length);
          if (read < cubes.length || crc32(cubes) !== entry.crc) continue;
        }
        seen.add(entry.row);
        yield finishedRow(entry, cubes);
      }
    } finally {
      fs.closeSync(fd);
    }
  }
}

function finishedRow(entry: JournalEntry, cubes: Uint8Array): FinishedRow {
  if (!("crc" in entry)) {
    const { row, ...failure } = entry;
    return { row, failure };
  }
  const { row, crc: _, frames, ptsUs, ...origin } = entry;
  return { row, view: { ...origin, cubes, frames: Int32Array.from(frames), ptsUs: BigInt64Array.from(ptsUs, BigInt) } };
}

/** Removes the unfinished files of a shard. Only the holder of its claim may do so. */
export function removePartials(set: FramesSet, shard: number): void {
  const path = set.path(shard);
  for (const name of unfinishedFiles(path)) fs.rmSync(join(dirname(path), name), { force: true });
}

function openOrNone(path: string): number | undefined {
  try {
    return fs.openSync(path, "r");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}
