/** Feature sets: float16 or bytes as they were given, bound to the bytes of the frames, and nothing stored that float16 cannot hold. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { halfBytes, halfValue, largestHalf } from "../../../pipeline/shards/_half.ts";
import { Hdf5File } from "../../../pipeline/shards/_h5wasm.ts";
import { bytesOf } from "../../../pipeline/shards/_positional.ts";
import { FeatureShardSequence } from "../../../pipeline/shards/feature_shard_sequence.ts";
import {
  assertFeaturesFit,
  createFeaturesSet,
  type FeatureRow,
  FeatureShardWriter,
  openFeaturesSet,
  plannedFeatureShardBytes,
  readTeacherPositions,
  resumeFeatures,
  type TeacherSettings,
} from "../../../pipeline/shards/feature_shards.ts";
import { ShardError } from "../../../pipeline/shards/shard_error.ts";
import {
  CODED_TEACHER,
  codedOf,
  featuresOf,
  featuresSet,
  FRAMES,
  framesSet,
  inTempDir,
  maskOf,
  patch,
  TEACHER,
  writeFeatures,
  writeFrames,
} from "./_sets.ts";

/** What the tests store for a row. */
const rowOf = (row: number): FeatureRow => ({
  levels: [featuresOf(row, 0), featuresOf(row, 1)],
  teacherPositions: maskOf(row),
});

Deno.test("features are read back by position and by the HDF5 library, with masks and largest magnitudes", () =>
  inTempDir(async (cache) => {
    using frames = await framesSet(cache, [5]);
    const folder = (await featuresSet(cache, frames)).folder;
    using set = openFeaturesSet(folder);
    assertFeaturesFit(set, frames);
    for (const row of [0, 4, 9]) {
      for (const level of [0, 1]) {
        const into = new Uint8Array(set.rowBytes(`/features/level_${level}`));
        await set.readRow(`/features/level_${level}`, row, into);
        assertEquals(new Float32Array(new Float16Array(into.buffer)), featuresOf(row, level));
      }
    }
    using file = await Hdf5File.open(set.path(1));
    assertEquals(file.dataset("/features/level_1"), { dtype: "f16", shape: [4, 6, 2] });
    assertEquals(file.read("/features/level_0", 2), bytesOf(new Float16Array(featuresOf(6, 0))).slice());
    const positions = readTeacherPositions(set);
    assertEquals([...positions.subarray(0, 6)], [...maskOf(0), ...maskOf(1)]);
    assertEquals([...positions.subarray(15, 18)], [0, 0, 0]);
    const absmax = new Float32Array(set.column("/stats/absmax").buffer);
    assertEquals([absmax[2 * 4], absmax[2 * 4 + 1], absmax[2 * 5]], [4 + 23 / 8, 4 + 11 / 8, 0]);
    assertEquals(set.failedRows(), [5]);
    for (let shard = 0; shard < 3; shard++) {
      assertEquals(Deno.statSync(set.path(shard)).size, plannedFeatureShardBytes(set.config, shard));
    }
  }));

Deno.test("features kept as bytes come with the scale and offset of each token, both under the row's checksums", () =>
  inTempDir(async (cache) => {
    using frames = await framesSet(cache, [5]);
    using set = await featuresSet(cache, frames, CODED_TEACHER);
    const row = 6, { codes, scales } = codedOf(row, 0);
    const into = new Uint8Array(set.rowBytes("/features/level_0"));
    const scalesInto = new Uint8Array(set.rowBytes("/scales/level_0"));
    await set.readRow("/features/level_0", row, into);
    await set.readRow("/scales/level_0", row, scalesInto);
    assertEquals([into, new Float32Array(scalesInto.buffer)], [codes, scales]);
    using file = await Hdf5File.open(set.path(1));
    assertEquals(file.dataset("/features/level_1"), { dtype: "u8", shape: [4, 6, 2] });
    assertEquals(file.dataset("/scales/level_1"), { dtype: "f32", shape: [4, 6, 2] });
    const absmax = new Float32Array(set.column("/stats/absmax").buffer);
    assertEquals([...absmax.subarray(2 * row, 2 * row + 2)], [row + 255 * 5, 2 * row + 255 * 5]);
    for (let shard = 0; shard < 3; shard++) {
      assertEquals(Deno.statSync(set.path(shard)).size, plannedFeatureShardBytes(set.config, shard));
    }
    const { offset, bytes } = set.sidecar(1).datasets["/scales/level_0"]!;
    patch(set.path(1), offset + (row - 4) * bytes / 4, (found) => void (found[0]! ^= 1));
    using damaged = openFeaturesSet(set.folder);
    await assertRejects(
      () => damaged.readRow("/scales/level_0", row, scalesInto),
      ShardError,
      "/scales/level_0, row 6",
    );
  }));

