/** Run folders: locks, changed settings, stages that are skipped, checkpoints that survive crashes and damage. */
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { CheckpointFolder } from "../../pipeline/checkpoint_folder.ts";
import { openRunFolder } from "../../pipeline/run_folder.ts";
import { lockRun, RunLockedError } from "../../pipeline/run_lock.ts";
import { resolveSettings, SettingsError } from "../../pipeline/settings.ts";
import { StageLog } from "../../pipeline/stage_log.ts";

async function withFolder(test: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = Deno.makeTempDirSync({ prefix: "run ü " });
  try {
    await test(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

const now = () => new Date(Date.UTC(2030, 0, 2));
const open = (run: string, flags: Record<string, unknown> = {}, warn?: (message: string) => void) =>
  openRunFolder({
    resolved: resolveSettings({ preset: "demo", flags: { run, ...flags } }),
    command: ["pretrain-video"],
    now,
    ...(warn && { warn }),
  });

Deno.test("a run folder keeps the settings with their origins", () =>
  withFolder((folder) => {
    const run = `${folder}/a/b`;
    {
      using opened = open(run, { seed: 5 });
      assertEquals(opened.path, run);
      assertEquals(opened.file("report.html"), `${run}/report.html`);
    }
    const config = JSON.parse(Deno.readTextFileSync(`${run}/config.json`));
    assertEquals(config.settings.run.seed, 5);
    assertEquals([config.origins["run.seed"], config.origins["student.width"]], ["flag", "preset"]);
    assertEquals([config.preset, config.command, config.written], [
      "demo",
      ["pretrain-video"],
      "2030-01-02T00:00:00.000Z",
    ]);
    assertEquals(resolveSettings({ file: config, flags: {} }).settings.run.seed, 5);
  }));

Deno.test("a second run on the folder is refused and told who holds it", () =>
  withFolder((folder) => {
    {
      using _first = open(folder);
      const error = assertThrows(() => open(folder), RunLockedError);
      assertEquals(error.owner?.pid, Deno.pid);
      assertStringIncludes(error.message, `process ${Deno.pid} on ${Deno.hostname()} since 2030-01-02`);
    }
    using _second = open(folder);
  }));

Deno.test("the lock of a killed process is taken over", () =>
  withFolder(async (folder) => {
    const module = new URL("../../pipeline/run_lock.ts", import.meta.url).href;
    const holder = new Deno.Command(Deno.execPath(), {
      args: [
        "eval",
        "--ext=ts",
        `import { lockRun } from ${JSON.stringify(module)};
        lockRun(${JSON.stringify(folder)}); console.log("held"); setInterval(() => {}, 1000);`,
      ],
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const reader = holder.stdout.getReader();
    assertEquals(new TextDecoder().decode((await reader.read()).value).trim(), "held");
    assertEquals(assertThrows(() => lockRun(folder), RunLockedError).owner?.pid, holder.pid);
    holder.kill("SIGKILL");
    await holder.status;
    await reader.cancel();
    using lock = lockRun(folder);
    assertEquals(lock.owner.pid, Deno.pid);
  }));

Deno.test("what a killed run left unfinished in its folder is removed, its files are not", () =>
  withFolder((folder) => {
    open(folder)[Symbol.dispose]();
    const files = () => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
    const before = files();
    Deno.writeTextFileSync(`${folder}/.tmp-metrics.jsonl-4f1c`, "half a li");
    using _second = open(folder);
    assertEquals(files(), before);
  }));

Deno.test("a setting may change until a stage has begun with it, then it is refused by name", () =>
  withFolder(async (folder) => {
    {
      using run = open(folder);
      await run.stages.run("pretrain", "hash", () => Promise.resolve(null));
    }
    {
      // finetune has not begun, quiet changes no result.
      using run = open(folder, { "finetune-epochs": 7, quiet: true });
      assertEquals(run.changes, []);
    }
    const error = assertThrows(() => open(folder, { "student-width": 48, "student-layers": "1,4" }), SettingsError);
    assertEquals(error.problems.length, 2);
    assertMatch(
      error.problems[0] ?? "",
      /^--student-width is 48, but this run's pretrain began with 64: .*--allow-change$/,
    );
    assertMatch(error.problems[1] ?? "", /^--student-layers is \[1,4\], but this run's pretrain began with \[2,4\]/);
    // The refusal neither changed the configuration nor kept the lock.
    using run = open(folder, { "student-width": 48, "allow-change": true });
    assertEquals(run.changes.map(({ path, before, after }) => [path, before, after]), [["student.width", 64, 48]]);
  }));

Deno.test("a configuration that cannot be read stops the run and says which file", () =>
  withFolder((folder) => {
    for (const text of ["", "{", "[]", "null", '{"settings": 3}']) {
      Deno.writeTextFileSync(`${folder}/config.json`, text);
      assertThrows(() => open(folder), SyntaxError, "config.json is no configuration of a run");
    }
  }));

Deno.test("a stage that is done is skipped until its hash changes or its files are gone", () =>
  withFolder(async (folder) => {
    let worked = 0;
    let milliseconds = 0;
    const log = () => new StageLog(`${folder}/stages.json`, () => milliseconds);
    const work = () => {
      milliseconds += 1500;
      return Promise.resolve({ clips: ++worked });
    };
    assertEquals(await log().run("prepare", "h1", work), { result: { clips: 1 }, seconds: 1.5, skipped: false });
    assertEquals(await log().run("prepare", "h1", work), { result: { clips: 1 }, seconds: 1.5, skipped: true });
    assertEquals((await log().run("prepare", "h1", work, { isWhole: () => false })).result, { clips: 2 });
    assertEquals((await log().run("prepare", "h1", work, { force: true })).result, { clips: 3 });
    assertEquals((await log().run("prepare", "h2", work)).result, { clips: 4 });
    assertEquals(JSON.parse(Deno.readTextFileSync(`${folder}/stages.json`)), [
      { name: "prepare", hash: "h2", state: "done", seconds: 1.5, skipped: false, result: { clips: 4 } },
    ]);
  }));

Deno.test("a failed or interrupted stage says so, runs again, and adds its seconds up", () =>
  withFolder(async (folder) => {
    let milliseconds = 0;
    const log = () => new StageLog(`${folder}/stages.json`, () => milliseconds);
    const failing = (error: Error) => () => {
      milliseconds += 2000;
      return Promise.reject(error);
    };
    await assertRejects(() => log().run("teach", "h", failing(new RangeError("no"))), RangeError);
    assertEquals(log().find("teach")?.state, "failed");
    await assertRejects(() => log().run("teach", "h", failing(new DOMException("stop", "AbortError"))));
    assertEquals([log().find("teach")?.state, log().find("teach")?.seconds], ["interrupted", 4]);
    await log().run("teach", "h", () => {
      assertEquals(log().find("teach")?.state, "running");
      milliseconds += 1000;
      return Promise.resolve(null);
    });
    assertEquals([log().find("teach")?.state, log().find("teach")?.seconds], ["done", 5]);
  }));

const NOTHING = () => {
  throw new Error("no warning was expected");
};

const save = (checkpoints: CheckpointFolder, step: number, text = `weights ${step}`, score?: number) =>
  checkpoints.save({
    step,
    state: { seed: 1, step },
    ...(score !== undefined && { score }),
    write: (folder) => Deno.writeTextFileSync(`${folder}/model.safetensors`, text),
  });

Deno.test("checkpoints are kept in step order, the last ones and the best", () =>
  withFolder(async (folder) => {
    const checkpoints = new CheckpointFolder(`${folder}/checkpoints`, 2, NOTHING);
    assertEquals(await checkpoints.latest(), undefined);
    for (const [step, score] of [[5, 3], [10, 1], [15, 2], [20, 2], [100_000_000, 4]] as const) {
      await save(checkpoints, step, undefined, score);
    }
    assertEquals(checkpoints.steps(), [10, 20, 100_000_000]);
    const latest = await checkpoints.latest();
    assertEquals(latest?.state, { seed: 1, step: 100_000_000 });
    assertEquals(Deno.readTextFileSync(`${latest?.path}/model.safetensors`), "weights 100000000");
    assert(latest?.path.endsWith("/checkpoints/step-100000000"));
  }));

Deno.test("a checkpoint saved twice is the later one", () =>
  withFolder(async (folder) => {
    const checkpoints = new CheckpointFolder(folder, 3, NOTHING);
    await save(checkpoints, 5, "old");
    const path = await save(checkpoints, 5, "new");
    assertEquals(Deno.readTextFileSync(`${path}/model.safetensors`), "new");
    assertEquals([...Deno.readDirSync(folder)].map((entry) => entry.name), ["step-00000005"]);
  }));

Deno.test("a damaged checkpoint is named and the one before it taken", () =>
  withFolder(async (folder) => {
    const damages: [(path: string) => void, RegExp][] = [
      [(path) => Deno.writeTextFileSync(`${path}/model.safetensors`, "weights 9x"), /has 10 bytes instead of 9\)/],
      [(path) => Deno.writeTextFileSync(`${path}/model.safetensors`, "weights 8"), /does not have the SHA-256/],
      [(path) => Deno.removeSync(`${path}/model.safetensors`), /model.safetensors is missing/],
      [(path) => Deno.truncateSync(`${path}/state.json`, 20), /state.json cannot be read/],
      [(path) => Deno.writeTextFileSync(`${path}/state.json`, "null"), /state.json cannot be read/],
      [(path) => {
        const state = Deno.readTextFileSync(`${path}/state.json`);
        Deno.writeTextFileSync(
          `${path}/state.json`,
          state.replace('"model.safetensors"', '"../step-00000001/state.json"'),
        );
      }, /names a file outside/],
    ];
    for (const [damage, expected] of damages) {
      const warnings: string[] = [];
      const checkpoints = new CheckpointFolder(folder, 3, (message) => warnings.push(message));
      await save(checkpoints, 1);
      damage(await save(checkpoints, 9));
      assertEquals((await checkpoints.latest())?.step, 1);
      assertEquals(warnings.length, 1);
      assertMatch(warnings[0] ?? "", expected);
    }
  }));

Deno.test("a write that fails leaves the earlier checkpoints and nothing else", () =>
  withFolder(async (folder) => {
    const checkpoints = new CheckpointFolder(folder, 3, NOTHING);
    await save(checkpoints, 5);
    const failing = checkpoints.save({
      step: 10,
      state: null,
      write: (path) => {
        Deno.writeTextFileSync(`${path}/half`, "x");
        throw new Error("disk full");
      },
    });
    await assertRejects(() => failing, Error, "disk full");
    assertEquals([...Deno.readDirSync(folder)].map((entry) => entry.name), ["step-00000005"]);
    await assertRejects(
      () =>
        checkpoints.save({
          step: 10,
          state: null,
          write: (path) => Deno.writeTextFileSync(`${path}/state.json`, "{}"),
        }),
      TypeError,
    );
  }));

Deno.test("what a killed writer left is ignored and removed at the next save", () =>
  withFolder(async (folder) => {
    const checkpoints = new CheckpointFolder(folder, 3, NOTHING);
    Deno.mkdirSync(`${folder}/.tmp-step-00000005-x`);
    Deno.writeTextFileSync(`${folder}/.tmp-step-00000005-x/model.safetensors`, "half");
    assertEquals(await checkpoints.latest(), undefined);
    await save(checkpoints, 10);
    assertEquals([...Deno.readDirSync(folder)].map((entry) => entry.name), ["step-00000010"]);
  }));

Deno.test("stages other than pre-training keep their checkpoints apart", () =>
  withFolder(async (folder) => {
    using run = open(folder);
    await save(run.checkpoints("pretrain"), 1);
    await save(run.checkpoints("finetune"), 2);
    assertEquals(run.checkpoints("pretrain").steps(), [1]);
    assertEquals(run.checkpoints("finetune").steps(), [2]);
    {
      using metrics = run.metrics("pretrain", 0);
      metrics.write({ stage: "pretrain", step: 1, epoch: 0, loss: 1, lr: 1 });
    }
    assert(Deno.statSync(`${folder}/metrics.jsonl`).size > 0);
  }));
