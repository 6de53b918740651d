/** Networks of a run for other programs: what the folder holds, and when it is refused. Python's side: `python_test.ts`. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { loadParameters } from "../../models/checkpoints/official_names.ts";
import { SafetensorsFile } from "../../models/checkpoints/safetensors.ts";
import { publishFolder } from "../../pipeline/_publish_folder.ts";
import { exportRun } from "../../pipeline/export.ts";
import { SettingsError } from "../../pipeline/settings.ts";
import { classification } from "../../pipeline/stages/programs.ts";
import { CLASSES, writeRun } from "./_fake_run.ts";

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const read = async (path: string) => JSON.parse(await Deno.readTextFile(path));
const names = (folder: string) => Array.from(Deno.readDirSync(folder), ({ name }) => name).sort();

Deno.test("the student's folder holds its weights under the hub's names and its sizes", async () => {
  await inFolder(async (folder) => {
    const { path, student } = await writeRun(folder);
    const out = `${folder}/out`;
    const result = await exportRun({ run: path, to: "hf", out });
    assertEquals(names(out), ["README.md", "config.json", "model.safetensors", "preprocessor_config.json"]);
    assertEquals(names(folder), ["out", "run"]);
    const config = await read(`${out}/config.json`);
    assertEquals(config.architectures, ["VideoMAEForPreTraining"]);
    assertEquals([config.hidden_size, config.num_hidden_layers, config.num_attention_heads], [48, 2, 3]);
    assertEquals([config.decoder_hidden_size, config.num_frames, config.image_size], [32, 4, 16]);
    assertEquals([config.layer_norm_eps, config.use_mean_pooling], [1e-6, false]);
    const { image_mean: mean, size } = await read(`${out}/preprocessor_config.json`);
    assertEquals([mean, size], [[0.485, 0.456, 0.406], { shortest_edge: 16 }]);

    await using file = await SafetensorsFile.open(`${out}/model.safetensors`);
    const specs = [...student].filter(([name]) => !/^generator|projection_heads/.test(name));
    const tensor = file.tensors.get("videomae.embeddings.patch_embeddings.projection.weight");
    assertEquals(tensor!.shape, [48, 3, 2, 8, 8]);
    // Every parameter that the hub's models have is there, and nothing else.
    assertEquals(file.tensors.size, specs.length);
    assertEquals(result.parameters, specs.reduce((sum, [, { length }]) => sum + length, 0));
    const readme = await Deno.readTextFile(`${out}/README.md`);
    for (const note of result.notes) assert(readme.includes(note));
    assert(readme.includes("decoder.norm with an epsilon of 1e-5"));
  });
});

Deno.test("the classifier's folder names its classes, and its weights come back bit by bit", async () => {
  await inFolder(async (folder) => {
    const { path, settings, classifier } = await writeRun(folder);
    const out = `${folder}/a/b/out`;
    await exportRun({ run: path, to: "hf", out, classifier: "student" });
    const config = await read(`${out}/config.json`);
    assertEquals(config.architectures, ["VideoMAEForVideoClassification"]);
    assertEquals(config.id2label, { 0: "up", 1: "down", 2: "round" });
    assertEquals(config.label2id, { up: 0, down: 1, round: 2 });
    assertEquals(config.use_mean_pooling, true);
    await using file = await SafetensorsFile.open(`${out}/model.safetensors`);
    const { parameters } = classification(settings, CLASSES.length, "f32");
    const loaded = await loadParameters(file, parameters);
    assertEquals([loaded.missing, loaded.unused], [[], []]);
    assertEquals(loaded.values, classifier);
  });
});

Deno.test("the official folder holds the checkpoint's weights, projections and generators among them", async () => {
  await inFolder(async (folder) => {
    const { path } = await writeRun(folder);
    const out = `${folder}/out`;
    await Deno.mkdir(out);
    const { notes } = await exportRun({ run: path, to: "official", out });
    assertEquals(names(out), ["README.md", "model.safetensors"]);
    const checkpoint = `${path}/checkpoints/step-00000007/model.safetensors`;
    assertEquals(await Deno.readFile(`${out}/model.safetensors`), await Deno.readFile(checkpoint));
    await using file = await SafetensorsFile.open(`${out}/model.safetensors`);
    for (const name of ["encoder.blocks.0.attn.qkv.weight", "encoder.projection_heads.0.weight", "mask_token"]) {
      assert(file.tensors.has(name), name);
    }
    assert(notes.some((note) => note.includes("torch.save")));
  });
});

Deno.test("a folder that is not empty stays as it is", async () => {
  await inFolder(async (folder) => {
    const { path } = await writeRun(folder);
    const before = names(path);
    const error = await assertRejects(() => exportRun({ run: path, to: "hf", out: path }), SettingsError, "not empty");
    assertEquals([error.exitCode, names(path)], [2, before]);
  });
});

Deno.test("a training that is not done is said to be so, one that did not begin is refused", async () => {
  await inFolder(async (folder) => {
    const { path } = await writeRun(folder, "interrupted");
    const { notes } = await exportRun({ run: path, to: "hf", out: `${folder}/out` });
    assertEquals(notes[0], "The training is not done: these are the weights of step 7.");
    const scratch = () => exportRun({ run: path, to: "hf", out: `${folder}/x`, classifier: "scratch" });
    await assertRejects(scratch, SettingsError, "run the stage first with deno task finetune");
    await assertRejects(() => exportRun({ run: folder, to: "hf", out: `${folder}/x` }), SettingsError, "is no run");
    assertEquals(names(folder), ["out", "run"]);
  });
});

Deno.test("a run whose weights do not fit its settings is refused", async () => {
  await inFolder(async (folder) => {
    const { path } = await writeRun(folder);
    const config = await read(`${path}/config.json`);
    config.settings.student.width = 96;
    await Deno.writeTextFile(`${path}/config.json`, JSON.stringify(config));
    await assertRejects(() => exportRun({ run: path, to: "hf", out: `${folder}/out` }), TypeError, "does not fit");
    assertEquals(names(folder), ["run"]);
  });
});

Deno.test("a folder whose writing fails is not there, and nothing else stays", async () => {
  await inFolder(async (folder) => {
    const full = () => Promise.reject(new Error("the disk is full"));
    const contents = new Map([["a", (path: string) => Deno.writeTextFile(path, "a")], ["b", full]]);
    await assertRejects(() => publishFolder(`${folder}/out`, contents), Error, "the disk is full");
    assertEquals(names(folder), []);
    contents.delete("b");
    await publishFolder(`${folder}/out`, contents);
    assertEquals([names(folder), names(`${folder}/out`)], [["out"], ["a"]]);
  });
});