Deno.test("codes with a scale that is not finite, of a wrong size or in a set of float16 are refused", () =>
  inTempDir(async (cache) => {
    using frames = await framesSet(cache);
    using set = createFeaturesSet(cache, frames, CODED_TEACHER);
    using writer = new FeatureShardWriter(set, frames, 0);
    const write = (change: (level: ReturnType<typeof codedOf>) => FeatureRow["levels"][number]) =>
      writer.write(1, { levels: [codedOf(1, 0), change(codedOf(1, 1))], teacherPositions: maskOf(1) });
    for (const [at, value] of [[0, NaN], [11, Infinity], [3, -Infinity]] as const) {
      assertThrows(
        () => write(({ codes, scales }) => ({ codes, scales: scales.with(at, value) })),
        RangeError,
        "level 1 (block 3) of row 1 hold a value that is not finite",
      );
    }
    assertThrows(
      () => write(({ codes, scales }) => ({ codes, scales: scales.slice(2) })),
      RangeError,
      "The scales of level 1 (block 3) of row 1 have 40 bytes, expected 6 x 2 x 4",
    );
    assertThrows(
      () => write(({ codes, scales }) => ({ codes: codes.slice(1), scales })),
      RangeError,
      "have 11 bytes, expected 6 x 2",
    );
    assertThrows(() => write(() => featuresOf(1, 1)), RangeError, "are no codes, the set has u8");
    using halves = createFeaturesSet(cache, frames, TEACHER);
    using other = new FeatureShardWriter(halves, frames, 0);
    const coded = { levels: [codedOf(0, 0), codedOf(0, 1)], teacherPositions: maskOf(0) };
    assertThrows(() => other.write(0, coded), RangeError, "are codes, the set has f16");
    write((level) => level);
  }));

Deno.test("whatever decides the features is another folder, and features that it does not fit are refused by its name", () =>
  inTempDir(async (cache) => {
    using frames = await framesSet(cache);
    using set = await featuresSet(cache, frames);
    const { teacher, levels } = TEACHER;
    const changes: [string, Partial<TeacherSettings>][] = [
      ["teacher.sha256", { teacher: { ...teacher, sha256: "cd".repeat(32) } }],
      ["teacher.precision", { teacher: { ...teacher, precision: "bf16" } }],
      ["dtype", { dtype: "u8" }],
      ["levels.1.block", { levels: [levels[0]!, { ...levels[1]!, block: 2 }] }],
      ["levels.1", { levels: [levels[0]!] }],
      ["levels.0.width", { levels: [{ ...levels[0]!, width: 8 }, levels[1]!] }],
      ["teacherPositions", { teacherPositions: 2 }],
      ["provenance.maskSeed", { provenance: { maskSeed: 8 } }],
    ];
    assertFeaturesFit(set, frames, TEACHER);
    const folders = new Set([set.folder]);
    for (const [field, change] of changes) {
      const settings = { ...TEACHER, ...change };
      using other = createFeaturesSet(cache, frames, settings);
      folders.add(other.folder);
      assertThrows(() => assertFeaturesFit(set, frames, settings), ShardError, `was made with ${field} `);
    }
    assertEquals(folders.size, changes.length + 1);
  }));

Deno.test("the teacher has nothing to compute for clips that were refused", () =>
  inTempDir(async (cache) => {
    using frames = await framesSet(cache, [4, 6]);
    using set = createFeaturesSet(cache, frames, TEACHER);
    using writer = new FeatureShardWriter(set, frames, 1);
    assertEquals(writer.pending, [5, 7]);
    const row = { levels: [featuresOf(4, 0), featuresOf(4, 1)], teacherPositions: [0, 1, 2] };
    assertThrows(() => writer.write(4, row), RangeError, "Row 4 of shard 1 is already written");
  }));

Deno.test("values that float16 cannot hold are refused with their level and row, and so are wrong masks and sizes", () =>
  inTempDir(async (cache) => {
    using frames = await framesSet(cache);
    using set = createFeaturesSet(cache, frames, TEACHER);
    using writer = new FeatureShardWriter(set, frames, 0);
    const write = (value: number, mask: number[] = [0, 1, 2], width = 12) => {
      const level = new Float32Array(width);
      level[7] = value;
      writer.write(1, { levels: [featuresOf(1, 0), level], teacherPositions: mask });
    };
    assertThrows(() => write(NaN), RangeError, "level 1 (block 3) of row 1 hold a value that is not a number");
    for (const value of [65520, -1e9, Infinity]) {
      assertThrows(() => write(value), RangeError, "level 1 (block 3) of row 1 exceed float16");
    }
    assertThrows(() => write(1, [0, 1, 4]), RangeError, "no ascending list of positions below 4: 1, 4");
    assertThrows(() => write(1, [1, 1, 2]), RangeError, "no ascending list of positions below 4: 1, 1");
    assertThrows(() => write(1, [0, 1]), RangeError, "has 2 positions, expected 3");
    assertThrows(() => write(1, [0, 1, 2], 13), RangeError, "have 26 bytes, expected 6 x 2 x 2");
    write(65519);
  }));

