/**
 * Other programs' side of our files. PyTorch writes, we read the same bits; we export, transformers loads the folder and
 * computes the same numbers. Needs a python3 with torch (and transformers), or its path in TUBELET_PYTHON; skipped with a
 * message otherwise.
 */
import { assert, assertEquals, assertLess } from "@std/assert";
import { openWeights } from "../../../models/checkpoints/open_weights.ts";
import { classifierForward } from "../../../models/classifier.ts";
import { clipEncoder } from "../../../models/clip_encoder.ts";
import { type ClipForm, clipInput } from "../../../models/clip_input.ts";
import { encode } from "../../../models/encoder.ts";
import { norm } from "../../../models/norm.ts";
import { writeOnnx } from "../../../models/onnx/write_onnx.ts";
import { initialParameters, Parameters } from "../../../models/parameters.ts";
import { PIXEL_DEVIATION, PIXEL_MEAN } from "../../../models/patch_embed.ts";
import { tokensOf } from "../../../models/shapes.ts";
import { type ForwardProgram, forwardProgram } from "../../../models/train_step.ts";
import { reconstruction } from "../../../models/videomae.ts";
import { exportRun } from "../../../pipeline/export.ts";
import { permutation, uniforms } from "../../../pipeline/random.ts";
import { readParameters } from "../../../pipeline/training/weights.ts";
import { cubeSize, studentShape, tokenGrid } from "../../../pipeline/stages/stage_context.ts";
import { cubesOf } from "../../golden/_golden.ts";
import { goldenEngine, named, runOnce } from "../../golden/_run.ts";
import { CLASSES, type FakeRun, writeRun } from "../../pipeline/_fake_run.ts";
import { inFolder } from "./_archives.ts";
import { difference, noOnnx, noTorch, noTransformers, python } from "./_python.ts";

/** Largest difference of a logit: transformers has another epsilon in one of its norms. */
const LIMIT = 1e-4;
/** The same with our epsilon set there too: what float32 leaves. */
const LIMIT_ALIKE = 1e-5;

Deno.test({
  name: "what torch.save writes now, in protocol 4 and as before 1.6 is read bit by bit",
  ignore: noTorch,
  fn: () =>
    inFolder(async (folder) => {
      const expected = python(
        `
torch.manual_seed(0)
bits = lambda t: t.contiguous().view(-1).view(torch.uint8).tolist() if t.numel() else []
net = torch.nn.Sequential(torch.nn.Conv3d(3, 5, 2), torch.nn.LayerNorm(7), torch.nn.Linear(7, 3))
state = net.state_dict()
for dtype in (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
              torch.uint8, torch.bool):
    state[str(dtype)] = (100 * torch.randn(3, 4, 5)).to(dtype)
state["permuted"] = torch.randn(3, 4, 5).permute(2, 0, 1)
state["slice"] = torch.randn(6, 7)[1:4, 2::3]
state["special"] = torch.tensor([float("nan"), float("inf"), -0.0, 1e-45])
for name, options in (("a", {}), ("b", {"pickle_protocol": 4}), ("c", {"_use_new_zipfile_serialization": False})):
    torch.save({"model": state, "epoch": 3}, data + "/" + name, **options)
print(json.dumps({name: [list(t.shape), bits(t)] for name, t in state.items()}))`,
        folder,
      ) as Record<string, [number[], number[]]>;
      for (const name of ["a", "b", "c"]) {
        await using file = await openWeights(`${folder}/${name}`);
        assertEquals([...file.tensors.keys()].sort(), Object.keys(expected).sort());
        for (const [tensor, [shape, bytes]] of Object.entries(expected)) {
          assertEquals(file.tensors.get(tensor)!.shape, shape, tensor);
          assertEquals([...await file.readBytes(tensor)], bytes, tensor);
        }
      }
    }),
});

const BATCH = 3;

/** Random pixels of clips, as our cubes and, normalised, as transformers takes them: `[B, T, C, H, W]`. */
function randomClips({ settings: { clip } }: FakeRun) {
  const { frames, size, patch, tubelet } = clip;
  const levels = Uint8Array.from(
    uniforms(BATCH * frames * size * size * 3, 1, "pixels of a test"),
    (draw) => draw * 256,
  );
  const config = { img: [size, size] as [number, number], patch, frames, tubelet, batch: BATCH };
  const cubes = cubesOf(config, (b, t, y, x, c) => levels[(((b * frames + t) * size + y) * size + x) * 3 + c]!);
  const prepare = `
levels = torch.tensor(data["levels"], dtype=torch.float64).view(${BATCH}, ${frames}, ${size}, ${size}, 3)
mean, deviation = torch.tensor([${PIXEL_MEAN}]), torch.tensor([${PIXEL_DEVIATION}])
pixels = ((levels / 255 - mean) / deviation).permute(0, 1, 4, 2, 3).float()
import transformers`;
  return { cubes, levels: [...levels], prepare };
}

