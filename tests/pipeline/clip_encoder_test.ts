/** Encoders for programs: the official features from the official file, folders of the hub, and what is refused. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { ClipEncoder } from "../../mod.ts";
import { exportRun } from "../../pipeline/export.ts";
import { assertFeature, type ClipConfig, cubesOfNormalized, goldenJson, goldenTensors } from "../golden/_golden.ts";
import { goldenPath, goldenTest } from "../golden/_golden.ts";
import { inFolder } from "../models/checkpoints/_archives.ts";
import { referenceEngine, tfjsEngine } from "../models/_engines.ts";
import { writeRun } from "./_fake_run.ts";

const FILES = ["official", "hf", "data"].map((part) => `videomae-classify-${part}.safetensors`);

goldenTest("an official or hub file gives the official features, one clip or several at once", FILES, async () => {
  const { config } = await goldenJson<{ config: ClipConfig & { heads: number; depth: number; width: number } }>(
    "videomae-classify.json",
  );
  const { heads, frames, img: [size], batch, depth, width } = config;
  const data = await goldenTensors("videomae-classify-data.safetensors");
  const cubes = Uint8Array.from(cubesOfNormalized(config, data.get("clip")!));
  const clips = Array.from(
    { length: batch },
    (_, i) => cubes.slice(i * cubes.length / batch, (i + 1) * cubes.length / batch),
  );
  for (const [file, atOnce] of [[FILES[0]!, 1], [FILES[1]!, batch + 1]] as const) {
    const options = { heads, frames, size, batch: atOnce, engine: referenceEngine() };
    await using encoder = await ClipEncoder.open(goldenPath(file), options);
    assertEquals(encoder.encoder, { width, depth, heads });
    const found = await encoder.embed(clips);
    assertEquals(found.length, batch);
    assertFeature(found.flatMap(({ tokens }) => [...tokens]), data.get(`hidden.${depth}`)!, "tokens");
    for (const { features, tokens } of found) {
      const means = Array.from({ length: width }, (_, c) => {
        let sum = 0;
        for (let i = c; i < tokens.length; i += width) sum += tokens[i]!;
        return sum * width / tokens.length;
      });
      assertFeature(features, { shape: [width], data: Float32Array.from(means) }, "features");
    }
  }
});

Deno.test("an exported folder is opened with the sizes of its config.json, and a video file embedded", async () => {
  await inFolder(async (folder) => {
    const run = await writeRun(folder), out = `${folder}/out`;
    await exportRun({ run: run.path, to: "hf", out, engine: { engine: "tfjs" } });
    const engine = await tfjsEngine();
    await using encoder = await ClipEncoder.open(out, { engine });
    assertEquals(encoder.encoder, { width: 48, depth: 2, heads: 3 });
    assertEquals([encoder.grid, encoder.cube], [{ slots: 2, rows: 2, columns: 2 }, { tubelet: 2, patch: 8 }]);
    const video = new URL("../fixtures/clips/colours.webm", import.meta.url).pathname;
    const { features, tokens } = await encoder.embedFile(video);
    assertEquals([features.length, tokens.length], [48, 8 * 48]);
    assert(features.some((value) => Math.abs(value) > 0.01));
    await assertRejects(() => encoder.embed([new Uint8Array(5)]), RangeError, "has 3072 bytes, found 5");
    // The checkpoint itself has no config.json.
    const checkpoint = `${run.path}/checkpoints/step-00000007/model.safetensors`;
    await assertRejects(() => ClipEncoder.open(checkpoint, { engine }), RangeError, "give the option heads");
    await using own = await ClipEncoder.open(checkpoint, { heads: 3, frames: 4, size: 16, engine });
    assertEquals((await own.embedFile(video)).features, features);
    const odd = ClipEncoder.open(checkpoint, { heads: 3, frames: 3, size: 16, engine });
    await assertRejects(() => odd, RangeError, "cubes of 2 x 8 x 8 pixels");
    await assertRejects(() => ClipEncoder.open(folder), TypeError, "holds no weights");
  });
});

goldenTest(
  "MAE's own file is an encoder of pictures, with a class token",
  ["image-mae-official.safetensors"],
  async () => {
    const path = goldenPath("image-mae-official.safetensors");
    await using encoder = await ClipEncoder.open(path, { heads: 3, size: 32, engine: referenceEngine() });
    assertEquals([encoder.form, encoder.encoder], ["mae", { width: 24, depth: 3, heads: 3 }]);
    assertEquals([encoder.grid, encoder.cube], [{ slots: 1, rows: 4, columns: 4 }, { tubelet: 1, patch: 8 }]);
    const [found] = await encoder.embed([new Uint8Array(32 * 32 * 3)]);
    assertEquals([found!.features.length, found!.tokens.length], [24, 17 * 24]);
  },
);
