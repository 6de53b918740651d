/**
 * Image networks beside transformers: what `ViTMAEForPreTraining` saves is read and computes the same pixels here; what is
 * exported loads there, and `ViTForImageClassification` computes the same logits. Skipped with a message without it.
 */
import { assertEquals, assertLess, assertThrows } from "@std/assert";
import { imageHubTensors, loadParameters } from "../../../models/checkpoints/official_names.ts";
import { SafetensorsFile, writeSafetensors } from "../../../models/checkpoints/safetensors.ts";
import { classifierForward } from "../../../models/classifier.ts";
import { initialParameters, type ParameterSpec } from "../../../models/parameters.ts";
import { PIXEL_DEVIATION, PIXEL_MEAN } from "../../../models/patch_embed.ts";
import { gridSinusoid } from "../../../models/positions.ts";
import type { ForwardProgram } from "../../../models/train_step.ts";
import { reconstruction } from "../../../models/videomae.ts";
import { permutation, uniforms } from "../../../pipeline/random.ts";
import { cubesOf } from "../../golden/_golden.ts";
import { goldenEngine, named, runOnce } from "../../golden/_run.ts";
import { inFolder } from "./_archives.ts";
import { difference, noTransformers, python } from "./_python.ts";

const BATCH = 3, SIZE = 12, PATCH = 4, SIDE = SIZE / PATCH, TOKENS = SIDE ** 2;
const CUBE = { tubelet: 1, patch: PATCH };
const SHAPE = {
  form: "mae" as const,
  grid: { slots: 1, rows: SIDE, columns: SIDE },
  cube: CUBE,
  encoder: { width: 16, depth: 2, heads: 2 },
  decoder: { width: 8, depth: 1, heads: 2 },
};
const { encoder: { width, depth, heads }, decoder } = SHAPE;
const CONFIG = {
  hidden_size: width,
  num_hidden_layers: depth,
  num_attention_heads: heads,
  intermediate_size: 4 * width,
  image_size: SIZE,
  patch_size: PATCH,
  // Ours; theirs is 1e-12.
  layer_norm_eps: 1e-6,
};
const MAE_CONFIG = {
  ...CONFIG,
  decoder_hidden_size: decoder.width,
  decoder_num_hidden_layers: decoder.depth,
  decoder_num_attention_heads: decoder.heads,
  decoder_intermediate_size: 4 * decoder.width,
};
/** What float32 leaves. */
const LIMIT = 1e-5;

const LEVELS = Uint8Array.from(uniforms(BATCH * SIZE * SIZE * 3, 1, "pixels of a test"), (draw) => draw * 256);
const CUBES = cubesOf(
  { img: [SIZE, SIZE], patch: PATCH, frames: 1, tubelet: 1, batch: BATCH },
  (image, _, row, column, channel) => LEVELS[((image * SIZE + row) * SIZE + column) * 3 + channel]!,
);
const PREPARE = `
import transformers, safetensors.torch
levels = torch.tensor(data["levels"], dtype=torch.float64).view(${BATCH}, ${SIZE}, ${SIZE}, 3)
mean, deviation = torch.tensor([${PIXEL_MEAN}]), torch.tensor([${PIXEL_DEVIATION}])
pixels = ((levels / 255 - mean) / deviation).permute(0, 3, 1, 2).float()
def load(kind, folder):
    net, info = kind.from_pretrained(folder, output_loading_info=True)
    assert all(not found for found in info.values()), info
    return net.eval()`;

async function run(
  forward: ForwardProgram,
  values: ReadonlyMap<string, Float32Array>,
  inputs: Iterable<[string, ArrayLike<number>]> = [],
) {
  const tables = initialParameters(forward.frozen, () => []);
  return await runOnce(
    await goldenEngine(),
    forward.program,
    new Map<string, ArrayLike<number>>([
      ...named("parameter", values),
      ...named("frozen", tables),
      ["cubes", CUBES],
      ...inputs,
    ]),
  );
}

/** Writes a folder that transformers opens. */
async function writeModel(
  folder: string,
  config: unknown,
  forward: ForwardProgram,
  values: ReadonlyMap<string, Float32Array>,
): Promise<void> {
  const tables = initialParameters(forward.frozen, () => []);
  const parameters = forward.parameters.map(({ name, shape }) => ({ name, shape, data: values.get(name)! }));
  await Deno.mkdir(folder);
  await writeSafetensors(`${folder}/model.safetensors`, imageHubTensors(parameters, CUBE, tables), { format: "pt" });
  await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(config));
}

/** First values, moved a little everywhere, so that no bias is 0 and no scale 1. */
function someValues(specs: readonly ParameterSpec[]): Map<string, Float32Array> {
  const first = initialParameters(specs, (count, name) => uniforms(count, 1, "weights of a test", name));
  return new Map([...first].map(([name, values]) => {
    const draws = uniforms(values.length, 2, "weights of a test", name);
    return [name, values.map((value, i) => value + draws[i]! / 2 - 0.25)];
  }));
}

