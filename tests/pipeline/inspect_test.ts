/** Inspecting: what a path is, whether it is whole, and which file is damaged where and how it is mended. */
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { writeSafetensors } from "../../models/checkpoints/safetensors.ts";
import { CheckpointFolder } from "../../pipeline/checkpoint_folder.ts";
import { DamagedError, inspect, type Inspection, inspectionLines, UnknownPathError } from "../../pipeline/inspect.ts";
import { openRunFolder } from "../../pipeline/run_folder.ts";
import { resolveSettings } from "../../pipeline/settings.ts";
import { runDeno } from "../_child.ts";
import { featuresSet, framesSet, inTempDir, patch, writeFrames } from "./shards/_sets.ts";

const flip = (bytes: Uint8Array) => void (bytes[0]! ^= 1);

/** The one problem of an inspection. */
function problemOf({ problems }: Inspection): string {
  assertEquals(problems.length, 1);
  return problems[0]!;
}

/** Saves a checkpoint with six numbers in two tensors. */
function saveCheckpoint(checkpoints: CheckpointFolder, step: number): Promise<string> {
  const tensors = [{ name: "a", shape: [2, 2], data: Float32Array.of(1, 2, 3, step) }, {
    name: "b",
    shape: [2],
    dtype: "F16" as const,
    data: new Uint16Array(2),
  }];
  return checkpoints.save({
    step,
    state: { training: "pretrain" },
    write: (folder) => writeSafetensors(`${folder}/model.safetensors`, tensors, { format: "pt" }),
  });
}

Deno.test("a whole set of frames is verified and counted", () =>
  inTempDir(async (cache) => {
    using set = await framesSet(cache, [5]);
    const found = await inspect(set.folder);
    const { kind, facts: { schema, shards, rows, good, failed, bytes, configSha256, settings } } = found;
    assertEquals([kind, schema, shards, rows, good, failed], ["shard set", "tubelet-frames/1", 3, 10, 9, 1]);
    assertEquals(bytes, [0, 1, 2].reduce((sum, shard) => sum + Deno.statSync(set.path(shard)).size, 0));
    assertEquals([configSha256, settings, found.problems], [set.configSha256, set.config, []]);
    const lines = inspectionLines(found);
    assertEquals([lines[0], lines.at(-1)], [`shard set     ${set.folder}`, "whole         yes"]);
    assert(lines.includes("good          9"));
  }));

Deno.test("one flipped bit in a set is told with file, dataset, row and mend, and following the mend mends it", () =>
  inTempDir(async (cache) => {
    using set = await framesSet(cache);
    Deno.writeTextFileSync(`${set.folder}/manifest.json`, "{}");
    patch(set.path(1), set.sidecar(1).datasets["/cubes"]!.offset + 2 * 96, flip);
    const found = await inspect(set.folder);
    assertEquals(
      problemOf(found).replace(/0x\w+/g, "0x"),
      `${set.path(1)}, dataset /cubes, row 6 has CRC-32 0x, expected 0x: the bytes are damaged. ` +
        "Remove shard-00001.h5, its .json and manifest.json and run the command that made the set again",
    );
    assertEquals(inspectionLines(found).at(-1), "whole         no");
    assertStringIncludes(
      new DamagedError(found).message,
      `The shard set ${set.folder} is not whole:\n  ${set.path(1)}`,
    );
    for (const name of ["shard-00001.h5", "shard-00001.json", "manifest.json"]) {
      Deno.removeSync(`${set.folder}/${name}`);
    }
    await writeFrames(set, 1);
    assertEquals((await inspect(set.folder)).problems, []);
  }));

Deno.test("a set that lacks a shard is not whole, nor is the cache that lists it", () =>
  inTempDir(async (cache) => {
    using frames = await framesSet(cache);
    using features = await featuresSet(cache, frames);
    const { kind, facts, problems } = await inspect(cache);
    assertEquals([kind, problems], ["cache", []]);
    assertEquals((facts["sets"] as { set: string; rows: number }[]).map(({ set, rows }) => [set, rows]), [
      [frames.folder.slice(cache.length + 1), 10],
      [features.folder.slice(cache.length + 1), 10],
    ]);
    Deno.removeSync(features.path(2));
    Deno.removeSync(features.path(2).replace(".h5", ".json"));
    assertMatch(
      problemOf(await inspect(features.folder)),
      /shard-00002.json does not exist: .*\. Remove manifest.json and run/,
    );
    assertMatch(problemOf(await inspect(cache)), /lacks 1 of 3 shards: deno task inspect .*features/);
  }));

Deno.test("a shard file says what it holds and what it was computed from", () =>
  inTempDir(async (cache) => {
    using frames = await framesSet(cache, [5]);
    using features = await featuresSet(cache, frames);
    const { kind, facts, problems } = await inspect(features.path(1));
    assertEquals([kind, problems], ["shard", []]);
    assertEquals([facts["shard"], facts["firstRow"], facts["rows"], facts["good"]], [1, 4, 4, 3]);
    assertEquals(facts["parents"], { frames: frames.sidecar(1).sha256 });
    assertEquals((facts["datasets"] as Record<string, string>)["/features/level_1"], "f16 [4, 6, 2]");
    Deno.truncateSync(features.path(1), 5000);
    assertMatch(
      problemOf(await inspect(features.path(1))),
      /shard-00001.h5 is 5000 bytes long, its sidecar says \d+\. R/,
    );
  }));

