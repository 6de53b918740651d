/** Interrupted and competing writers: nothing half done is ever read, and a resumed stage knows what is left. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Hdf5File } from "../../../pipeline/shards/_h5wasm.ts";
import { publish } from "../../../pipeline/shards/_publish.ts";
import { createFramesSet, FrameShardWriter, openFramesSet } from "../../../pipeline/shards/frame_shards.ts";
import { resumeSet } from "../../../pipeline/shards/resume.ts";
import { ShardError } from "../../../pipeline/shards/shard_error.ts";
import { FRAMES, framesSet, inTempDir, listFolder, nameOf, patch, viewOf, writeFrames } from "./_sets.ts";

const CLEAN = { missing: [], adopted: [], damaged: [], stale: [], leftovers: [] };

Deno.test("a complete set has nothing to resume, an empty one everything", () =>
  inTempDir(async (cache) => {
    using empty = createFramesSet(`${cache}/empty`, FRAMES);
    assertEquals(await resumeSet(empty), { ...CLEAN, missing: [0, 1, 2] });
    using set = await framesSet(cache);
    assertEquals(await resumeSet(set), CLEAN);
  }));

Deno.test("a shard whose writer died before its sidecar is verified and adopted", () =>
  inTempDir(async (cache) => {
    using set = await framesSet(cache, [5]);
    const path = set.path(1).replace(".h5", ".json"), text = Deno.readTextFileSync(path);
    Deno.removeSync(path);
    assertEquals(set.missing(), [1]);
    assertEquals(await resumeSet(set), { ...CLEAN, adopted: [1] });
    assertEquals(Deno.readTextFileSync(path), text);
    assertEquals(set.failedRows(), [5]);
  }));

Deno.test("damaged shards and sidecars without a shard are set aside and made again", () =>
  inTempDir(async (cache) => {
    using set = await framesSet(cache);
    await set.readRow("/cubes", 4, new Uint8Array(96));
    const offset = set.sidecar(1).datasets["/cubes"]!.offset;
    Deno.removeSync(set.path(1).replace(".h5", ".json"));
    patch(set.path(1), offset, (bytes) => bytes[0]! ^= 1);
    Deno.removeSync(set.path(2));
    const report = await resumeSet(set);
    assertEquals(report.missing, [1, 2]);
    assertEquals(report.damaged.map(({ shard }) => shard), [1]);
    assert(report.damaged[0]!.problem.includes("row 4 has CRC-32"));
    assert(listFolder(set.folder).includes(".damaged-shard-00001.h5"));
    for (const shard of report.missing) await writeFrames(set, shard);
    assertEquals(await resumeSet(set), CLEAN);
    await set.readRow("/cubes", 4, new Uint8Array(96));
  }));

Deno.test("a good shard whose inputs changed is removed and made again", () =>
  inTempDir(async (cache) => {
    using set = await framesSet(cache);
    const report = await resumeSet(set, { stale: (shard) => shard === 2 ? "a clip was mended" : undefined });
    assertEquals(report, { ...CLEAN, missing: [2], stale: [{ shard: 2, problem: "a clip was mended" }] });
    assertEquals(set.missing(), [2]);
    await writeFrames(set, 2, [9]);
    assertEquals(set.failedRows(), [9]);
  }));

Deno.test("what a killed writer left is removed, what a living one writes is not", () =>
  inTempDir(async (cache) => {
    using set = createFramesSet(cache, FRAMES);
    const helpers = new URL("./_sets.ts", import.meta.url).href;
    const shards = new URL("../../../pipeline/shards/frame_shards.ts", import.meta.url).href;
    const writer = new Deno.Command(Deno.execPath(), {
      args: [
        "eval",
        "--ext=ts",
        `import { FRAMES, nameOf, viewOf } from ${JSON.stringify(helpers)};
        import { createFramesSet, FrameShardWriter } from ${JSON.stringify(shards)};
        const set = createFramesSet(${JSON.stringify(cache)}, FRAMES);
        const writer = new FrameShardWriter(set, 0, [0, 1, 2, 3].map(nameOf));
        writer.write(0, viewOf(0));
        console.log("written");
        setInterval(() => {}, 1000);`,
      ],
      cwd: new URL("../../../", import.meta.url),
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const reader = writer.stdout.getReader();
    assertEquals(new TextDecoder().decode((await reader.read()).value).trim(), "written");
    assertEquals(await resumeSet(set), { ...CLEAN, missing: [0, 1, 2] });
    assertEquals(listFolder(set.folder).filter((name) => name.startsWith(".tmp-")).length, 1);

    writer.kill("SIGKILL");
    await writer.status;
    await reader.cancel();
    const { leftovers, missing } = await resumeSet(set);
    assertEquals([leftovers.length, missing], [1, [0, 1, 2]]);
    assertEquals(listFolder(set.folder), ["config.json"]);
  }));

Deno.test("of two writers of a shard the first wins and both describe the same file", () =>
  inTempDir(async (cache) => {
    using set = createFramesSet(cache, FRAMES);
    using first = new FrameShardWriter(set, 2, [8, 9].map(nameOf));
    using second = new FrameShardWriter(set, 2, [8, 9].map(nameOf));
    for (const row of [8, 9]) {
      first.write(row, viewOf(row));
      second.write(row, { ...viewOf(row), label: 77 });
    }
    const won = await first.seal(), lost = await second.seal();
    assertEquals(lost, won);
    assertEquals([...new Int32Array(set.reader(2).table("/index/label").buffer)], [8, -1]);
    assertEquals(listFolder(set.folder), ["config.json", "shard-00002.h5", "shard-00002.json"]);
  }));

Deno.test("no HDF5 library opens an unfinished shard; a disposed writer leaves nothing, a refused publication neither", () =>
  inTempDir(async (cache) => {
    using set = createFramesSet(cache, FRAMES);
    {
      using writer = new FrameShardWriter(set, 2, [8, 9].map(nameOf));
      writer.write(8, viewOf(8));
      const unfinished = listFolder(set.folder).find((name) => name.startsWith(".tmp-"))!;
      await assertRejects(() => Hdf5File.open(`${set.folder}/${unfinished}`), ShardError, "not sealed");
    }
    const link = () => {
      throw Object.assign(new Error("no space"), { code: "ENOSPC" });
    };
    using writer = new FrameShardWriter(set, 2, [8, 9].map(nameOf), { calls: { link } });
    for (const row of [8, 9]) writer.write(row, viewOf(row));
    await assertRejects(() => writer.seal(), Error, "No space is left to write");
    assertEquals(listFolder(set.folder), ["config.json"]);
  }));

Deno.test("where the file system has no hard links a shard is renamed, and never over another", () =>
  inTempDir((folder) => {
    const link = () => {
      throw Object.assign(new Error("not permitted"), { code: "EPERM" });
    };
    Deno.writeTextFileSync(`${folder}/a`, "a");
    assertEquals(publish(`${folder}/a`, `${folder}/final`, { link }), true);
    Deno.writeTextFileSync(`${folder}/b`, "b");
    assertEquals(publish(`${folder}/b`, `${folder}/final`, { link }), false);
    assertEquals(Deno.readTextFileSync(`${folder}/final`), "a");
    assertEquals(listFolder(folder), ["b", "final"]);
  }));

Deno.test("an unfinished set cannot be opened for reading", () =>
  inTempDir(async (cache) => {
    using set = createFramesSet(cache, FRAMES);
    await writeFrames(set, 0);
    await assertRejects(async () => await openFramesSet(set.folder), ShardError, "shard-00001.json does not exist");
  }));
