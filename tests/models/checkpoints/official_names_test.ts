/** Checkpoints of other programs: names, packed matrices and convolutions, and files that do not fit. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  hubTensors,
  imageHubTensors,
  loadParameters,
  officialTensors,
  type ParameterValues,
  type TensorSource,
} from "../../../models/checkpoints/official_names.ts";
import { Parameters, type ParameterSpec } from "../../../models/parameters.ts";
import type { Form } from "../../../models/shapes.ts";
import { sizeOf } from "../../../models/tensor/mod.ts";
import { videoMaeStep } from "../../../models/videomae.ts";

const CUBE = { tubelet: 2, patch: 2 };

/** Parameters of a small student, each filled with numbers of its own. */
function student(form?: Form, cube = CUBE): { specs: readonly ParameterSpec[]; values: ParameterValues[] } {
  const { parameters: specs } = videoMaeStep({
    shape: {
      form,
      grid: { slots: 1, rows: 2, columns: 2 },
      cube,
      encoder: { width: 4, depth: 2, heads: 2 },
      decoder: { width: 8, depth: 1, heads: 1 },
    },
    batch: 1,
    visible: 2,
    compute: "f32",
    optimizer: { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.05, clipNorm: null },
  });
  let next = 0;
  const values = specs.map(({ name, shape }) => ({
    name,
    shape,
    data: Float32Array.from({ length: sizeOf(shape) }, () => next++),
  }));
  return { specs, values };
}

/** Tensors in memory as a file. */
function source(tensors: readonly { name: string; shape: readonly number[]; data: ArrayBufferView }[]): TensorSource {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  return {
    path: "memory",
    tensors: byName,
    readFloats: (name) => Promise.resolve(Float32Array.from(byName.get(name)!.data as Float32Array)),
  };
}

for (const [naming, exported] of [["official", officialTensors], ["hub", hubTensors]] as const) {
  Deno.test(`parameters exported under ${naming} names load back`, async () => {
    const { specs, values } = student();
    const { values: found, missing, unused } = await loadParameters(source(exported(values, CUBE)), specs);
    assertEquals([missing, unused], [[], []]);
    assertEquals(found, new Map(values.map(({ name, data }) => [name, data])));
  });
}

Deno.test("an image network loads back from its checkpoint and from the hub's names", async () => {
  const cube = { tubelet: 1, patch: 2 }, { specs, values } = student("mae", cube);
  const tables = new Map([4, 8].map((width) => [`positions.${width}`, new Float32Array(5 * width)]));
  for (const tensors of [officialTensors(values, cube), imageHubTensors(values, cube, tables)]) {
    const { values: found, missing, unused } = await loadParameters(source(tensors), specs);
    const known = /key\.bias$|position_embeddings$|decoder_pos_embed$/;
    assertEquals([missing, unused.filter((name) => !known.test(name))], [[], []]);
    assertEquals(found, new Map(values.map(({ name, data }) => [name, data])));
  }
});

Deno.test("our own names load back, and a file's other tensors are told", async () => {
  const { specs, values } = student();
  const extra = { name: "generators.0.norm.weight", shape: [1], data: Float32Array.of(1) };
  const loaded = await loadParameters(source([...values, extra]), specs);
  assertEquals([loaded.missing, loaded.unused], [[], ["generators.0.norm.weight"]]);
  assertEquals(loaded.values.get("mask_token"), values.find(({ name }) => name === "mask_token")!.data);
});

Deno.test("an encoder's file serves a network without the prefix, and the other way round", async () => {
  const parameters = new Parameters();
  parameters.vector("blocks.0.norm1.weight", 2);
  const [spec] = parameters.specs;
  const named = (name: string) => source([{ name, shape: [2], data: Float32Array.of(5, 6) }]);
  const prefixed = { ...spec!, name: "encoder.blocks.0.norm1.weight" };
  for (const name of ["blocks.0.norm1.weight", "encoder.blocks.0.norm1.weight", "backbone.blocks.0.norm1.weight"]) {
    for (const wanted of [spec!, prefixed]) {
      const { values } = await loadParameters(named(name), [wanted]);
      assertEquals(values.get(wanted.name), Float32Array.of(5, 6));
    }
  }
});

Deno.test("a decoder's block is not taken for the encoder's", async () => {
  const parameters = new Parameters();
  parameters.vector("blocks.0.norm1.weight", 2);
  const file = source([{ name: "decoder.blocks.0.norm1.weight", shape: [2], data: new Float32Array(2) }]);
  const { missing, unused } = await loadParameters(file, parameters.specs);
  assertEquals([missing, unused], [["blocks.0.norm1.weight"], ["decoder.blocks.0.norm1.weight"]]);
});

Deno.test("newer hub files name the biases query.bias and value.bias", async () => {
  const parameters = new Parameters();
  parameters.vector("blocks.0.attn.q.bias", 2);
  parameters.vector("blocks.0.attn.v.bias", 2);
  const stem = "videomae.encoder.layer.0.attention.attention";
  const file = source(["query", "value"].map((part, i) => ({
    name: `${stem}.${part}.bias`,
    shape: [2],
    data: Float32Array.of(i, i),
  })));
  const { values, missing } = await loadParameters(file, parameters.specs);
  assertEquals(missing, []);
  assertEquals([...values.values()].map((x) => x[0]), [0, 1]);
});

Deno.test("a hub model without a head is found without the prefix of its name", async () => {
  const parameters = new Parameters();
  parameters.vector("encoder.blocks.3.norm1.weight", 2);
  const file = source([{ name: "encoder.layer.3.layernorm_before.weight", shape: [2], data: Float32Array.of(3, 4) }]);
  const { values } = await loadParameters(file, parameters.specs);
  assertEquals([...values.values()], [Float32Array.of(3, 4)]);
});

