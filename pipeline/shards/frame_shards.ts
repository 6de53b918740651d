/** Sets of frame shards: making, writing and opening them. The layout is in `frame_format.ts`. */
import type { DecodedView } from "../../decoders/decoder.ts";
import { type BadClip, writeShardBadClips } from "./bad_clips.ts";
import {
  cubeBytes,
  frameCount,
  frameFormat,
  type FramesConfig,
  type FramesConfigInput,
  NO_LABEL,
  tokenCount,
} from "./frame_format.ts";
import { type FileLayout, layOut } from "./hdf5_layout.ts";
import { createShardSet, openShardSet, plannedShardSet } from "./set_folder.ts";
import { ShardBuilder } from "./shard_builder.ts";
import { type ShardFacts, shardTree } from "./shard_format.ts";
import type { ShardSet, ShardSetOptions } from "./shard_set.ts";
import type { ShardWriterOptions } from "./shard_writer.ts";
import type { Sidecar } from "./sidecar.ts";

/** A set of frame shards. */
export type FramesSet = ShardSet<FramesConfig>;

/** A decoded view to store, with the class of its clip from 0, null if it has none. */
export type FrameRow = Omit<DecodedView, "frameCount"> & { readonly label: number | null };

/** A view that could not be made: the class of its clip and why. */
export type FailedRow = Omit<BadClip, "row" | "item" | "view" | "name"> & { readonly label: number | null };

/**
 * Makes or opens the set of a configuration for writing.
 *
 * @param cache The cache folder; the set lies in `frames/<hash>` below it.
 * @param config Settings.
 * @param options How to open it.
 */
export function createFramesSet(cache: string, config: FramesConfigInput, options: ShardSetOptions = {}): FramesSet {
  return createShardSet(cache, frameFormat, config, options);
}

/**
 * The set of a configuration as it is or would be; nothing is made.
 *
 * @param cache The cache folder.
 * @param config Settings.
 */
export function plannedFramesSet(cache: string, config: FramesConfigInput): FramesSet {
  return plannedShardSet(cache, frameFormat, config);
}

/**
 * Opens a complete set for reading.
 *
 * @param folder The set's folder.
 * @param options How to open it.
 * @throws {ShardError} If it is no complete set of frame shards.
 */
export function openFramesSet(folder: string, options: ShardSetOptions = {}): FramesSet {
  return openShardSet(folder, frameFormat, options);
}

/** Writes one frame shard; dispose of it to drop an unsealed one. */
export class FrameShardWriter implements Disposable {
  readonly #set: FramesSet;
  readonly #builder: ShardBuilder<FramesConfig>;
  readonly #names: readonly string[];
  readonly #bad: BadClip[] = [];
  readonly #tables: FrameTables;

  /**
   * @param set The set.
   * @param shard Number of the shard.
   * @param names Clip names of its rows, in row order.
   * @param options For the file.
   * @throws {RangeError} If there is not one name per row.
   */
  constructor(set: FramesSet, shard: number, names: readonly string[], options: ShardWriterOptions = {}) {
    const { rows } = set.span(shard);
    if (names.length !== rows) throw new RangeError(`Shard ${shard} needs ${rows} clip names, found ${names.length}`);
    this.#set = set;
    this.#names = names;
    this.#tables = emptyTables(names, frameCount(set.config));
    this.#builder = new ShardBuilder(set, shard, frameFacts(this.#tables["/names/utf8"].length), options);
  }

  /** Where the shard lies until it is sealed. */
  get temporaryPath(): string {
    return this.#builder.temporaryPath;
  }

  /** The records of the views that could not be made so far. */
  get bad(): readonly BadClip[] {
    return this.#bad;
  }

