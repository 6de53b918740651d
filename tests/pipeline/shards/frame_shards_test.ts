/** Frame sets: what is written is read, by position and by the HDF5 library; failed clips; sizes known beforehand. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Hdf5File } from "../../../pipeline/shards/_h5wasm.ts";
import {
  gatherBadClips,
  readBadClips,
  readShardBadClips,
  shardBadClipsPath,
  writeShardBadClips,
} from "../../../pipeline/shards/bad_clips.ts";
import { sha256OfFile } from "../../../pipeline/shards/file_hash.ts";
import {
  createFramesSet,
  FrameShardWriter,
  openFramesSet,
  plannedFrameShardBytes,
} from "../../../pipeline/shards/frame_shards.ts";
import { writeManifest } from "../../../pipeline/shards/manifest.ts";
import { listBadClips, readLabels, readViewRecords } from "../../../pipeline/shards/view_records.ts";
import { cubesOf, FAILURE, FRAMES, framesSet, inTempDir, listFolder, nameOf, viewOf, writeFrames } from "./_sets.ts";

Deno.test("rows are read back as they were written, in the background, at once, and by the HDF5 library", () =>
  inTempDir(async (cache) => {
    const folder = (await framesSet(cache)).folder;
    using set = openFramesSet(folder);
    assertEquals([set.rows, set.shards, set.rowBytes("/cubes")], [10, 3, 96]);
    const into = new Uint8Array(96);
    for (let row = 0; row < 10; row++) {
      await set.readRow("/cubes", row, into);
      assertEquals(into, cubesOf(row));
      into.fill(0);
      set.readRowSync("/cubes", row, into);
      assertEquals(into, cubesOf(row));
    }
    using file = await Hdf5File.open(set.path(2));
    assertEquals(file.dataset("/cubes"), { dtype: "u8", shape: [2, 8, 12] });
    assertEquals(file.read("/cubes", 1), cubesOf(9));
    assertEquals(file.textAttribute("config_sha256"), set.configSha256);
  }));

Deno.test("every view keeps its name, label, frames, times, crop and source size", () =>
  inTempDir(async (cache) => {
    using set = await framesSet(cache);
    const records = [0, 1, 2].flatMap((shard) => readViewRecords(set, shard));
    for (const [row, record] of records.entries()) {
      const { cubes: _, ...origin } = viewOf(row);
      assertEquals(record, { ...origin, item: row, view: 0, name: nameOf(row), good: true });
    }
    assertEquals([...readLabels(set)], [-1, 1, 2, -1, 4, 5, -1, 7, 8, -1]);
  }));

Deno.test("shards have the same bytes whatever the order of writing, and as many as planned", () =>
  inTempDir(async (cache) => {
    using first = await framesSet(`${cache}/a`, [6]);
    const second = createFramesSet(`${cache}/b`, FRAMES);
    for (const shard of [2, 0, 1]) await writeFrames(second, shard, [6]);
    for (let shard = 0; shard < 3; shard++) {
      assertEquals(await sha256OfFile(second.path(shard)), await sha256OfFile(first.path(shard)));
      assertEquals(await sha256OfFile(first.path(shard)), first.sidecar(shard).sha256);
      const { row0, rows } = first.span(shard);
      const names = Array.from({ length: rows }, (_, i) => new TextEncoder().encode(nameOf(row0 + i)).length);
      const planned = plannedFrameShardBytes(first.config, shard, names.reduce((a, b) => a + b));
      assertEquals(Deno.statSync(first.path(shard)).size, planned);
    }
  }));

Deno.test("with several views a row is item x views + view, and an item is good when all its views are", () =>
  inTempDir(async (cache) => {
    using set = await framesSet(cache, [3, 9], { ...FRAMES, items: 5, views: 2 });
    const records = [0, 1, 2].flatMap((shard) => readViewRecords(set, shard));
    assertEquals(records.map(({ item, view }) => [item, view]).slice(0, 4), [[0, 0], [0, 1], [1, 0], [1, 1]]);
    assertEquals(set.failedRows(), [3, 9]);
    assertEquals([...set.goodRows()], [0, 1, 2, 4, 5, 6, 7, 8]);
    assertEquals([...set.goodItems()], [0, 2, 3]);
  }));

Deno.test("a clip that was refused keeps its row, zero and marked, and its reason", () =>
  inTempDir(async (cache) => {
    using set = await framesSet(cache, [1, 8]);
    const into = new Uint8Array(96).fill(1);
    await set.readRow("/cubes", 8, into);
    assertEquals(into, new Uint8Array(96));
    assertEquals(readViewRecords(set, 2).map(({ good, label }) => [good, label]), [[false, 5], [true, null]]);
    assertEquals(set.sidecar(0).status, { good: 3, failed: 1 });
    const { label: _, ...reason } = FAILURE;
    assertEquals(listBadClips(set), [1, 8].map((row) => ({ row, item: row, view: 0, name: nameOf(row), ...reason })));
    gatherBadClips(set.folder, listBadClips(set));
    for (const shard of [0, 2]) Deno.removeSync(shardBadClipsPath(set.path(shard)));
    assertEquals(listBadClips(set).map(({ row, reason }) => [row, reason]), [[1, reason.reason], [8, reason.reason]]);
    Deno.removeSync(`${set.folder}/bad_clips.jsonl`);
    assertEquals(listBadClips(set).map(({ row, reason }) => [row, reason]), [[1, "unknown"], [8, "unknown"]]);
  }));

Deno.test("bad clips are listed by row, a cut line harms no other, and a list of none is no file", () =>
  inTempDir((folder) => {
    const clip = { row: 3, item: 3, view: 0, name: "a", path: "/a", detail: "x", byteOffset: null, fileBytes: 9 };
    const clips = [{ ...clip, reason: "missing" }, { ...clip, row: 1, reason: "empty" }];
    const shard = `${folder}/shard-00000.h5`;
    assertEquals([readShardBadClips(shard), readBadClips(folder)], [[], []]);
    writeShardBadClips(shard, clips);
    Deno.writeTextFileSync(shardBadClipsPath(shard), '{"row": 7, "ite', { append: true });
    assertEquals(readShardBadClips(shard), clips.toReversed());
    gatherBadClips(folder, clips);
    assertEquals(readBadClips(folder), clips.toReversed());
    gatherBadClips(folder, []);
    writeShardBadClips(`${folder}/shard-00001.h5`, []);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["shard-00000.bad.jsonl"]);
  }));

Deno.test("a writer refuses rows of other shards, twice the same row, wrong sizes, and to seal with rows missing", () =>
  inTempDir(async (cache) => {
    using set = createFramesSet(cache, FRAMES);
    assertThrows(() => new FrameShardWriter(set, 2, ["a"]), RangeError, "Shard 2 needs 2 clip names, found 1");
    {
      using writer = new FrameShardWriter(set, 2, ["a", "b"]);
      assertThrows(() => writer.write(7, viewOf(7)), RangeError, "Row 7 does not belong to shard 2");
      assertThrows(
        () => writer.write(8, { ...viewOf(8), cubes: new Uint8Array(95) }),
        RangeError,
        "The cubes of row 8 have 95 bytes, expected 96",
      );
      assertThrows(
        () => writer.write(8, { ...viewOf(8), frames: new Int32Array(3) }),
        RangeError,
        "Row 8 has 3 frame numbers and 2 times, expected 2 of each",
      );
      writer.write(8, viewOf(8));
      assertThrows(() => writer.fail(8, FAILURE), RangeError, "Row 8 of shard 2 is already written");
      await assertRejects(() => writer.seal(), RangeError, "Shard 2 lacks 1 of its 2 rows, the first is row 9");
    }
    assertEquals(listFolder(set.folder), ["config.json"]);
    assertThrows(() => set.reader(3), RangeError, "There is no shard 3: the set has shards 0 to 2");
    assertThrows(() => set.shardOf(10), RangeError, "There is no row 10: the set has rows 0 to 9");
  }));

Deno.test("the manifest sums the shards up and is not written again when nothing changed", () =>
  inTempDir(async (cache) => {
    using set = await framesSet(cache, [2]);
    const manifest = writeManifest(set), path = `${set.folder}/manifest.json`;
    assertEquals([manifest.rows, manifest.failed, manifest.shards.length], [10, 1, 3]);
    assertEquals(JSON.parse(Deno.readTextFileSync(path)), JSON.parse(JSON.stringify(manifest)));
    const before = Deno.statSync(path).ino;
    writeManifest(set);
    assertEquals(Deno.statSync(path).ino, before);
    assert(manifest.bytes > 3 * 4096);
  }));