async function compute(forward: ForwardProgram, folder: string, inputs: Record<string, ArrayLike<number>>) {
  const values = await readParameters(`${folder}/model.safetensors`, forward.parameters);
  return await runOnce(
    await goldenEngine(),
    forward.program,
    new Map<string, ArrayLike<number>>([
      ...named("parameter", values),
      ...named("frozen", initialParameters(forward.frozen, () => [])),
      ...Object.entries(inputs),
    ]),
  );
}

/** All that transformers calls hidden states: embedded tokens, the output of every block, the last one normalised. */
function everyHiddenState({ settings }: FakeRun): ForwardProgram {
  const { grid, cube, encoder } = studentShape(settings);
  const parameters = new Parameters(), frozen = new Parameters({ role: "frozen" }), scope = parameters.scope("encoder");
  const { data, cubes } = clipInput("cubes", grid, cube, BATCH);
  const states = encode(scope, frozen, cubes, { grid, shape: encoder, compute: "f32" });
  states.push(norm(scope.scope("norm"), states.at(-1)!, "f32"));
  const outputs = Object.fromEntries(states.map((state, i) => [`state.${i}`, state]));
  return forwardProgram({ name: "hidden_states", parameters, frozen, data: [data], outputs });
}

Deno.test({
  name: "transformers loads the exported student and reconstructs the same pixels",
  ignore: noTransformers,
  fn: () =>
    inFolder(async (folder) => {
      const run = await writeRun(folder);
      const out = `${folder}/out`;
      await exportRun({ engine: { engine: "tfjs" }, run: run.path, to: "hf", out });
      const tokens = tokensOf(tokenGrid(run.settings)), visible = tokens / 4;
      const orders = Array.from({ length: BATCH }, (_, row) => [...permutation(tokens, 1, "mask of a test", row)]);
      const part = (from: number, to?: number) => orders.flatMap((o) => o.slice(from, to).sort((a, b) => a - b));
      const { cubes, levels, prepare } = randomClips(run);
      const hidden = orders.map((order) => order.slice(visible));
      const { logits, alike, states, unexpected } = python(
        `${prepare}
net, info = transformers.VideoMAEForPreTraining.from_pretrained(data["out"], output_loading_info=True)
mask = torch.zeros(${BATCH}, ${tokens}, dtype=torch.bool)
for row, places in enumerate(data["hidden"]): mask[row, places] = True
def logits():
    with torch.no_grad(): return net.eval()(pixels, bool_masked_pos=mask).logits.flatten().tolist()
plain = logits()
net.decoder.norm.eps = 1e-6
with torch.no_grad(): found = net.videomae(pixels, output_hidden_states=True)
states = [x.flatten().tolist() for x in (*found.hidden_states, found.last_hidden_state)]
print(json.dumps({"logits": plain, "alike": logits(), "states": states,
                  "unexpected": [sorted(v) for v in list(info.values())]}))`,
        { out, levels, hidden },
      ) as { logits: number[]; alike: number[]; states: number[][]; unexpected: string[][] };
      assert(unexpected.every((names) => names.length === 0), JSON.stringify(unexpected));
      const forward = reconstruction({ shape: studentShape(run.settings), batch: BATCH, visible, compute: "f32" });
      const inputs = { cubes, visible_tokens: part(0, visible), hidden_tokens: part(visible) };
      const outputs = await compute(forward, out, inputs);
      assertLess(difference(outputs.get("prediction")!, logits, "student against transformers"), LIMIT);
      assertLess(difference(outputs.get("prediction")!, alike, "student, with our epsilon there"), LIMIT_ALIKE);
      const encoder = await compute(everyHiddenState(run), out, { cubes });
      assertEquals(states.length, run.settings.student.depth + 2);
      for (const [i, state] of states.entries()) {
        assertLess(difference(encoder.get(`state.${i}`)!, state, `hidden state ${i}`), LIMIT_ALIKE);
      }
    }),
});

