/** MAE's image checkpoints beside the networks that they hold: what an encoder leaves out, and stored position tables. */
import { assertEquals } from "@std/assert";
import { isLeftOut } from "../../models/checkpoints/left_out.ts";
import { fitPositions } from "../../models/checkpoints/positions.ts";
import { SafetensorsFile } from "../../models/checkpoints/safetensors.ts";
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