Deno.test("image checkpoints with one packed bias give query and value theirs", async () => {
  const parameters = new Parameters();
  parameters.vector("blocks.0.attn.q.bias", 2);
  parameters.vector("blocks.0.attn.v.bias", 2);
  const file = source([{ name: "blocks.0.attn.qkv.bias", shape: [6], data: Float32Array.of(1, 2, 3, 4, 5, 6) }]);
  const { values } = await loadParameters(file, parameters.specs);
  assertEquals([...values.values()], [Float32Array.of(1, 2), Float32Array.of(5, 6)]);
});

Deno.test("a convolution becomes a matrix over (frame, row, column, channel)", async () => {
  const parameters = new Parameters();
  parameters.matrix("patch_embed.proj.weight", 1, 12);
  const data = Float32Array.from({ length: 12 }, (_, i) => i);
  const file = source([{ name: "patch_embed.proj.weight", shape: [1, 3, 1, 2, 2], data }]);
  const { values } = await loadParameters(file, parameters.specs);
  assertEquals([...values.get("patch_embed.proj.weight")!], [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
});

Deno.test("tensors of another network are refused with both shapes", async () => {
  const parameters = new Parameters();
  parameters.matrix("blocks.0.attn.q.weight", 4, 4);
  parameters.matrix("patch_embed.proj.weight", 4, 24);
  const packed = source([{ name: "blocks.0.attn.qkv.weight", shape: [24, 8], data: new Float32Array(192) }]);
  await assertRejects(() => loadParameters(packed, parameters.specs), TypeError, "is [24, 8], which does not fit");
  const convolution = source([{ name: "patch_embed.proj.weight", shape: [4, 3, 1, 2, 2], data: new Float32Array(48) }]);
  await assertRejects(
    () => loadParameters(convolution, parameters.specs),
    TypeError,
    "another width, patch or tubelet size",
  );
  // All are told at once, a scalar in the place of a matrix among them.
  const both = source([
    { name: "blocks.0.attn.q.weight", shape: [], data: new Float32Array(1) },
    { name: "patch_embed.proj.weight", shape: [4, 12], data: new Float32Array(48) },
  ]);
  await assertRejects(
    () => loadParameters(both, parameters.specs),
    TypeError,
    "q.weight is [], which does not fit blocks.0.attn.q.weight, [4, 4]; patch_embed.proj.weight is [4, 12], which",
  );
});

Deno.test("the hub's models have no projections and generators, so its files have none", () => {
  const values = [
    "encoder.projection_heads.0.weight",
    "generators.0.blocks.0.norm1.weight",
    "generator_mask_tokens.0",
    "head.bias",
  ]
    .map((name) => ({ name, shape: [1], data: new Float32Array(1) }));
  assertEquals(hubTensors(values, CUBE).map(({ name }) => name), ["classifier.bias"]);
});

Deno.test("a query without its key cannot be packed", () => {
  const query = { name: "blocks.0.attn.q.weight", shape: [2, 2], data: new Float32Array(4) };
  assertThrows(() => officialTensors([query], CUBE), TypeError, "blocks.0.attn.k.weight is missing");
});

Deno.test("MAE's image networks are found under their own names and under the hub's", async () => {
  const names: readonly (readonly [ours: string, mae: string, hub: string])[] = [
    ["cls_token", "cls_token", "vit.embeddings.cls_token"],
    ["encoder.blocks.1.norm2.bias", "blocks.1.norm2.bias", "vit.encoder.layer.1.layernorm_after.bias"],
    ["encoder.norm.bias", "norm.bias", "vit.layernorm.bias"],
    ["mask_token", "mask_token", "decoder.mask_token"],
    ["encoder_to_decoder.bias", "decoder_embed.bias", "decoder.decoder_embed.bias"],
    [
      "decoder.blocks.0.mlp.fc1.bias",
      "decoder_blocks.0.mlp.fc1.bias",
      "decoder.decoder_layers.0.intermediate.dense.bias",
    ],
    [
      "decoder.blocks.0.attn.v.bias",
      "decoder_blocks.0.attn.v_bias",
      "decoder.decoder_layers.0.attention.attention.value.bias",
    ],
    ["decoder.norm.bias", "decoder_norm.bias", "decoder.decoder_norm.bias"],
    ["decoder.head.bias", "decoder_pred.bias", "decoder.decoder_pred.bias"],
  ];
  const parameters = new Parameters();
  for (const [ours] of names) parameters.vector(ours, 2);
  for (const which of [1, 2] as const) {
    const file = source(names.map((row, i) => ({ name: row[which], shape: [2], data: Float32Array.of(i, i) })));
    const { values, missing, unused } = await loadParameters(file, parameters.specs);
    assertEquals([missing, unused], [[], []]);
    names.forEach(([ours], i) => assertEquals(values.get(ours), Float32Array.of(i, i), ours));
  }
  // One packed bias of a decoder's block: query, key and value one after the other.
  const packed = new Parameters();
  packed.vector("decoder.blocks.0.attn.v.bias", 2);
  const file = source([{
    name: "decoder_blocks.0.attn.qkv.bias",
    shape: [6],
    data: Float32Array.of(1, 2, 3, 4, 5, 6),
  }]);
  const { values } = await loadParameters(file, packed.specs);
  assertEquals(values.get("decoder.blocks.0.attn.v.bias"), Float32Array.of(5, 6));
});
