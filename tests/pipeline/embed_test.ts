/** Features of clips in files for other programs: rows in the order of the list, with broken clips among them. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "node:path";
import { LibavDecoder } from "../../decoders/libav.ts";
import { ClipEncoder } from "../../pipeline/clip_encoder.ts";
import { type EmbedOptions, embedToFile, TooManyFailuresError } from "../../pipeline/embed.ts";
import { embedClips } from "../../pipeline/embed_clips.ts";
import { silentProgress } from "../../pipeline/progress.ts";
import { resolveSettings, SettingsError } from "../../pipeline/settings.ts";
import { Hdf5File } from "../../pipeline/shards/_h5wasm.ts";
import { FeatureTable } from "../../pipeline/shards/feature_table.ts";
import { inTempDir, makeClip } from "../decoders/_clips.ts";
import { tfjsEngine } from "../models/_engines.ts";
import { STEP, writeRun } from "./_fake_run.ts";

const f32 = (bytes: Uint8Array) => [...new Float32Array(bytes.slice().buffer)];

function optionsOf(flags: Record<string, string>, more: Partial<EmbedOptions> = {}): EmbedOptions {
  return {
    resolved: resolveSettings({ flags: { engine: "tfjs", lanes: "1", "max-bad": "1", ...flags }, withoutData: true }),
    files: [],
    signal: new AbortController().signal,
    progress: silentProgress,
    warn: () => {},
    ...more,
  };
}

Deno.test("clips of a list become rows in its order, as the encoder of a run gives them; a broken one keeps its row", () =>
  inTempDir(async (folder) => {
    const run = await writeRun(folder);
    for (const [name, frames] of [["b.mp4", 9], ["a.mp4", 6], ["c.mp4", 12]] as const) {
      makeClip(join(folder, name), frames);
    }
    await Deno.writeTextFile(join(folder, "broken.mp4"), "this is no video");
    const list = join(folder, "list.csv");
    await Deno.writeTextFile(list, "b.mp4 2\nbroken.mp4 0\na.mp4 1\nc.mp4 2\n");
    const flags = { data: list, videos: folder, student: run.path, "eval-batch": "3" };
    const pooled = join(folder, "pooled.h5"), tokens = join(folder, "tokens.npy");
    const result = await embedToFile(optionsOf(flags), pooled);
    assertEquals([result.clips, result.shape], [4, [4, 48]]);
    assertEquals(result.bad.map(({ name }) => name), ["broken.mp4"]);
    assert(result.bad[0]!.reason.startsWith("not-a-video"));

    // The run's own frame rule and sizes: 4 frames of the whole clip, 16 pixels.
    const weights = join(run.path, "checkpoints", `step-0000000${STEP}`, "model.safetensors");
    const engine = await tfjsEngine();
    await using encoder = await ClipEncoder.open(weights, { heads: 3, frames: 4, size: 16, batch: 3, engine });
    using decoder = new LibavDecoder();
    const expected = await encoder.embed(["b.mp4", "a.mp4", "c.mp4"].map((name) => {
      const sampling = { kind: "uniform" as const, frames: 4 };
      const request = { path: join(folder, name), sampling, crop: { kind: "centre" as const }, draws: [] };
      return decoder.decodeSync({ ...request, size: 16, tubelet: 2, patch: 8 }).cubes;
    }));
    using file = await Hdf5File.open(pooled);
    assertEquals(file.dataset("/features"), { dtype: "f32", shape: [4, 48] });
    for (const [row, i] of [[0, 0], [2, 1], [3, 2]] as const) {
      assertEquals(f32(file.read("/features", row)), [...expected[i]!.features]);
    }
    assert(f32(file.read("/features", 1)).every(Number.isNaN));
    assertEquals([...file.read("/status")], [0, 2, 0, 0]);
    assertEquals([...new Int32Array(file.read("/label").slice().buffer)], [2, 0, 1, 2]);
    assertEquals(new TextDecoder().decode(file.read("/names/utf8")), "b.mp4broken.mp4a.mp4c.mp4");
    assertEquals(file.textAttribute("kind"), "pooled");

    const files = ["a.mp4", "c.mp4"].map((name) => join(folder, name));
    const named = await embedToFile(optionsOf({ student: run.path }, { files, tokens: true }), tokens);
    assertEquals(named.shape, [2, 8, 48]);
    const npy = await Deno.readFile(tokens), start = 10 + npy[8]! + 256 * npy[9]!;
    assertEquals([start % 64, String.fromCharCode(...npy.subarray(1, 6))], [0, "NUMPY"]);
    const header = new TextDecoder().decode(npy.subarray(10, start));
    assertEquals(header.trim(), "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 8, 48,), }");
    assertEquals(f32(npy.subarray(start)), [...expected[1]!.tokens, ...expected[2]!.tokens]);
    const beside = JSON.parse(await Deno.readTextFile(`${tokens}.json`));
    assertEquals([beside.names, beside.label, beside.status], [files, [-1, -1], [0, 0]]);

    // The same from a program, as one array.
    const settings = { engine: "tfjs", lanes: 1, "max-bad": 1, "eval-batch": 3 };
    const listed = await embedClips({ from: run.path, settings: { ...settings, data: list, videos: folder } });
    assertEquals([listed.shape, listed.labels, listed.bad], [[4, 48], [2, 0, 1, 2], result.bad]);
    const row = (i: number) => [...listed.features.subarray(i * 48, (i + 1) * 48)];
    assertEquals([0, 2, 3].map(row), expected.map(({ features }) => [...features]));
    assert(row(1).every(Number.isNaN));
    const dense = await embedClips({ from: run.path, files, tokens: true, settings });
    assertEquals([dense.shape, dense.names, dense.labels], [[2, 8, 48], files, [null, null]]);
    assertEquals([...dense.features], [...expected[1]!.tokens, ...expected[2]!.tokens]);
    await assertRejects(() => embedClips({ from: run.path, settings }), SettingsError, "No clips");

    // More bad clips than allowed, or a name that is taken: nothing is written, nothing left.
    const before = [...Deno.readDirSync(folder)].length;
    const strict = optionsOf({ ...flags, "max-bad": "0" });
    const error = await assertRejects(
      () => embedToFile(strict, join(folder, "none.h5")),
      TooManyFailuresError,
      "broken.mp4: not-a-video",
    );
    assertEquals(error.exitCode, 3);
    await assertRejects(() => embedToFile(optionsOf(flags), pooled), TypeError, "is there already");
    assertEquals([...Deno.readDirSync(folder)].length, before);
    await assertRejects(() => embedToFile(optionsOf({ student: run.path }), pooled), SettingsError, "No clips");
    await assertRejects(() => embedToFile(optionsOf(flags, { files }), pooled), SettingsError, "take one");
    await assertRejects(() => embedToFile(optionsOf({}, { files }), pooled), SettingsError, "--from is missing");
  }));

Deno.test("a table that is not finished leaves nothing, and rows of another size are refused", () =>
  inTempDir((folder) => {
    const path = join(folder, "table.h5"), rows = { names: ["a"], labels: [null], shape: [2, 3], attributes: {} };
    {
      using table = new FeatureTable(path, rows);
      assertThrows(() => table.write(0, new Float32Array(5)), RangeError, "has 6 numbers, found 5");
      table.write(0, new Float32Array(6));
    }
    assertEquals([...Deno.readDirSync(folder)], []);
    assertThrows(() => new FeatureTable(join(folder, "table.csv"), rows), TypeError, "end it in .h5 or .npy");
    return Promise.resolve();
  }));
