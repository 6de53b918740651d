/**
 * Verifies one shard file from the bytes alone: sealed and whole, metadata equal to what the settings plan, accepted by
 * the HDF5 library, index tables consistent, rows equal to their CRC-32 and the same through both ways of reading.
 */
import fs from "node:fs";
import { Hdf5File } from "./_h5wasm.ts";
import { crc32, readAtAsync } from "./_positional.ts";
import { checkSealed } from "./_superblock.ts";
import { canonicalJson } from "./config_hash.ts";
import { type FileLayout, layOut, type PlacedDataset } from "./hdf5_layout.ts";
import { assertComplete, assertUndamaged, ShardError } from "./shard_error.ts";
import {
  parentAttribute,
  type SetConfig,
  type ShardFacts,
  type ShardFormat,
  shardSpan,
  shardTree,
  STATUS_FAILED,
  STATUS_GOOD,
} from "./shard_format.ts";

/** How {@linkcode verifyShardFile} goes about it. */
export interface VerifyOptions {
  /** Rows whose CRC is computed: all, or the first, middle and last. */
  readonly rows: "all" | "samples";
}

/** What a verified file turned out to be. */
export interface VerifiedShard {
  readonly layout: FileLayout;
  readonly facts: ShardFacts;
  /** Bytes of every dataset without row CRCs, by path. */
  readonly tables: ReadonlyMap<string, Uint8Array>;
}

/**
 * Verifies a shard file.
 *
 * @param path The file; it may still have its temporary name.
 * @param format Its kind.
 * @param config Settings of the set.
 * @param shard Number of the shard in the set.
 * @param options How thorough.
 * @returns Layout, facts and tables as found.
 * @throws {ShardError} If anything is not as it must be; file, dataset and row are named.
 */
export async function verifyShardFile<C extends SetConfig>(
  path: string,
  format: ShardFormat<C>,
  config: C,
  shard: number,
  options: VerifyOptions,
): Promise<VerifiedShard> {
  const fd = fs.openSync(path, "r");
  try {
    checkSealed(fd, path);
    using hdf5 = await Hdf5File.open(path);
    const facts = factsOf(hdf5, format);
    const layout = layOut(shardTree(format, config, shard, facts));
    await compareMetadata(fd, path, layout);
    for (const planned of layout.datasets) compareDataset(hdf5, planned);
    const bulk = new Set(format.bulk(config));
    const tables = new Map<string, Uint8Array>();
    for (const dataset of layout.datasets) {
      if (bulk.has(dataset.path)) continue;
      const bytes = new Uint8Array(dataset.bytes), read = await readAtAsync(fd, bytes, dataset.offset);
      assertComplete(read, bytes.length, { path, dataset: dataset.path });
      tables.set(dataset.path, bytes);
    }
    checkTables(tables, config, shard, hdf5);
    await checkRows(fd, layout, tables, format.bulk(config), shardSpan(config, shard).row0, hdf5, options);
    return { layout, facts, tables };
  } finally {
    fs.closeSync(fd);
  }
}

function factsOf<C extends SetConfig>(hdf5: Hdf5File, format: ShardFormat<C>): ShardFacts {
  const lengths = format.measured.map((path) => [path, hdf5.dataset(path).shape[0] ?? 0]);
  const parents = format.parents.map((kind) => [kind, hdf5.textAttribute(parentAttribute(kind)) ?? ""]);
  return { lengths: Object.fromEntries(lengths), parents: Object.fromEntries(parents) };
}

async function compareMetadata(fd: number, path: string, layout: FileLayout): Promise<void> {
  const found = new Uint8Array(layout.metadataBytes);
  assertComplete(await readAtAsync(fd, found, 0), found.length, { path });
  const differs = layout.metadata(false).findIndex((byte, i) => byte !== found[i]);
  if (differs >= 0) throw new ShardError(`differs from what its settings plan at byte ${differs}`, { path });
}

function compareDataset(hdf5: Hdf5File, planned: PlacedDataset): void {
  const { dtype, shape } = hdf5.dataset(planned.path);
  if (dtype !== planned.dtype || shape.join() !== planned.shape.join()) {
    throw new ShardError(`is ${dtype} [${shape}], expected ${planned.dtype} [${planned.shape}]`, {
      path: hdf5.path,
      dataset: planned.path,
    });
  }
}

function checkTables<C extends SetConfig>(
  tables: ReadonlyMap<string, Uint8Array>,
  config: C,
  shard: number,
  hdf5: Hdf5File,
): void {
  const { row0, rows } = shardSpan(config, shard), { path } = hdf5;
  const items = new BigInt64Array(tables.get("/index/item")!.buffer);
  const views = new Uint16Array(tables.get("/index/view")!.buffer);
  const status = tables.get("/index/status")!;
  for (let r = 0; r < rows; r++) {
    const row = row0 + r, item = Math.floor(row / config.views), view = row % config.views;
    if (Number(items[r]) !== item || views[r] !== view) {
      throw new ShardError(`holds item ${items[r]} view ${views[r]}, expected item ${item} view ${view}`, {
        path,
        row,
      });
    }
    if (status[r] !== STATUS_GOOD && status[r] !== STATUS_FAILED) {
      throw new ShardError(`has status ${status[r]}, expected 0 or 2`, { path, dataset: "/index/status", row });
    }
  }
  if (new TextDecoder().decode(tables.get("/meta/config")!) !== canonicalJson(config)) {
    throw new ShardError("holds other settings than its set", { path, dataset: "/meta/config" });
  }
  for (const [dataset, bytes] of tables) {
    const seen = hdf5.read(dataset);
    if (seen.length !== bytes.length || seen.some((byte, i) => byte !== bytes[i])) {
      throw new ShardError("differs between the HDF5 library and a direct read", { path, dataset });
    }
  }
}

async function checkRows(
  fd: number,
  layout: FileLayout,
  tables: ReadonlyMap<string, Uint8Array>,
  bulk: readonly string[],
  row0: number,
  hdf5: Hdf5File,
  options: VerifyOptions,
): Promise<void> {
  const sums = new Uint32Array(tables.get("/index/crc32")!.buffer);
  for (const [column, dataset] of bulk.entries()) {
    const placed = layout.datasets.find(({ path }) => path === dataset)!;
    const rows = placed.shape[0]!, bytes = new Uint8Array(placed.bytes / rows);
    const samples = new Set([0, rows >> 1, rows - 1]);
    for (let r = 0; r < rows; r++) {
      if (options.rows === "samples" && !samples.has(r)) continue;
      const fault = { path: hdf5.path, dataset, row: row0 + r }, expected = sums[r * bulk.length + column]!;
      const read = await readAtAsync(fd, bytes, placed.offset + r * bytes.length);
      assertComplete(read, bytes.length, fault);
      assertUndamaged(bytes, expected, fault);
      if (samples.has(r) && crc32(hdf5.read(dataset, r)) !== expected) {
        throw new ShardError("differs between the HDF5 library and a direct read", fault);
      }
    }
  }
}
