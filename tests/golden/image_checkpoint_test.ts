/**
 * MAE's image checkpoints: the official file holds the network that computes the official numbers. The network is put
 * together here from the blocks, class token and stored position tables included.
 */
import { assertEquals } from "@std/assert";
import { blocks } from "../../models/block.ts";
import { isLeftOut } from "../../models/checkpoints/left_out.ts";
import { loadParameters } from "../../models/checkpoints/official_names.ts";
import { fitPositions } from "../../models/checkpoints/positions.ts";
import { SafetensorsFile } from "../../models/checkpoints/safetensors.ts";
import { rowsOf } from "../../models/encoder.ts";
import { constantly } from "../../models/initializers.ts";
import { linear } from "../../models/linear.ts";
import { norm } from "../../models/norm.ts";
import { Parameters } from "../../models/parameters.ts";
import { patchEmbed } from "../../models/patch_embed.ts";
import {
  add,
  broadcast,
  concatenate,
  gatherRows,
  input,
  program,
  slice,
  type Tensor,
} from "../../models/tensor/mod.ts";
import { assertFeature, cubesOfNormalized, goldenJson, goldenPath, goldenTensors, goldenTest } from "./_golden.ts";
import { goldenEngine, named, runOnce } from "./_run.ts";

interface ImageCase {
  config: {
    img: number;
    patch: number;
    batch: number;
    width: number;
    depth: number;
    heads: number;
    decoder: { width: number; depth: number; heads: number };
    patches: number;
    kept: number;
  };
}

const FILES = ["image-mae.json", "image-mae-official.safetensors", "image-mae-data.safetensors"];

function traced({ config }: ImageCase) {
  const { batch, patches, kept, patch, width, depth, heads, decoder } = config;
  const parameters = new Parameters(), scope = parameters.scope("encoder");
  const cubes = input("cubes", [batch, patches, patch * patch * 3]);
  const keep = input("keep", [batch, kept], "i32"), restore = input("restore", [batch, patches], "i32");
  const table = input("positions", [patches + 1, width]),
    wide = input("decoder_positions", [patches + 1, decoder.width]);
  const places = slice(table, 0, 1, patches + 1), repeated = (x: Tensor) => broadcast(x, [batch, 1, x.shape.at(-1)!]);
  const embedded = patchEmbed(scope.scope("patch_embed"), gatherRows(cubes, keep), rowsOf(places, keep), "f32");
  const token = repeated(add(parameters.get("cls_token", [1, 1, width], constantly(0)), slice(table, 0, 0, 1)));
  const start = concatenate([token, embedded], 1);
  const hidden = [start, ...blocks(scope, start, { depth, heads, compute: "f32" })];
  const latent = norm(scope.scope("norm"), hidden.at(-1)!, "f32");
  const narrow = linear(
    latent,
    parameters.matrix("encoder_to_decoder.weight", decoder.width, width),
    parameters.vector("encoder_to_decoder.bias", decoder.width),
  );
  const mask = broadcast(parameters.get("mask_token", [1, 1, decoder.width], constantly(0)), [
    batch,
    patches - kept,
    decoder.width,
  ]);
  const ordered = gatherRows(concatenate([slice(narrow, 1, 1, kept + 1), mask], 1), restore);
  const whole = add(concatenate([slice(narrow, 1, 0, 1), ordered], 1), wide);
  const last = blocks(parameters.scope("decoder"), whole, { ...decoder, compute: "f32" }).at(-1)!;
  const values = patch * patch * 3, head = parameters.scope("decoder.head");
  const predicted = linear(
    norm(parameters.scope("decoder.norm"), last, "f32"),
    head.matrix("weight", values, decoder.width),
    head.vector("bias", values),
  );
  const outputs: Record<string, Tensor> = { latent, pred: slice(predicted, 1, 1, patches + 1) };
  hidden.forEach((x, block) => outputs[`hidden.${block}`] = x);
  return { parameters, program: program("image_mae", outputs) };
}

goldenTest("an image checkpoint of MAE gives the official features and pixels", FILES, async () => {
  const golden = await goldenJson<ImageCase>("image-mae.json");
  const { config } = golden, { batch, patches, kept, img, patch, depth } = config;
  const { parameters, program } = traced(golden);
  await using file = await SafetensorsFile.open(goldenPath("image-mae-official.safetensors"));
  const { values, missing, unused, misfits } = await loadParameters(file, parameters.specs);
  assertEquals([missing, misfits, unused.sort()], [[], [], ["decoder_pos_embed", "pos_embed"]]);

  const data = await goldenTensors("image-mae-data.safetensors");
  const image = data.get("image")!, shuffle = data.get("ids_shuffle")!.data;
  const clips = { ...image, shape: [batch, 3, 1, img, img] };
  const restore = new Int32Array(batch * patches);
  shuffle.forEach((from, i) => restore[Math.floor(i / patches) * patches + from] = i % patches);
  const outputs = await runOnce(
    await goldenEngine(),
    program,
    new Map<string, ArrayLike<number>>([
      ...named("parameter", values),
      ["cubes", cubesOfNormalized({ img: [img, img], patch, frames: 1, tubelet: 1, batch }, clips)],
      ["keep", shuffle.filter((_, i) => i % patches < kept)],
      ["restore", restore],
      ["positions", await file.readFloats("pos_embed")],
      ["decoder_positions", await file.readFloats("decoder_pos_embed")],
    ]),
  );
  for (const name of ["latent", "pred", ...Array.from({ length: depth + 1 }, (_, block) => `hidden.${block}`)]) {
    assertFeature(outputs.get(name), data.get(name)!, name);
  }

  // An encoder without a class token does not take such a file silently; all else it leaves out on purpose.
  assertEquals([...file.tensors.keys()].filter((name) => !isLeftOut(name, depth) && !name.startsWith("patch_embed")), [
    "cls_token",
  ]);
  const side = img / patch, stored = file.tensors.get("pos_embed")!.shape;
  const table = await file.readFloats("pos_embed");
  assertEquals(fitPositions(table, stored, { slots: 1, rows: side, columns: side }), table.slice(config.width));
});
