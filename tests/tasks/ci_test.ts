/** The jobs of docs/ci.md as they stand there, each in a checkout of its own, with nothing in common but the cache. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { dirname, join } from "node:path";
import { readMetrics } from "../../pipeline/metrics.ts";
import { run as runProgram, runDeno } from "../_child.ts";
import { makeClip } from "../decoders/_clips.ts";
import { tinyFlags } from "../pipeline/_tiny_run.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
/** What a job runs; the tests of a checkout are not among it. */
const SOURCES = ["deno.json", "deno.lock", "mod.ts", "decoders", "models", "pipeline", "tasks", "vendor"];

/** The shell scripts of the page by the name in their first line. */
function scripts(): Map<string, string> {
  const page = Deno.readTextFileSync(join(ROOT, "docs/ci.md"));
  return new Map(
    [...page.matchAll(/^```sh\n# job: (\w+)\n([^]*?)^```$/gm)].map(([, name, script]) => [name!, script!]),
  );
}

/** The working tree as a job would check it out, without what it installs. */
function checkOut(to: string): void {
  Deno.mkdirSync(to);
  for (const name of SOURCES) copy(join(ROOT, name), join(to, name));
  Deno.symlinkSync(join(ROOT, "node_modules"), join(to, "node_modules"));
}

function copy(from: string, to: string): void {
  if (!Deno.statSync(from).isDirectory) return Deno.copyFileSync(from, to);
  Deno.mkdirSync(to);
  for (const { name } of Deno.readDirSync(from)) copy(join(from, name), join(to, name));
}

/** Runs a job in a new checkout. @returns The checkout and what the job printed. */
async function job(folder: string, name: string, env: Record<string, string>, as = name) {
  const checkout = join(folder, as), script = scripts().get(name);
  assert(script, `docs/ci.md has no job ${name}`);
  if (!exists(checkout)) checkOut(checkout);
  const PATH = `${dirname(Deno.execPath())}:${Deno.env.get("PATH")}`;
  const options = { args: ["-e", "-c", script], cwd: checkout, env: { ...env, PATH } };
  const { code, out, error } = await runProgram("sh", options);
  assertEquals(code, 0, `${name}: ${error}`);
  return { run: join(checkout, "run"), out };
}

function exists(path: string): boolean {
  try {
    return Deno.lstatSync(path) !== undefined;
  } catch {
    return false;
  }
}

/** States of the stages in a run's stages.json. */
function states(run: string): Record<string, string> {
  const stages = JSON.parse(Deno.readTextFileSync(join(run, "stages.json")));
  return Object.fromEntries(stages.map(({ name, state }: Record<string, string>) => [name!, state!]));
}

function losses(run: string): unknown[] {
  return readMetrics(join(run, "metrics.jsonl")).filter(({ stage }) => stage === "pretrain")
    .map(({ step, loss, pixel, direct, generation }) => ({ step, loss, pixel, direct, generation }));
}

function words(flags: Record<string, string>): string {
  return Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`).join(" ");
}

Deno.test({
  name: "prepare, teach and train run as jobs in separate checkouts and give what one run gives",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const folder = await Deno.makeTempDir({ prefix: "tubelet_ci_" });
    try {
      const videos = join(folder, "clips"), list = join(folder, "list.txt");
      await Deno.mkdir(videos);
      const names = Array.from({ length: 18 }, (_, i) => `${i}.mp4`);
      names.forEach((name, i) => makeClip(join(videos, name), 6 + i % 4));
      await Deno.writeTextFile(list, names.map((name, i) => `${name} ${i % 2}\n`).join(""));
      const { run: _, cache: __, ...flags } = tinyFlags(folder);
      const SETTINGS = words({ preset: "demo", ...flags }), CACHE = join(folder, "cache");
      const common = { SETTINGS, LIST: list, VIDEOS: videos, CACHE };

      // The teacher comes from elsewhere.
      const alone = join(folder, "alone");
      const given = `--data=${list} --videos=${videos} --cache=${alone}/cache`;
      const pretrainVideo = async (args: string) => {
        const task = [
          "run",
          "-A",
          "--no-check",
          "tasks/pretrain_video.ts",
          ...`${SETTINGS} ${given} ${args}`.split(" "),
        ];
        const { code, error } = await runDeno(task, { cwd: ROOT });
        assertEquals(code, 0, error);
      };
      await pretrainVideo(`--run=${folder}/teacher --until=train-teacher`);
      const trained = JSON.parse(Deno.readTextFileSync(join(folder, "teacher/stages.json")))
        .find(({ name }: { name: string }) => name === "train-teacher").result.checkpoint;
      const TEACHER = join(folder, "teacher.safetensors");
      await Deno.copyFile(join(trained, "model.safetensors"), TEACHER);
      await pretrainVideo(`--run=${alone}/run --teacher=${TEACHER} --until=pretrain`);

      for (const id of ["1", "2"]) {
        const array = { SLURM_ARRAY_TASK_ID: id, SLURM_ARRAY_TASK_COUNT: "2" };
        const { out } = await job(folder, "array", { ...common, ...array });
        assertStringIncludes(out, id === "1" ? "missing" : "complete");
      }
      const prepared = await job(folder, "prepare", common);
      assertEquals(states(prepared.run), { prepare: "done" });
      await Deno.remove(videos, { recursive: true });
      const taught = await job(folder, "teach", { ...common, TEACHER });
      assertEquals(states(taught.run), { prepare: "done", teach: "done" });
      const train = await job(folder, "train", { ...common, TEACHER });
      assertEquals(states(train.run), { prepare: "done", teach: "done", pretrain: "done" });

      assertEquals(losses(train.run), losses(join(alone, "run")));
      const hash = (lines: string, stage: string) =>
        lines.split("\n").find((line) => line.startsWith(`${stage} done `));
      const looks = await Promise.all(["prepare", "teach", "train"].map((as) => job(folder, "look", {}, as)));
      const hashes = looks.map(({ out }) => hash(out, "prepare"));
      assert(/^prepare done [0-9a-f]{64}$/.test(hashes[0]!), hashes[0]);
      assertEquals(new Set(hashes).size, 1);
      assertEquals(hash(looks[1]!.out, "teach"), hash(looks[2]!.out, "teach"));
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test("a job whose forerunner has not run ends with what is missing and code 2", async () => {
  const folder = await Deno.makeTempDir({ prefix: "tubelet_ci_" });
  try {
    makeClip(join(folder, "0.mp4"), 6);
    makeClip(join(folder, "1.mp4"), 6);
    await Deno.writeTextFile(join(folder, "list.txt"), "0.mp4 0\n1.mp4 1\n");
    const args = words({
      preset: "demo",
      ...tinyFlags(folder),
      data: join(folder, "list.txt"),
      videos: folder,
      only: "teach",
      teacher: "none",
    });
    const task = ["run", "-A", "--no-check", "tasks/pretrain_video.ts", ...args.split(" ")];
    const { code, error } = await runDeno(task, { cwd: ROOT });
    assertEquals(code, 2);
    assertStringIncludes(
      error,
      `Stage prepare is not done in ${folder}/run or in the cache ${folder}/cache under these settings: run it first`,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
