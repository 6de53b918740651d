/** Networks of a run for other programs: what the folder holds, and when it is refused. Python's side: `python_test.ts`. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { loadParameters } from "../../models/checkpoints/official_names.ts";
import { SafetensorsFile } from "../../models/checkpoints/safetensors.ts";
import { openEngine } from "../../models/runtime/open_engine.ts";
import { findNetwork, readRun } from "../../pipeline/_export_network.ts";
import { comparedClips, compareExport } from "../../pipeline/_export_parity.ts";
import { computeOutputs } from "../../pipeline/_export_programs.ts";
import { publishFolder } from "../../pipeline/_publish_folder.ts";
import { type ExportOptions, type ExportResult, exportRun as exportAny, sentence } from "../../pipeline/export.ts";
import { SettingsError } from "../../pipeline/settings.ts";
import { classification } from "../../pipeline/stages/programs.ts";
import { uniforms } from "../../pipeline/random.ts";
import { lockRun } from "../../pipeline/run_lock.ts";
import { createFramesSet, FrameShardWriter } from "../../pipeline/shards/frame_shards.ts";
import { writeManifest } from "../../pipeline/shards/manifest.ts";
import { CLASSES, type FakeRun, writeRun } from "./_fake_run.ts";

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** TensorFlow.js needs no compilation. */
const exportRun = (options: ExportOptions): Promise<ExportResult> =>
  exportAny({ engine: { engine: "tfjs" }, ...options });

const read = async (path: string) => JSON.parse(await Deno.readTextFile(path));
const names = (folder: string) => Array.from(Deno.readDirSync(folder), ({ name }) => name).sort();

Deno.test("the student's folder holds its weights under the hub's names and its sizes", async () => {
  await inFolder(async (folder) => {
    const { path, student } = await writeRun(folder);
    const out = `${folder}/out`;
    const result = await exportRun({ run: path, to: "hf", out });
    assertEquals(names(out), [
      "README.md",
      "config.json",
      "model.safetensors",
      "parity.json",
      "preprocessor_config.json",
    ]);
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
    const { notes } = await exportRun({ run: path, to: "pth-names", out });
    assertEquals(names(out), ["README.md", "model.safetensors", "parity.json"]);
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

/** Gives a run frame shards with one clip of random levels. */
async function addFrames({ path, settings }: FakeRun): Promise<void> {
  const { clip } = settings, side = clip.size / clip.patch, slots = clip.frames / clip.tubelet;
  const set = createFramesSet(`${path}/cache`, {
    dataset: "test",
    split: "val",
    items: 1,
    views: 1,
    rowsPerShard: 1,
    grid: [slots, side, side],
    cube: [clip.tubelet, clip.patch, clip.patch, 3],
    provenance: { list: "0" },
  });
  const cubes = Uint8Array.from(uniforms(clip.frames * clip.size ** 2 * 3, 9, "pixels of a test"), (u) => 60 + u * 90);
  using frames = set;
  using writer = new FrameShardWriter(frames, 0, ["a.mp4"]);
  writer.write(0, {
    cubes,
    frames: Int32Array.from({ length: clip.frames }, (_, i) => i),
    ptsUs: new BigInt64Array(clip.frames),
    crop: { x: 0, y: 0, width: clip.size, height: clip.size },
    sourceWidth: clip.size,
    sourceHeight: clip.size,
    label: 0,
  });
  await writer.seal();
  writeManifest(frames);
  const stages = await read(`${path}/stages.json`);
  stages[0].result.val = { folder: frames.folder };
  await Deno.writeTextFile(`${path}/stages.json`, JSON.stringify(stages));
}

for (
  const [to, classifier, by, outputs] of [
    ["onnx", undefined, /^onnxruntime-web \d/, ["last_hidden_state", "features"]],
    ["onnx", "student", /^onnxruntime-web \d/, ["logits"]],
    ["hf", undefined, /^the written folder, read back$/, ["last_hidden_state", "features", "prediction"]],
    ["pth-names", "student", /^the written file, read back$/, ["logits"]],
  ] as const
) {
  const what = classifier ? "fine-tuned classifier" : "student";
  Deno.test(`the ${what} exported to ${to} says what a random and a real clip give`, async () => {
    await inFolder(async (folder) => {
      const run = await writeRun(folder);
      await addFrames(run);
      const out = `${folder}/out`;
      const result = await exportRun({ run: run.path, to, out, ...(classifier && { classifier }) });
      const compared = result.comparisons.filter((comparison) => by.test(comparison.by));
      assertEquals(
        compared.map(({ clip, output }) => [clip, output]),
        (["random", "real"] as const).flatMap((clip) => outputs.map((output) => [clip, output])),
      );
      for (const { difference, largest, limit } of compared) {
        assert(largest > 0.1 && difference <= limit * largest && limit === 5e-5);
      }
      assertEquals((await read(`${out}/parity.json`)).comparisons, result.comparisons);
      const record = (await read(`${run.path}/stages.json`)).at(-1);
      assertEquals(record.name, `export ${to}${classifier ? ` ${classifier}` : ""}`);
      assertEquals([record.state, record.result.comparisons], ["done", result.comparisons]);
      const readme = await Deno.readTextFile(`${out}/README.md`);
      for (const comparison of result.comparisons) assert(readme.includes(sentence(comparison)));
      if (to === "onnx") assertEquals(result.files, ["README.md", "model.onnx", "parity.json"]);
    });
  });
}

Deno.test("a run that another process holds is exported all the same, and not written to", async () => {
  await inFolder(async (folder) => {
    const run = await writeRun(folder);
    using _lock = lockRun(run.path);
    const before = await Deno.readTextFile(`${run.path}/stages.json`), warnings: string[] = [];
    const warn = (message: string) => warnings.push(message);
    await exportRun({ run: run.path, to: "pth-names", out: `${folder}/out`, warn });
    assert(warnings.some((warning) => warning.includes("not noted in the run")), warnings.join());
    assertEquals(await Deno.readTextFile(`${run.path}/stages.json`), before);
  });
});

Deno.test("a network that computes something else is refused, and so is one that computes no numbers", async () => {
  await inFolder(async (folder) => {
    const run = readRun((await writeRun(folder)).path);
    const network = await findNetwork(run, { run: run.path, classifier: "student" });
    const clips = await comparedClips(network.sizes, run);
    await using engine = await openEngine({ engine: "tfjs" });
    const ours = await computeOutputs(
      engine,
      network.sizes,
      `${network.checkpoint.path}/model.safetensors`,
      clips.map(({ cubes }) => cubes),
    );
    const logits = ours[0]!.get("logits")!, largest = Math.max(...logits.map(Math.abs));
    const compare = (change: number) => {
      const outputs = [new Map([["logits", logits.map((value, i) => i === 1 ? value + change : value)]])];
      return compareExport(engine, network, clips, [{ by: "a test", limit: 5e-5, outputs }]);
    };
    assertEquals((await compare(4e-5 * largest)).map(({ by, clip }) => [by, clip]), [["a test", "random"]]);
    const refused = "a test on a random clip: logits differs by";
    await assertRejects(() => compare(6e-5 * largest), Error, refused);
    await assertRejects(() => compare(NaN), Error, refused);
  });
});