Deno.test({
  name: "transformers loads the exported classifier, knows its classes and computes the same logits",
  ignore: noTransformers,
  fn: () =>
    inFolder(async (folder) => {
      const run = await writeRun(folder);
      const out = `${folder}/out`;
      await exportRun({ engine: { engine: "tfjs" }, run: run.path, to: "hf", out, classifier: "student" });
      const { cubes, levels, prepare } = randomClips(run);
      const { logits, alike, unexpected, classes } = python(
        `${prepare}
net, info = transformers.VideoMAEForVideoClassification.from_pretrained(data["out"], output_loading_info=True)
def logits():
    with torch.no_grad(): return net.eval()(pixels).logits.flatten().tolist()
plain = logits()
net.fc_norm.eps = 1e-6
print(json.dumps({"logits": plain, "alike": logits(), "classes": [net.config.id2label[i] for i in range(3)],
                  "unexpected": [sorted(v) for v in list(info.values())]}))`,
        { out, levels },
      ) as { logits: number[]; alike: number[]; unexpected: string[][]; classes: string[] };
      assertEquals(classes, CLASSES);
      assert(unexpected.every((names) => names.length === 0), JSON.stringify(unexpected));
      const { settings } = run;
      const shape = { grid: tokenGrid(settings), cube: cubeSize(settings), encoder: settings.student };
      const forward = classifierForward({ ...shape, classes: CLASSES.length, batch: BATCH, compute: "f32" });
      const outputs = await compute(forward, out, { cubes });
      assertLess(difference(outputs.get("logits")!, logits, "classifier against transformers"), LIMIT);
      assertLess(difference(outputs.get("logits")!, alike, "classifier, with our epsilon there"), LIMIT_ALIKE);
    }),
});

Deno.test({
  name: "what transformers saves, split into small files, loads back into the network it came from",
  ignore: noTransformers,
  fn: () =>
    inFolder(async (folder) => {
      const run = await writeRun(folder);
      await exportRun({
        engine: { engine: "tfjs" },
        run: run.path,
        to: "hf",
        out: `${folder}/out`,
        classifier: "student",
      });
      const files = python(
        `
import os, transformers
net = transformers.VideoMAEForVideoClassification.from_pretrained(data + "/out")
net.save_pretrained(data + "/saved", max_shard_size="100KB")
torch.save({"model": net.state_dict()}, data + "/saved.bin")
print(json.dumps(sorted(os.listdir(data + "/saved"))))`,
        folder,
      ) as string[];
      assert(files.includes("model.safetensors.index.json"), files.join());
      const { settings } = run;
      const shape = { grid: tokenGrid(settings), cube: cubeSize(settings), encoder: settings.student };
      const { parameters } = classifierForward({ ...shape, classes: CLASSES.length, batch: 1, compute: "f32" });
      for (const path of ["saved/model.safetensors.index.json", "saved.bin"]) {
        assertEquals(await readParameters(`${folder}/${path}`, parameters), run.classifier, path);
      }
    }),
});

Deno.test({
  name: "onnxruntime computes the exported encoder and classifier, and the official checker finds no fault with them",
  ignore: noOnnx,
  fn: () =>
    inFolder(async (folder) => {
      const run = await writeRun(folder), { settings } = run;
      const { cubes, levels } = randomClips(run);
      const shape = { grid: tokenGrid(settings), cube: cubeSize(settings), encoder: settings.student };
      const { frames, size } = settings.clip;
      const networks = {
        encoder: (batch: number, clips: ClipForm) =>
          clipEncoder({ ...shape, batch, compute: "f32", clips, finalNorm: true }),
        classifier: (batch: number, clips: ClipForm) =>
          classifierForward({ ...shape, classes: CLASSES.length, batch, compute: "f32" }, clips),
      };
      for (const [name, forward] of Object.entries(networks)) {
        const training = name === "encoder" ? "" : "finetune-student/";
        const from = `${run.path}/checkpoints/${training}step-00000007`;
        const { parameters, frozen } = forward(1, "frames");
        const values = await readParameters(`${from}/model.safetensors`, parameters);
        const path = `${folder}/${name}.onnx`, trace = (batch: number) => forward(batch, "frames").program;
        const weights = new Map([
          ...named("parameter", values),
          ...named("frozen", initialParameters(frozen, () => [])),
        ]);
        await writeOnnx(path, { trace, weights, ...(name === "encoder" && { maxInside: 0 }) });
        const found = python(
          `
import numpy, onnx, onnxruntime
onnx.checker.check_model(data["path"], full_check=True)
clips = numpy.array(data["levels"], dtype=numpy.uint8).reshape(${BATCH}, ${frames}, ${size}, ${size}, 3)
session = onnxruntime.InferenceSession(data["path"])
names = [output.name for output in session.get_outputs()]
whole = session.run(None, {"frames": clips})
alone = [numpy.concatenate(parts) for parts in zip(*(session.run(None, {"frames": clips[i:i+1]}) for i in range(${BATCH})))]
print(json.dumps({name: [a.flatten().tolist(), b.flatten().tolist()] for name, a, b in zip(names, whole, alone)}))`,
          { path, levels },
        ) as Record<string, [number[], number[]]>;
        const ours = await compute(forward(BATCH, "cubes"), from, { cubes });
        assertEquals(Object.keys(found).sort(), [...ours.keys()].sort());
        for (const [output, ways] of Object.entries(found)) {
          for (const [i, way] of ["in one batch", "one by one"].entries()) {
            const what = `${name} in onnxruntime, ${output} ${way}`;
            assertLess(difference(ours.get(output)!, ways[i]!, what), LIMIT_ALIKE);
          }
        }
      }
    }),
});
