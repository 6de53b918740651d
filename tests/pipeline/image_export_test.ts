/** Networks for pictures as other programs have them: exported for the hub, read back, and taken as an encoder again. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { openWeights } from "../../models/checkpoints/open_weights.ts";
import { SafetensorsFile, writeSafetensors } from "../../models/checkpoints/safetensors.ts";
import { encoderSizes } from "../../pipeline/_weights_sizes.ts";
import { ClipEncoder } from "../../pipeline/clip_encoder.ts";
import { type ExportOptions, exportRun as exportAny } from "../../pipeline/export.ts";
import { resolveSettings, SettingsError } from "../../pipeline/settings.ts";
import { classification } from "../../pipeline/stages/programs.ts";
import { resolveStudent, withStudentSizes } from "../../pipeline/stages/student.ts";
import { inFolder } from "../models/checkpoints/_archives.ts";
import { tfjsEngine } from "../models/_engines.ts";
import { CLASSES, writeRun } from "./_fake_run.ts";

const PICTURES = { form: "mae", frames: "1", tubelet: "1", patch: "4", pooling: "class" };

const exportRun = (options: ExportOptions) => exportAny({ engine: { engine: "tfjs" }, ...options });
const read = async (path: string) => JSON.parse(await Deno.readTextFile(path));

/** Shapes of some tensors of a file. */
async function shapes(path: string, names: readonly string[]) {
  await using file = await SafetensorsFile.open(path);
  return names.map((name) => file.tensors.get(name)?.shape);
}

async function sizesOf(path: string) {
  await using weights = await openWeights(path);
  return encoderSizes(weights);
}

Deno.test("a student of pictures is exported as ViTMAE, tables among its weights, and embeds pictures", () =>
  inFolder(async (folder) => {
    const { path } = await writeRun(folder, "done", PICTURES), out = join(folder, "out");
    const { network, comparisons, notes } = await exportRun({ run: path, to: "hf", out });
    assertEquals(network, "ViTMAEForPreTraining");
    const outputs = ["last_hidden_state", "features", "prediction"];
    assertEquals(comparisons.filter(({ by }) => by.startsWith("the written")).map(({ output }) => output), outputs);
    assert(notes.some((note) => note.includes("[pictures, channels, height, width]")));
    const { model_type, mask_ratio, num_frames, decoder_hidden_size } = await read(`${out}/config.json`);
    assertEquals([model_type, mask_ratio, num_frames, decoder_hidden_size], ["vit_mae", 0.75, undefined, 32]);
    const names = ["vit.embeddings.cls_token", "vit.embeddings.position_embeddings", "decoder.decoder_pos_embed"];
    assertEquals(await shapes(`${out}/model.safetensors`, names), [[1, 1, 48], [1, 17, 48], [1, 17, 32]]);

    const sizes = { form: "mae" as const, width: 48, depth: 2, cube: { tubelet: 1, patch: 4 } };
    assertEquals(await sizesOf(`${out}/model.safetensors`), sizes);
    assertEquals(await sizesOf(`${path}/checkpoints/step-00000007/model.safetensors`), sizes);
    await using encoder = await ClipEncoder.open(out, { engine: await tfjsEngine() });
    const [found] = await encoder.embed([new Uint8Array(16 * 16 * 3)]);
    assertEquals([encoder.form, found!.features.length, found!.tokens.length], ["mae", 48, 17 * 48]);
  }));

Deno.test("a classifier by class token is exported as ViT, and its folder is an encoder to fine-tune", () =>
  inFolder(async (folder) => {
    const { path, settings, classifier } = await writeRun(folder, "done", PICTURES), out = join(folder, "out");
    const { network } = await exportRun({ run: path, to: "hf", out, classifier: "student" });
    const { model_type, id2label } = await read(`${out}/config.json`);
    assertEquals([network, model_type, id2label[1]], ["ViTForImageClassification", "vit", "down"]);
    assertEquals((await read(`${out}/preprocessor_config.json`)).image_processor_type, "BitImageProcessor");

    // Sizes, form and frames of the folder where nothing else is said.
    const told = await withStudentSizes(resolveSettings({ flags: { student: out, size: "16" } }));
    const { student, clip } = told.settings;
    assertEquals([student.width, student.depth, student.heads], [48, 2, 3]);
    assertEquals([clip.form, clip.patch, clip.tubelet, clip.frames], ["mae", 4, 1, 1]);
    const { parameters } = classification(settings, CLASSES.length, "f32");
    const given = await (await resolveStudent(told.settings, undefined)).parameters(parameters);
    assertEquals(new Set(given.keys()), new Set(classifier.keys().filter((name) => !name.startsWith("head."))));
    for (const [name, values] of given) assertEquals(values, classifier.get(name), name);

    // The same weights with positions that were learnt.
    await using file = await SafetensorsFile.open(join(out, "model.safetensors"));
    const other = join(folder, "learnt.safetensors");
    const tensors = await Promise.all(Array.from(file.tensors.values(), async ({ name, shape }) => {
      const data = await file.readFloats(name);
      return { name, shape, data: name.endsWith("position_embeddings") ? data.map((value) => value + 0.1) : data };
    }));
    await writeSafetensors(other, tensors, { format: "pt" });
    const learnt = structuredClone(told.settings);
    learnt.student.weights = other;
    const refused = (await resolveStudent(learnt, undefined)).parameters(parameters);
    await assertRejects(() => refused, SettingsError, "keeps a table of positions");
  }));

Deno.test("a classifier that averages its tokens is no ViT of the hub, and is exported otherwise", () =>
  inFolder(async (folder) => {
    const { path } = await writeRun(folder, "done", { ...PICTURES, pooling: "mean" });
    const out = join(folder, "out"), classifier = "student" as const;
    await assertRejects(() => exportRun({ run: path, to: "hf", out, classifier }), SettingsError, "--pooling class");
    const { comparisons } = await exportRun({ run: path, to: "onnx", out, classifier });
    assert(comparisons.length > 0);
  }));