Deno.test("the largest magnitude of float16 is found at any length and alignment", () => {
  const values = new Float16Array([0.5, -7, 3, -0, 6.5]);
  for (let length = 1; length <= 5; length++) {
    const expected = Math.max(...Array.from(values.subarray(0, length), Math.abs));
    const shifted = new Uint8Array(20);
    for (const at of [0, 1, 2, 3]) {
      shifted.set(bytesOf(values.subarray(0, length)), at);
      assertEquals(halfValue(largestHalf(shifted.subarray(at, at + 2 * length))), expected);
    }
  }
  assertEquals(halfBytes(Float32Array.of(1 + 2 ** -11, 1 + 3 * 2 ** -11)), bytesOf(new Float16Array([1, 1 + 2 ** -9])));
});

Deno.test("features of other settings are another set, and features of frames made anew do not fit", () =>
  inTempDir(async (cache) => {
    using frames = await framesSet(cache);
    using set = await featuresSet(cache, frames);
    const other = createFeaturesSet(cache, frames, { ...TEACHER, provenance: { maskSeed: 8 } });
    assertEquals(other.folder === set.folder, false);
    using elsewhere = await framesSet(cache, [], { ...FRAMES, provenance: { list: "9" } });
    assertThrows(() => assertFeaturesFit(set, elsewhere), ShardError, "was computed from frames");

    for (const end of ["h5", "json"]) Deno.removeSync(`${frames.folder}/shard-00001.${end}`);
    await writeFrames(frames, 1, [7]);
    assertThrows(() => assertFeaturesFit(set, frames), ShardError, "shard-00001.h5 was computed from a frame shard");
    const report = await resumeFeatures(set, frames);
    assertEquals([report.missing, report.stale.map(({ shard }) => shard)], [[1], [1]]);
    await writeFeatures(set, frames, 1);
    assertFeaturesFit(set, frames);
    assertEquals(set.failedRows(), [7]);
  }));

Deno.test("a feature writer needs the frame shard it is computed from", () =>
  inTempDir(async (cache) => {
    using frames = await framesSet(cache);
    using set = createFeaturesSet(cache, frames, TEACHER);
    Deno.removeSync(`${frames.folder}/shard-00002.json`);
    frames.forget(2);
    assertThrows(
      () => new FeatureShardWriter(set, frames, 2),
      ShardError,
      "shard-00002.json does not exist: the shard has yet to be made",
    );
  }));

Deno.test("shards are filled one after the other, each sealed while the next takes rows, also those without any", () =>
  inTempDir(async (cache) => {
    // All clips of the second shard are bad.
    using frames = await framesSet(cache, [4, 5, 6, 7, 8]);
    using set = createFeaturesSet(cache, frames, TEACHER);
    await using shards = new FeatureShardSequence(set, frames, [0, 1, 2]);
    assertEquals(shards.pending, [0, 1, 2, 3, 9]);
    for (const row of shards.pending) (await shards.writerOf(row)).write(row, rowOf(row));
    await assertRejects(() => shards.writerOf(0), RangeError, "none of those that are left");
    await shards.finish();
    using opened = openFeaturesSet(set.folder);
    assertEquals(opened.failedRows(), [4, 5, 6, 7, 8]);
    const into = new Uint8Array(opened.rowBytes("/features/level_0"));
    await opened.readRow("/features/level_0", 9, into);
    assertEquals(new Float32Array(new Float16Array(into.buffer)), featuresOf(9, 0));
  }));

Deno.test("a shard that cannot be sealed is told of, and an interrupted sequence leaves whole shards and no other", () =>
  inTempDir(async (cache) => {
    using frames = await framesSet(cache);
    using set = createFeaturesSet(cache, frames, TEACHER);
    const all = [0, 1, 2];
    {
      await using shards = new FeatureShardSequence(set, frames, all);
      await shards.writerOf(0); // and not a row is written
      await shards.writerOf(4);
      await assertRejects(() => shards.finish(), RangeError, "lacks 4 of its 4 rows");
    }
    assertEquals(set.missing(), all);
    {
      await using shards = new FeatureShardSequence(set, frames, all);
      for (const row of [0, 1, 2, 3, 4, 5]) (await shards.writerOf(row)).write(row, rowOf(row));
    }
    assertEquals(set.missing(), [1, 2]);
    const left = [...Deno.readDirSync(set.folder)].map(({ name }) => name).filter((name) => /^shard-/.test(name));
    assertEquals(left.sort(), ["shard-00000.h5", "shard-00000.json"]);
  }));