Deno.test("a shard out of its set and a set with edited settings are named, not read", () =>
  inTempDir(async (cache) => {
    using set = await framesSet(cache);
    Deno.mkdirSync(`${cache}/alone`);
    Deno.copyFileSync(set.path(0), `${cache}/alone/shard-00000.h5`);
    assertMatch(problemOf(await inspect(`${cache}/alone/shard-00000.h5`)), /no shard set\. Put the shard back/);
    Deno.copyFileSync(set.path(0), `${set.folder}/shard-00007.h5`);
    assertMatch(problemOf(await inspect(`${set.folder}/shard-00007.h5`)), /no part of its set, which has 3 shards/);
    const config = `${set.folder}/config.json`;
    Deno.writeTextFileSync(config, Deno.readTextFileSync(config).replace('"seed":7', '"seed": 7'));
    assertMatch(problemOf(await inspect(set.folder)), /config.json is not canonical JSON: it was edited\. Remove/);
    Deno.writeTextFileSync(config, '{"schema":"tubelet-frames/9"}');
    assertMatch(problemOf(await inspect(set.folder)), /has schema tubelet-frames\/9, which this version does not know/);
  }));

Deno.test("a checkpoint tells step and tensors, and every file that is not as it was written", () =>
  inTempDir(async (folder) => {
    const path = await saveCheckpoint(new CheckpointFolder(folder, 3, () => {}), 7);
    const { kind, facts, problems } = await inspect(path);
    assertEquals([kind, facts["step"], facts["state"], problems], ["checkpoint", 7, { training: "pretrain" }, []]);
    const [file] = facts["files"] as { file: string; tensors: number; parameters: number; dtypes: string }[];
    assertEquals([file!.file, file!.tensors, file!.parameters, file!.dtypes], [
      "model.safetensors",
      2,
      6,
      "1 F32, 1 F16",
    ]);
    const model = `${path}/model.safetensors`;
    patch(model, Deno.statSync(model).size - 1, flip);
    assertMatch(problemOf(await inspect(path)), /model.safetensors has SHA-256 \w+, was written with \w+\. Remove the/);
    Deno.truncateSync(model, 9);
    assertMatch(problemOf(await inspect(path)), /has 9 bytes, was written with \d+\./);
    Deno.removeSync(model);
    assertMatch(problemOf(await inspect(path)), /model.safetensors is missing\./);
    Deno.writeTextFileSync(
      `${path}/state.json`,
      '{"step":7,"score":null,"state":null,"files":{"../x":{"bytes":1,"sha256":""}}}',
    );
    assertMatch(problemOf(await inspect(path)), /lies outside of the checkpoint/);
    Deno.writeTextFileSync(`${path}/state.json`, '{"step":7.5}');
    assertMatch(problemOf(await inspect(path)), /state.json is no state of a checkpoint: step: .*; score: .*\. Remove/);
    Deno.removeSync(`${path}/state.json`);
    assertMatch(problemOf(await inspect(path)), /state.json cannot be read: .*\. Remove the checkpoint/);
  }));

Deno.test("a safetensors file is counted, and a cut one is not whole", () =>
  inTempDir(async (folder) => {
    const path = `${folder}/weights.safetensors`;
    await writeSafetensors(path, [{ name: "x", shape: [3], data: new Float32Array(3) }]);
    const { kind, facts, problems } = await inspect(path);
    assertEquals([kind, facts, problems], [
      "safetensors file",
      { bytes: Deno.statSync(path).size, tensors: 1, parameters: 3, dtypes: "1 F32" },
      [],
    ]);
    Deno.truncateSync(path, Deno.statSync(path).size - 1);
    assertMatch(problemOf(await inspect(path)), /is not a whole safetensors file: .*\. Fetch or export it again/);
  }));

Deno.test("files of torch.save and lists of several files are counted too", () =>
  inTempDir(async (folder) => {
    const fixture = `${import.meta.dirname}/../fixtures/pth/archive.pth`;
    const { kind, facts, problems } = await inspect(fixture);
    const dtypes = "7 F32, 1 F16, 1 BF16, 1 F64, 1 I64, 1 BOOL";
    const expected = { tensors: 12, parameters: 33, dtypes };
    assertEquals([kind, facts, problems], ["PyTorch file", { bytes: Deno.statSync(fixture).size, ...expected }, []]);
    const list = `${folder}/model.index.json`;
    Deno.writeTextFileSync(list, '{"weight_map": {"weight": "a.bin"}}');
    Deno.copyFileSync(fixture, `${folder}/a.bin`);
    const listed = await inspect(list);
    assertEquals([listed.kind, listed.facts["tensors"], listed.problems], ["list of weight files", 1, []]);
    Deno.removeSync(`${folder}/a.bin`);
    assertEquals((await inspect(list)).problems.length, 1);
  }));