Deno.test({
  name: "what ViTMAEForPreTraining saves is the same network here, under new and published names, and goes back",
  ignore: noTransformers,
  fn: () =>
    inFolder(async (folder) => {
      const orders = Array.from({ length: BATCH }, (_, image) => [...permutation(TOKENS, 1, "mask of a test", image)]);
      const noise = orders.map((order) => order.map((_, token) => order.indexOf(token) / TOKENS));
      // They keep the whole part of 9 x .4.
      const ratio = 0.6, visible = 3;
      const common = {
        tables: [width, decoder.width].map((width) => [...gridSinusoid(SIDE, SIDE, width)]),
        folder,
        levels: [...LEVELS],
        noise,
        config: { ...MAE_CONFIG, mask_ratio: ratio, norm_pix_loss: true },
      };
      const theirs = python(
        `${PREPARE}
torch.manual_seed(0)
net = transformers.ViTMAEForPreTraining(transformers.ViTMAEConfig(**data["config"])).eval()
with torch.no_grad():
    for name, p in net.named_parameters():
        if "pos" not in name: p.add_(torch.randn_like(p) / 4)
    # A published network has its tables; a new one of this version has zeros.
    net.vit.embeddings.position_embeddings.copy_(torch.tensor(data["tables"][0]).view(1, ${TOKENS + 1}, -1))
    net.decoder.decoder_pos_embed.copy_(torch.tensor(data["tables"][1]).view(1, ${TOKENS + 1}, -1))
net.save_pretrained(data["folder"] + "/new")
tensors = safetensors.torch.load_file(data["folder"] + "/new/model.safetensors")
published = {name.replace("decoder_encoder.layer.", "decoder_layers."): t for name, t in tensors.items()}
safetensors.torch.save_file(published, data["folder"] + "/published.safetensors")
with torch.no_grad(): found = net(pixels, noise=torch.tensor(data["noise"]))
print(json.dumps({"loss": found.loss.item(), "logits": found.logits.flatten().tolist()}))`,
        common,
      ) as { loss: number; logits: number[] };

      const forward = reconstruction({ shape: SHAPE, batch: BATCH, visible, compute: "f32" });
      const hidden = orders.flatMap((order) => order.slice(visible));
      const values = someValues(forward.parameters);
      for (const path of ["new/model.safetensors", "published.safetensors"]) {
        await using file = await SafetensorsFile.open(`${folder}/${path}`);
        const loaded = await loadParameters(file, forward.parameters);
        assertEquals(loaded.missing, [], path);
        const known = /key\.bias$|position_embeddings$|decoder_pos_embed$/;
        assertEquals(loaded.unused.filter((name) => !known.test(name)), [], path);
        for (const [name, data] of loaded.values) values.set(name, data);
        const outputs = await run(forward, loaded.values, [
          ["visible_tokens", orders.flatMap((order) => order.slice(0, visible))],
          ["hidden_tokens", hidden],
        ]);
        const pixels = PATCH * PATCH * 3;
        const expected = hidden.flatMap((token, i) => {
          const from = (Math.floor(i / (TOKENS - visible)) * TOKENS + token) * pixels;
          return theirs.logits.slice(from, from + pixels);
        });
        const prediction = outputs.get("prediction")!, target = outputs.get("target")!;
        assertLess(difference(prediction, expected, `ViTMAE, ${path}`), LIMIT);
        const loss = Array.from(prediction, (x, i) => (x - target[i]!) ** 2).reduce((a, b) => a + b) / target.length;
        assertLess(Math.abs(loss - theirs.loss), LIMIT * loss);
      }

      const config = { ...common.config, model_type: "vit_mae", architectures: ["ViTMAEForPreTraining"] };
      await writeModel(`${folder}/back`, config, forward, values);
      const back = python(
        `${PREPARE}
net = load(transformers.ViTMAEForPreTraining, data["folder"] + "/back")
with torch.no_grad(): found = net(pixels, noise=torch.tensor(data["noise"]))
print(json.dumps(found.logits.flatten().tolist()))`,
        common,
      ) as number[];
      assertLess(difference(back, theirs.logits, "ViTMAE, there and back"), LIMIT);
    }),
});

Deno.test({
  name: "ViTForImageClassification loads an exported classifier of images and computes the same logits",
  ignore: noTransformers,
  fn: () =>
    inFolder(async (folder) => {
      const labels = ["cat", "dog", "owl"];
      const forward = classifierForward({
        ...SHAPE,
        pooling: "class",
        classes: labels.length,
        batch: BATCH,
        compute: "f32",
      });
      const values = someValues(forward.parameters);
      const config = {
        ...CONFIG,
        model_type: "vit",
        architectures: ["ViTForImageClassification"],
        id2label: Object.fromEntries(labels.entries()),
        label2id: Object.fromEntries(labels.map((label, i) => [label, i])),
      };
      await writeModel(`${folder}/out`, config, forward, values);
      const theirs = python(
        `${PREPARE}
net = load(transformers.ViTForImageClassification, data["folder"] + "/out")
with torch.no_grad(): print(json.dumps(net(pixels).logits.flatten().tolist()))`,
        { folder, levels: [...LEVELS] },
      ) as number[];
      const { logits } = Object.fromEntries(await run(forward, values));
      assertLess(difference(logits!, theirs, "ViT"), LIMIT);
      // What was written is read again.
      await using file = await SafetensorsFile.open(`${folder}/out/model.safetensors`);
      assertEquals((await loadParameters(file, forward.parameters)).values, values);
    }),
});

Deno.test("a classifier of the patches' mean, and a network without its table, are not exported for transformers", () => {
  const one = (name: string, shape: number[]) => [{ name, shape, data: new Float32Array(4) }];
  assertThrows(() => imageHubTensors(one("fc_norm.weight", [4]), CUBE, new Map()), TypeError, "class pooling");
  assertThrows(() => imageHubTensors(one("cls_token", [1, 1, 4]), CUBE, new Map()), TypeError, "positions.4");
  assertEquals(imageHubTensors(one("generators.0.blocks.0.norm1.bias", [4]), CUBE, new Map()), []);
});
