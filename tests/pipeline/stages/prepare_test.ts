/** The prepare stage on small made clips: same bytes every way, resumed, stopped, and honest about broken clips. */
import { assert, assertEquals, assertNotEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { createHash } from "node:crypto";
import {
  type ClipDecoder,
  CorruptClipError,
  type DecodedView,
  type DecodeRequest,
  drawsNeeded,
} from "../../../decoders/decoder.ts";
import { LibavDecoder } from "../../../decoders/libav.ts";
import { uniforms } from "../../../pipeline/random.ts";
import { openFramesSet } from "../../../pipeline/shards/frame_shards.ts";
import { verifyShard } from "../../../pipeline/shards/shard_record.ts";
import { readViewRecords } from "../../../pipeline/shards/view_records.ts";
import { prepareFrames, type PrepareOptions } from "../../../pipeline/stages/prepare.ts";
import { parsePart, shardsOfPart } from "../../../pipeline/stages/part.ts";
import { TooManyBadClipsError } from "../../../pipeline/stages/too_many_bad_clips.ts";
import { viewRules, viewShape } from "../../../pipeline/stages/view_rules.ts";
import { type PartialSettings, resolveSettings, SettingsError } from "../../../pipeline/settings.ts";
import { inTempDir, makeClip } from "../../decoders/_clips.ts";

const CLIPS = 7;

/** Passes requests on and counts them. */
class Counting implements ClipDecoder {
  requests: string[] = [];
  constructor(
    readonly inner: ClipDecoder,
    readonly before: (request: DecodeRequest) => Promise<void> | void = () => {},
  ) {}
  async decode(request: DecodeRequest, into?: Uint8Array): Promise<DecodedView> {
    this.requests.push(request.path);
    await this.before(request);
    return this.inner.decode(request, into);
  }
}

/** Seven clips of different length, views of 4 frames and 16 x 16 pixels, 3 views in a shard. */
async function withClips(body: (base: PrepareOptions & { decoder: Counting }, folder: string) => Promise<void>) {
  await inTempDir(async (folder) => {
    const clips = Array.from({ length: CLIPS }, (_, i) => {
      const name = `clip-${i}.mp4`;
      return { name, path: makeClip(`${folder}/${name}`, 5 + i), label: i % 2 };
    });
    using decoder = new LibavDecoder();
    await body({
      list: { clips, sha256: "11".repeat(32), format: "folder" },
      split: "train",
      settings: settings(),
      cache: `${folder}/cache`,
      decoder: new Counting(decoder),
      parallel: 2,
    }, folder);
  });
}

function settings(change: PartialSettings = {}) {
  const file = {
    data: { maxBad: "1", ...change.data },
    clip: {
      size: 16,
      patch: 8,
      frames: 4,
      tubelet: 2,
      stride: 1,
      rowsPerShard: 3,
      sampling: "k400",
      crop: "multi-scale",
    },
  };
  Object.assign(file.clip, change.clip);
  return resolveSettings({ preset: "demo", file, flags: { seed: 3 } }).settings;
}

/** Every file of a folder and the SHA-256 of its bytes. */
function filesOf(folder: string): Record<string, string> {
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  return Object.fromEntries(
    names.map((name) => [name, createHash("sha256").update(Deno.readFileSync(`${folder}/${name}`)).digest("hex")]),
  );
}

/** Names of the set and SHA-256 of its shards. */
function shardHashes(folder: string): Record<string, string> {
  using set = openFramesSet(folder);
  return Object.fromEntries(
    Array.from({ length: set.shards }, (_, shard) => [`shard ${shard}`, set.sidecar(shard).sha256]),
  );
}

Deno.test("every view of every clip is stored as its decoder gives it, with label, name and origin", () =>
  withClips(async (base) => {
    const two = { ...base, settings: settings({ data: { views: 2 } }) };
    const progress: number[][] = [];
    const prepared = await prepareFrames({ ...two, onProgress: (...at) => progress.push(at) });
    assertEquals([prepared.clips, prepared.badClips, prepared.bad, prepared.shards], [7, 0, [], 5]);
    assertEquals([progress[0], progress.at(-1), progress.length], [[0, 0, 14], [14, 0, 14], 15]);
    using set = openFramesSet(prepared.folder);
    assertEquals([set.config.grid, set.config.cube], [[2, 2, 2], [2, 8, 8, 3]]);
    using decoder = new LibavDecoder();
    const rules = viewRules(two.settings.clip), row = 2 * 5 + 1, into = new Uint8Array(viewShape(rules).bytes);
    const draws = [...uniforms(drawsNeeded(rules), 3, "view", "clip-5.mp4", 1)];
    const expected = decoder.decodeSync({ ...rules, path: base.list.clips[5]!.path, draws });
    await set.readRow("/cubes", row, into);
    assertEquals(into, expected.cubes);
    const record = readViewRecords(set, set.shardOf(row))[row - set.span(set.shardOf(row)).row0]!;
    const { cubes: _, frameCount: __, ...origin } = expected;
    assertEquals(record, { ...origin, name: "clip-5.mp4", label: 1, item: 5, view: 1, good: true });
    assertEquals(prepared.bytes, [0, 1, 2, 3, 4].reduce((sum, shard) => sum + Deno.statSync(set.path(shard)).size, 0));
    for (let shard = 0; shard < 5; shard++) await verifyShard(set, shard);
  }));

Deno.test("a clip is read once for all its views, but for those of another shard, and the bytes are the same", () =>
  withClips(async (base, folder) => {
    const three = { ...base, settings: settings({ data: { views: 3 }, clip: { rowsPerShard: 7 } }) };
    const alone = await prepareFrames(three);
    assertEquals(base.decoder.requests.length, 21);
    using libav = new LibavDecoder();
    const readings: string[] = [];
    const decoder: ClipDecoder = {
      decode: () => Promise.reject(new Error("views were to be decoded together")),
      decodeViews(requests, into) {
        readings.push(`${requests[0]!.path.split("-").at(-1)} ${requests.length}`);
        return libav.decodeViews(requests, into);
      },
    };
    const together = await prepareFrames({ ...three, decoder, cache: `${folder}/cache-2` });
    // Rows 0 to 6, 7 to 13, 14 to 20: the third and the fifth clip lie in two shards.
    const expected = [
      "0.mp4 3",
      "1.mp4 3",
      "2.mp4 1",
      "2.mp4 2",
      "3.mp4 3",
      "4.mp4 2",
      "4.mp4 1",
      "5.mp4 3",
      "6.mp4 3",
    ];
    assertEquals(readings.sort(), expected.sort());
    assertEquals(shardHashes(together.folder), shardHashes(alone.folder));
  }));

Deno.test("a second run does nothing", () =>
  withClips(async (base) => {
    const first = await prepareFrames(base);
    const inodes = () =>
      [...Deno.readDirSync(first.folder)].map(({ name }) => [name, Deno.statSync(`${first.folder}/${name}`).ino]);
    const before = inodes(), requests = base.decoder.requests.length;
    const second = await prepareFrames({ ...base, now: () => 0 });
    assertEquals(second, { ...first, seconds: 0 });
    assertEquals([inodes(), base.decoder.requests.length], [before, requests]);
  }));

Deno.test("shards have the same bytes however many clips are decoded at a time and in whatever order they come out", () =>
  withClips(async (base, folder) => {
    const one = await prepareFrames({ ...base, parallel: 1 });
    const slow = new Counting(base.decoder, async ({ path }) => {
      const turns = 8 - Number(/\d/.exec(path.split("/").at(-1)!)![0]);
      for (let i = 0; i < turns; i++) await new Promise((resolve) => setTimeout(resolve));
    });
    const many = await prepareFrames({ ...base, cache: `${folder}/other`, decoder: slow, parallel: 5 });
    assertEquals(many.configSha256, one.configSha256);
    assertEquals(shardHashes(many.folder), shardHashes(one.folder));
  }));

Deno.test("what changes the pixels changes the folder; a seed that is not used does not", () =>
  withClips(async (base) => {
    const folderOf = async (change: PartialSettings, seed = 3, list = base.list) => {
      const changed = settings(change);
      changed.run.seed = seed;
      const one = { ...list, clips: list.clips.slice(0, 1) };
      return (await prepareFrames({ ...base, list: one, settings: changed })).folder;
    };
    const folders = [
      await folderOf({}),
      await folderOf({}, 4),
      await folderOf({}, 3, { ...base.list, sha256: "22".repeat(32) }),
      await folderOf({ clip: { sampling: "dense" } }),
      await folderOf({ clip: { crop: "centre" } }),
      await folderOf({ clip: { size: 32 } }),
      await folderOf({ clip: { stride: 2 } }),
      await folderOf({ data: { decoder: "ffmpeg" } }),
    ];
    assertEquals(new Set(folders).size, folders.length);
    assertEquals(await folderOf({ data: { maxBad: "5", lanes: 3 } }), folders[0]);
    const repeatable: PartialSettings = { clip: { sampling: "uniform", crop: "centre" } };
    assertEquals(await folderOf(repeatable, 4), await folderOf(repeatable, 3));
  }));

Deno.test("a stage that is stopped keeps shards and finished rows, and decodes in the next run only what is left", () =>
  withClips(async (base, folder) => {
    const whole = await prepareFrames({ ...base, cache: `${folder}/whole` });
    base.decoder.requests = [];
    const stop = new AbortController();
    const stopping = new Counting(base.decoder, () => {
      if (stopping.requests.length === 5) stop.abort(new DOMException("stopped", "AbortError"));
    });
    await assertRejects(
      () => prepareFrames({ ...base, decoder: stopping, signal: stop.signal }),
      DOMException,
      "stopped",
    );
    const [hash] = [...Deno.readDirSync(`${folder}/cache/frames`)].map(({ name }) => name);
    const names = [...Deno.readDirSync(`${folder}/cache/frames/${hash}`)].map(({ name }) => name).sort();
    assertEquals(names.filter((name) => !name.startsWith(".tmp-shard-00001.h5-")), [
      "config.json",
      "shard-00000.h5",
      "shard-00000.json",
    ]);
    const before = base.decoder.requests.length;
    base.decoder.requests = [];
    const progress: number[] = [];
    const resumed = await prepareFrames({ ...base, onProgress: (done) => progress.push(done) });
    assertEquals([progress[0], before + base.decoder.requests.length], [3, CLIPS]);
    assertEquals(filesOf(resumed.folder), filesOf(whole.folder));
  }));

Deno.test("a row that a crash tore is decoded again, the whole one beside it is not", () =>
  withClips(async (base, folder) => {
    const whole = await prepareFrames({ ...base, cache: `${folder}/whole` });
    const failing = new Counting(base.decoder, ({ path }) => {
      if (path.includes("clip-5")) throw new TypeError("a bug");
    });
    const tearLine = (file: string) => {
      const [first, second] = Deno.readTextFileSync(`${file}.rows`).trimEnd().split("\n") as [string, string];
      Deno.writeTextFileSync(`${file}.rows`, `${first}\n${second.slice(0, -5)}`);
    };
    const zeroPixels = (file: string) => {
      const { size } = Deno.statSync(file);
      Deno.truncateSync(file, 0);
      Deno.truncateSync(file, size);
    };
    for (const [tear, again] of [[tearLine, ["4", "5", "6"]], [zeroPixels, ["3", "4", "5", "6"]]] as const) {
      const torn = { ...base, cache: `${folder}/${tear.name}` };
      await assertRejects(() => prepareFrames({ ...torn, decoder: failing, parallel: 1 }), TypeError, "a bug");
      const set = whole.folder.replace("whole", tear.name);
      tear(`${set}/${[...Deno.readDirSync(set)].map(({ name }) => name).find((name) => name.endsWith("-left"))}`);
      base.decoder.requests = [];
      const resumed = await prepareFrames(torn);
      assertEquals(base.decoder.requests.map((path) => path.at(-5)).sort(), [...again]);
      assertEquals(filesOf(resumed.folder), filesOf(whole.folder));
    }
  }));

Deno.test("an error of the program stops the stage, leaves the finished rows and no claim", () =>
  withClips(async (base, folder) => {
    const broken = new Counting(base.decoder, ({ path }) => {
      if (path.includes("clip-4")) throw new TypeError("a bug");
    });
    await assertRejects(() => prepareFrames({ ...base, decoder: broken, parallel: 3 }), TypeError, "a bug");
    const [hash] = [...Deno.readDirSync(`${folder}/cache/frames`)].map(({ name }) => name);
    const names = [...Deno.readDirSync(`${folder}/cache/frames/${hash}`)].map(({ name }) => name);
    assertEquals(names.filter((name) => /^\.(?!tmp-shard-00001.h5-[-0-9a-f]{36}-left(?:\.rows)?$)/.test(name)), []);
  }));

Deno.test("a broken clip is reported by name, reason and place, keeps its row, and is not replaced", () =>
  withClips(async (base, folder) => {
    const bytes = Deno.readFileSync(`${folder}/clip-2.mp4`);
    Deno.writeFileSync(`${folder}/clip-2.mp4`, bytes.subarray(0, bytes.length >> 1));
    const prepared = await prepareFrames(base);
    assertEquals(prepared.badClips, 1);
    const [bad] = prepared.bad;
    assertEquals([bad!.name, bad!.row, bad!.reason, bad!.fileBytes], ["clip-2.mp4", 2, "truncated", bytes.length >> 1]);
    assertStringIncludes(bad!.path, "clip-2.mp4");
    using set = openFramesSet(prepared.folder);
    assertEquals([...set.goodRows()], [0, 1, 3, 4, 5, 6]);
    assertEquals(readViewRecords(set, 0).map(({ name }) => name), ["clip-0.mp4", "clip-1.mp4", "clip-2.mp4"]);
  }));

Deno.test("more bad clips than allowed stop the stage at once with exit code 3, by name, and again in the next run", () =>
  withClips(async (base, folder) => {
    for (const i of [0, 1, 4]) Deno.removeSync(`${folder}/clip-${i}.mp4`);
    const error = await assertRejects(() => prepareFrames({ ...base, parallel: 1 }), TooManyBadClipsError);
    assertEquals([error.exitCode, base.decoder.requests.length], [3, 2]);
    assertStringIncludes(
      error.message,
      "2 clips cannot be decoded, --max-bad 1 allows 1 of 7:\n  clip-0.mp4 (missing): ",
    );
    assertStringIncludes(error.message, "\n  clip-1.mp4 (missing): ");
    assertStringIncludes(error.message, "or allow more with --max-bad");

    const generous = { ...base, settings: settings({ data: { maxBad: "50%" } }) };
    assertEquals((await prepareFrames(generous)).badClips, 3);
    base.decoder.requests = [];
    const again = await assertRejects(() => prepareFrames(base), TooManyBadClipsError, "3 clips cannot be decoded");
    assertEquals([again.bad.map(({ item }) => item), base.decoder.requests], [[0, 1, 4], []]);
  }));

Deno.test("a clip that was mended is decoded in the next run, and only its shard is made again", () =>
  withClips(async (base, folder) => {
    const path = `${folder}/clip-4.mp4`;
    Deno.renameSync(path, `${path}.away`);
    const broken = await prepareFrames(base), before = shardHashes(broken.folder);
    assertEquals(broken.bad.map(({ name, fileBytes }) => [name, fileBytes]), [["clip-4.mp4", null]]);
    Deno.renameSync(`${path}.away`, path);
    const warnings: string[] = [];
    const mended = await prepareFrames({ ...base, warn: (message) => warnings.push(message) });
    assertEquals(warnings, ["Frame shard 1 is made again: clip-4.mp4 was missing, its file has changed"]);
    assertEquals([mended.badClips, mended.folder], [0, broken.folder]);
    assertEquals(base.decoder.requests.slice(CLIPS), [path]);
    const whole = await prepareFrames({ ...base, cache: `${folder}/whole` });
    assertEquals(filesOf(mended.folder), filesOf(whole.folder));
    const after = shardHashes(mended.folder);
    assertEquals([after["shard 0"], after["shard 2"]], [before["shard 0"], before["shard 2"]]);
    assertNotEquals(after["shard 1"], before["shard 1"]);
  }));

Deno.test("clips whose decoder ran out of time are tried again only where the stage would fail on them", () =>
  withClips(async (base) => {
    const slow = (...clips: string[]) =>
      new Counting(base.decoder, ({ path }) => {
        const name = clips.find((clip) => path.includes(clip));
        if (name !== undefined) throw new CorruptClipError(path, "timed-out", "60 s passed");
      });
    const generous = { ...base, settings: settings({ data: { maxBad: "2" } }) };
    assertEquals((await prepareFrames({ ...generous, decoder: slow("clip-1", "clip-5") })).badClips, 2);
    base.decoder.requests = [];
    assertEquals((await prepareFrames(generous)).badClips, 2);
    assertEquals(base.decoder.requests, []);
    assertEquals((await prepareFrames(base)).badClips, 0);
    assert(base.decoder.requests.length > 0);
  }));

Deno.test("a retry decodes the bad clips alone, and one that is whole by now stands as if it always had been", () =>
  withClips(async (base, folder) => {
    const whole = await prepareFrames({ ...base, cache: `${folder}/whole` });
    const generous = { ...base, settings: settings({ data: { maxBad: "3" } }) };
    const failing = new Counting(base.decoder, ({ path }) => {
      if (path.includes("clip-1")) throw new CorruptClipError(path, "timed-out", "60 s passed");
      if (path.includes("clip-4")) throw new CorruptClipError(path, "damaged", "wrong data");
    });
    Deno.renameSync(`${folder}/clip-6.mp4`, `${folder}/away`);
    const broken = await prepareFrames({ ...generous, decoder: failing }), before = shardHashes(broken.folder);
    assertEquals(broken.bad.map(({ name }) => name), ["clip-1.mp4", "clip-4.mp4", "clip-6.mp4"]);
    base.decoder.requests = [];
    assertEquals((await prepareFrames(generous)).badClips, 3);
    assertEquals(base.decoder.requests, []);

    const stillDamaged = new Counting(base.decoder, ({ path }) => {
      if (path.includes("clip-4")) throw new CorruptClipError(path, "damaged", "wrong data, once more");
    });
    const retried = await prepareFrames({ ...generous, decoder: stillDamaged, retryBad: true });
    assertEquals(stillDamaged.requests.map((path) => path.at(-5)).sort(), ["1", "4", "6"]);
    assertEquals(retried.bad.map(({ name, detail }) => [name, detail]), [
      ["clip-4.mp4", "wrong data, once more"],
      ["clip-6.mp4", broken.bad[2]!.detail],
    ]);
    const after = shardHashes(retried.folder);
    assertEquals([after["shard 1"], after["shard 2"]], [before["shard 1"], before["shard 2"]]);

    Deno.renameSync(`${folder}/away`, `${folder}/clip-6.mp4`);
    base.decoder.requests = [];
    const mended = await prepareFrames({ ...base, retryBad: true });
    assertEquals(base.decoder.requests.map((path) => path.at(-5)).sort(), ["4", "6"]);
    assertEquals(filesOf(mended.folder), filesOf(whole.folder));
  }));

Deno.test("a retry that is stopped leaves the set whole, and the next run tidies up after it", () =>
  withClips(async (base) => {
    const failing = new Counting(base.decoder, ({ path }) => {
      if (path.includes("clip-4")) throw new CorruptClipError(path, "damaged", "wrong data");
    });
    const broken = await prepareFrames({ ...base, decoder: failing }), before = filesOf(broken.folder);
    const dying = new Counting(base.decoder, () => {
      throw new TypeError("a bug");
    });
    await assertRejects(() => prepareFrames({ ...base, decoder: dying, retryBad: true }), TypeError, "a bug");
    assert(Object.keys(filesOf(broken.folder)).some((name) => name.startsWith(".tmp-shard-00001.h5-")));
    assertEquals((await prepareFrames(base)).bad.map(({ name }) => name), ["clip-4.mp4"]);
    assertEquals(filesOf(broken.folder), before);
  }));

Deno.test("a part makes its own shards, the last part or a later run without one makes the set complete", () =>
  withClips(async (base, folder) => {
    const whole = await prepareFrames({ ...base, cache: `${folder}/whole` });
    base.decoder.requests = [];
    const progress: number[][] = [];
    const part = (number: number) =>
      prepareFrames({ ...base, part: { number, of: 2 }, onProgress: (...at) => progress.push(at) });
    const second = await part(2);
    assertEquals([second.missing, second.shards, base.decoder.requests.map((path) => path.at(-5))], [2, 3, [
      "3",
      "4",
      "5",
    ]]);
    assertEquals([progress[0], progress.at(-1)], [[0, 0, 3], [3, 0, 3]]);
    assert(!filesOf(second.folder)["manifest.json"]);
    assertEquals((await part(1)).missing, 0);
    assertEquals([filesOf(second.folder), base.decoder.requests.length], [filesOf(whole.folder), CLIPS]);

    const other = { ...base, cache: `${folder}/other` };
    await prepareFrames({ ...other, part: { number: 3, of: 16 } });
    assertEquals(filesOf((await prepareFrames(other)).folder), filesOf(whole.folder));
    assertEquals(shardsOfPart(3, { number: 4, of: 4 }), []);
    assertEquals(shardsOfPart(40, parsePart("3/16")), [2, 18, 34]);
    for (const wrong of ["0/4", "5/4", "3", "a/b", "1/0"]) {
      assertThrows(() => parsePart(wrong), SettingsError, `--part is "${wrong}": expected a part`);
    }
  }));

Deno.test("the parts of every number of parts are the whole, each shard once", () => {
  for (const shards of [1, 2, 7, 16]) {
    for (const count of [1, 2, 3, 16, 20]) {
      const parts = Array.from({ length: count }, (_, i) => shardsOfPart(shards, { number: i + 1, of: count }));
      assertEquals(parts.flat().sort((a, b) => a - b), Array.from({ length: shards }, (_, shard) => shard));
    }
  }
});

Deno.test("an empty list and no decoding at all are refused", () =>
  withClips(async (base) => {
    const list = { ...base.list, clips: [] };
    await assertRejects(() => prepareFrames({ ...base, list }), RangeError, "The list holds no clip");
    await assertRejects(() => prepareFrames({ ...base, parallel: 0 }), RangeError, "are 1 or more: found 0");
  }));
