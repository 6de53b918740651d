/** A set of ten thousand shards: it opens, is read at any row, and never holds more than a few files open. */
import { assert, assertEquals } from "@std/assert";
import { bytesOf, crc32 } from "../../../pipeline/shards/_positional.ts";
import { canonicalJson } from "../../../pipeline/shards/config_hash.ts";
import { frameFormat } from "../../../pipeline/shards/frame_format.ts";
import { createFramesSet, type FramesSet, openFramesSet } from "../../../pipeline/shards/frame_shards.ts";
import { type FileLayout, layOut } from "../../../pipeline/shards/hdf5_layout.ts";
import { writeManifest } from "../../../pipeline/shards/manifest.ts";
import { shardTree } from "../../../pipeline/shards/shard_format.ts";
import { recordShard } from "../../../pipeline/shards/shard_record.ts";
import { FRAMES, inTempDir } from "./_sets.ts";

const SHARDS = 10_000;
const FACTS = { lengths: { "/names/utf8": 1 }, parents: {} };
const cubesOf = (row: number) => Uint8Array.from({ length: 96 }, (_, i) => row * 7 + i);

/** The tables of a shard of one good row, as far as readers look at them. */
function tablesOf(set: FramesSet, layout: FileLayout, shard: number): Map<string, Uint8Array> {
  const tables = new Map<string, Uint8Array>(
    layout.datasets.filter(({ path }) => path !== "/cubes").map(({ path, bytes }) => [path, new Uint8Array(bytes)]),
  );
  tables.set("/index/item", bytesOf(BigInt64Array.of(BigInt(shard))));
  tables.set("/index/crc32", bytesOf(Uint32Array.of(crc32(cubesOf(shard)))));
  tables.set("/meta/config", new TextEncoder().encode(canonicalJson(set.config)));
  return tables;
}

/** Shards as a reader of rows sees them; writers would wait for the disk ten thousand times. */
function writeAll(set: FramesSet): void {
  let template: Record<string, unknown> | undefined;
  // All shards have the layout of the first; rows are read without a look at the headers.
  const layout = layOut(shardTree(frameFormat, set.config, 0, FACTS)), header = layout.metadata(false);
  for (let shard = 0; shard < SHARDS; shard++) {
    const path = set.path(shard);
    const tables = tablesOf(set, layout, shard);
    using file = Deno.openSync(path, { write: true, create: true });
    file.truncateSync(layout.fileBytes);
    file.writeSync(header);
    for (const { path, offset } of layout.datasets) {
      file.seekSync(offset, Deno.SeekMode.Start);
      file.writeSync(tables.get(path) ?? cubesOf(shard));
    }
    template ??= recordShard(set, 0, { layout, facts: FACTS, tables }, "0".repeat(64)) as Record<string, unknown>;
    const datasets = layout.datasets.map(({ path, dtype, shape, offset, bytes }) => {
      const table = tables.get(path), entry = { dtype, shape, offset, bytes };
      return [path, table ? { ...entry, crc32: crc32(table) } : entry];
    });
    const name = path.slice(path.lastIndexOf("/") + 1);
    const sidecar = { ...template, ...set.span(shard), file: name, datasets: Object.fromEntries(datasets) };
    Deno.writeTextFileSync(path.replace(".h5", ".json"), JSON.stringify(sidecar, null, 2) + "\n");
  }
}

/** How many files below a folder are open, whatever other tests of this process do; undefined where the system does not tell. */
function openFiles(folder: string): number | undefined {
  const pathOf = (fd: string) => {
    try {
      return Deno.readLinkSync(`/proc/self/fd/${fd}`);
    } catch {
      // Closed since it was listed.
      return "";
    }
  };
  try {
    const below = `${Deno.realPathSync(folder)}/`;
    return [...Deno.readDirSync("/proc/self/fd")].filter(({ name }) => pathOf(name).startsWith(below)).length;
  } catch {
    return undefined;
  }
}

Deno.test("a set of ten thousand shards is read at any row with a few dozen open files", () =>
  inTempDir(async (cache) => {
    using made = createFramesSet(cache, { ...FRAMES, items: SHARDS, rowsPerShard: 1 });
    writeAll(made);
    writeManifest(made);
    const before = openFiles(cache);
    using set = openFramesSet(made.folder);
    assertEquals([set.shards, set.goodItems().length], [SHARDS, SHARDS]);
    const into = new Uint8Array(96);
    for (let i = 0; i < 2000; i++) {
      const row = i * 7919 % SHARDS;
      if (i % 2 === 0) set.readRowSync("/cubes", row, into);
      else await set.readRow("/cubes", row, into);
      assertEquals(into, cubesOf(row));
    }
    const after = openFiles(cache);
    if (before === undefined || after === undefined) return console.log("open files are not counted here");
    assert(after - before <= 64 + 4, `${after - before} more files are open`);
    assert(after - before >= 32, "The files that were read are closed again each time");
  }));
