/** MAE's image checkpoints beside the networks that they hold: what an encoder leaves out, and stored position tables. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { isLeftOut } from "../../models/checkpoints/left_out.ts";
import { fitPositions } from "../../models/checkpoints/positions.ts";
import { SafetensorsFile } from "../../models/checkpoints/safetensors.ts";
import { initialParameters } from "../../models/parameters.ts";
import { teacherForward } from "../../models/teacher.ts";
import { readEncoder } from "../../pipeline/training/encoder_weights.ts";
import { goldenJson, goldenPath, goldenTest } from "./_golden.ts";
import { type MaeCase, sizesOf } from "./_image.ts";

const FILES = ["image-mae.json", "image-mae-official.safetensors"];

goldenTest("an encoder without a class token does not take an image checkpoint of MAE silently", FILES, async () => {
  const { config } = await goldenJson<MaeCase>("image-mae.json");
  await using file = await SafetensorsFile.open(goldenPath("image-mae-official.safetensors"));
  const names = [...file.tensors.keys()].filter((name) => !name.startsWith("patch_embed"));
  assertEquals(names.filter((name) => !isLeftOut(name, config.depth)), ["cls_token"]);
});

goldenTest("the position table of an image checkpoint fits with and without its class token", FILES, async () => {
  const { config } = await goldenJson<MaeCase>("image-mae.json"), { grid } = sizesOf(config);
  await using file = await SafetensorsFile.open(goldenPath("image-mae-official.safetensors"));
  const table = await file.readFloats("pos_embed"), { shape } = file.tensors.get("pos_embed")!;
  assertEquals(fitPositions(table, shape, grid), table.slice(config.width));
  assertEquals(fitPositions(table, shape, grid, { classToken: true }), table);
  const [, tokens, width] = shape as [number, number, number];
  const without = fitPositions(table.slice(width), [1, tokens - 1, width], grid, { classToken: true });
  assertEquals(without, table);
});

goldenTest(
  "an image checkpoint of MAE is a teacher of images as it is; its position table is the one that MAE's formula gives",
  FILES,
  async () => {
    const { config } = await goldenJson<MaeCase>("image-mae.json"), sizes = sizesOf(config);
    const { width, depth, heads, batch, kept: visible } = config;
    const encoder = { width, depth, heads };
    // The last block's part of the file is not wanted.
    const forward = teacherForward({ ...sizes, encoder, layers: [1, depth - 1], batch, visible, compute: "f32" });
    const read = await readEncoder(goldenPath("image-mae-official.safetensors"), {
      specs: forward.parameters,
      depth,
      grid: sizes.grid,
      strict: true,
      uniforms: (count) => new Float64Array(count),
      warn: (message) => assert(false, message),
    });
    for (const { name, shape } of forward.parameters) {
      assertEquals(read.get(name)?.length, shape.reduce((a, b) => a * b, 1), name);
    }
    await using file = await SafetensorsFile.open(goldenPath("image-mae-official.safetensors"));
    const table = await file.readFloats("pos_embed"), [fixed] = initialParameters(forward.frozen, () => []).values();
    assertEquals(read.has(forward.frozen[0]!.name), false);
    table.forEach((value, i) => assertAlmostEquals(fixed![i] as number, value, 1e-6));
  },
);