Deno.test("a run shows its stages, the newest whole checkpoint of each training and the last losses", () =>
  inTempDir(async (folder) => {
    const path = `${folder}/run`;
    const resolved = resolveSettings({ preset: "demo", flags: { run: path } });
    const run = openRunFolder({ resolved, command: ["pretrain-video", "--seed=1"] });
    await run.stages.run("prepare", "hash", () => Promise.resolve(null));
    {
      using metrics = run.metrics("pretrain", 0);
      for (const step of [1, 2]) metrics.write({ stage: "pretrain", step, epoch: 0, loss: 1 / step, lr: 0.1 });
    }
    for (const step of [1, 2]) await saveCheckpoint(run.checkpoints("pretrain"), step);
    await saveCheckpoint(run.checkpoints("finetune-scratch"), 5);
    const stages = Deno.readTextFileSync(`${path}/stages.json`);
    Deno.writeTextFileSync(`${path}/stages.json`, stages.replace('"done"', '"running"'));
    const states = ({ facts }: Inspection) => (facts["stages"] as { state: string }[]).map(({ state }) => state);
    const found = await inspect(path);
    assertEquals([found.kind, found.problems, found.facts["preset"]], ["run", [], "demo"]);
    assertEquals([found.facts["command"], found.facts["inUse"]], ["pretrain-video --seed=1", true]);
    assertEquals(states(found), ["running"]);
    assertEquals(found.facts["metrics"], [{ stage: "pretrain", step: 2, epoch: 0, loss: 0.5, lr: 0.1 }]);
    assertEquals(found.facts["checkpoints"], [
      { training: "pretrain", step: 2, path: `${path}/checkpoints/step-00000002` },
      { training: "finetune-scratch", step: 5, path: `${path}/checkpoints/finetune-scratch/step-00000005` },
    ]);
    assert(inspectionLines(found).includes("  stage pretrain, step 2, epoch 0, loss 0.5, lr 0.1"));
    const one = await inspect(`${path}/checkpoints/finetune-scratch`);
    assertEquals((one.facts["checkpoints"] as { training: string }[]).map(({ training }) => training), [
      "finetune-scratch",
    ]);
    run[Symbol.dispose]();
    assertEquals(states(await inspect(path)), ["killed"]);
    patch(`${path}/checkpoints/step-00000002/model.safetensors`, 0, flip);
    const damaged = await inspect(`${path}/checkpoints`);
    assertEquals((damaged.facts["checkpoints"] as { step: number }[])[0]!.step, 1);
    assertMatch(
      problemOf(damaged),
      /step-00000002 is damaged \(model.safetensors does not have the SHA-256.*\. Remove/,
    );
    for (const name of ["stages.json", "config.json"]) Deno.writeTextFileSync(`${path}/${name}`, "[{");
    Deno.writeTextFileSync(`${path}/metrics.jsonl`, "half a\nline\n");
    const { problems } = await inspect(path);
    assertEquals(problems.length, 4);
    assertMatch(
      problems.join("\n"),
      /stages.json is no list.*\n.*Line 1 of .*\n.*config.json is no config.*\n.*step-0/,
    );
  }));

Deno.test("what is not ours is refused with exit code 2", () =>
  inTempDir(async (folder) => {
    for (const name of ["notes.txt", "other.h5"]) Deno.writeTextFileSync(`${folder}/${name}`, "");
    for (const path of [folder, `${folder}/notes.txt`, `${folder}/other.h5`, `${folder}/gone`]) {
      const error = await assertRejects(() => inspect(path), UnknownPathError, path);
      assertEquals(error.exitCode, 2);
    }
  }));

Deno.test("names from a file cannot steer the terminal", () =>
  inTempDir(async (folder) => {
    const path = `${folder}/weights.safetensors`;
    await writeSafetensors(path, [], { "a\x1b[2J": "b\nc" });
    assertMatch(inspectionLines(await inspect(path)).join("\n"), /\n {2}a\\u\{1b\}\[2J +b\\u\{a\}c\n/);
  }));

Deno.test("the task ends with 0 for whole, 1 for damaged, 2 for unknown, and tells machines in one line", () =>
  inTempDir(async (folder) => {
    const path = `${folder}/weights.safetensors`;
    const run = async (path: string) => {
      const task = new URL("../../tasks/inspect.ts", import.meta.url).pathname;
      const args = ["run", "-A", "--no-check", task, path, "--json", "--quiet"];
      const { code, out } = await runDeno(args);
      return { code, summary: JSON.parse(out) };
    };
    await writeSafetensors(path, [{ name: "x", shape: [3], data: new Float32Array(3) }]);
    const whole = await run(path);
    assertEquals([whole.code, whole.summary.kind, whole.summary.facts.parameters], [0, "safetensors file", 3]);
    Deno.truncateSync(path, 4);
    const damaged = await run(path);
    assertEquals(damaged.code, 1);
    assertStringIncludes(damaged.summary.error, `${path} is not a whole safetensors file`);
    assertEquals((await run(`${folder}/gone`)).code, 2);
  }));