  /**
   * Stores a decoded view.
   *
   * @param row Row of the whole set: item x views + view.
   * @param view Pixels and origin.
   * @returns The CRC-32 of its cubes.
   * @throws {RangeError} If the row is not this shard's or a field has another size.
   */
  write(row: number, view: FrameRow): number {
    const local = this.#builder.local(row), frames = frameCount(this.#set.config);
    const expected = tokenCount(this.#set.config) * cubeBytes(this.#set.config);
    if (view.cubes.length !== expected) {
      throw new RangeError(`The cubes of row ${row} have ${view.cubes.length} bytes, expected ${expected}`);
    }
    if (view.frames.length !== frames || view.ptsUs.length !== frames) {
      const found = `${view.frames.length} frame numbers and ${view.ptsUs.length} times`;
      throw new RangeError(`Row ${row} has ${found}, expected ${frames} of each`);
    }
    const [crc] = this.#builder.writeGood(local, [view.cubes]);
    const { x, y, width, height } = view.crop;
    this.#tables["/index/label"][local] = view.label ?? NO_LABEL;
    this.#tables["/index/frame"].set(view.frames, local * frames);
    this.#tables["/index/pts_us"].set(view.ptsUs, local * frames);
    this.#tables["/index/crop"].set([x, y, width, height], local * 4);
    this.#tables["/index/source_size"].set([view.sourceHeight, view.sourceWidth], local * 2);
    return crc!;
  }

  /**
   * Records a view that could not be made. Its row stays, zero and marked, so that rows keep their numbers.
   *
   * @param row Row of the whole set.
   * @param failure Label and reason.
   * @returns The record that goes into the shard's list of bad clips.
   * @throws {RangeError} If the row is not this shard's.
   */
  fail(row: number, { label, ...failure }: FailedRow): BadClip {
    const local = this.#builder.local(row), { views } = this.#set.config;
    this.#builder.writeFailed(local);
    this.#tables["/index/label"][local] = label ?? NO_LABEL;
    const clip = { row, item: Math.floor(row / views), view: row % views, name: this.#names[local]!, ...failure };
    this.#bad.push(clip);
    return clip;
  }

  /**
   * Publishes the shard and writes its sidecar.
   *
   * @throws {RangeError} If a row is missing.
   */
  async seal(): Promise<Sidecar> {
    writeShardBadClips(this.#set.path(this.#builder.span.shard), this.#bad);
    return await this.#builder.seal(this.#tables);
  }

  [Symbol.dispose](): void {
    this.#builder[Symbol.dispose]();
  }
}

/**
 * Bytes of a shard file before it is made.
 *
 * @param config Settings.
 * @param shard Number of the shard.
 * @param nameBytes UTF-8 bytes of all clip names of its rows.
 */
export function plannedFrameShardBytes(config: FramesConfig, shard: number, nameBytes: number): number {
  return frameShardLayout(config, shard, nameBytes).fileBytes;
}

/**
 * Where the datasets of a shard file lie, before it is made.
 *
 * @param config Settings.
 * @param shard Number of the shard.
 * @param nameBytes UTF-8 bytes of all clip names of its rows.
 */
export function frameShardLayout(config: FramesConfig, shard: number, nameBytes: number): FileLayout {
  return layOut(shardTree(frameFormat, config, shard, frameFacts(nameBytes)));
}

function frameFacts(nameBytes: number): ShardFacts {
  return { lengths: { "/names/utf8": nameBytes }, parents: {} };
}

type FrameTables = ReturnType<typeof emptyTables>;

function emptyTables(names: readonly string[], frames: number) {
  const rows = names.length, offsets = new Uint32Array(rows + 1), utf8 = new TextEncoder();
  names.forEach((name, i) => offsets[i + 1] = offsets[i]! + utf8.encode(name).length);
  return {
    "/index/label": new Int32Array(rows),
    "/index/frame": new Int32Array(rows * frames),
    "/index/pts_us": new BigInt64Array(rows * frames),
    "/index/crop": new Float32Array(rows * 4),
    "/index/source_size": new Int32Array(rows * 2),
    "/names/utf8": utf8.encode(names.join("")),
    "/names/offset": offsets,
  };
}
