import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { type ChainResult, runChain } from "../../pipeline/chain.ts";
import { readMetrics } from "../../pipeline/metrics.ts";
import { silentProgress } from "../../pipeline/progress.ts";
import { resolveSettings, SettingsError } from "../../pipeline/settings.ts";
import { ShardError } from "../../pipeline/shards/shard_error.ts";
import { makeClip } from "../decoders/_clips.ts";
import { tinyFlags } from "./_tiny_run.ts";

interface Trial {
  folder: string;
  warnings: string[];
  run: (flags?: Record<string, string>, signal?: AbortSignal) => Promise<ChainResult>;
}

async function inTrial(body: (trial: Trial) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "tubelet_chain_" });
  const warnings: string[] = [];
  const run = (flags: Record<string, string> = {}, signal = new AbortController().signal) =>
    runChain({
      resolved: resolveSettings({ preset: "demo", flags: { ...tinyFlags(folder), ...flags } }),
      command: ["pretrain-video"],
      signal,
      progress: silentProgress,
      print: () => {},
      warn: (line) => void warnings.push(line),
    });
  try {
    await body({ folder, warnings, run });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const skipped = ({ summary }: ChainResult) => summary.stages.filter((stage) => stage.skipped).map(({ name }) => name);
const worked = ({ summary }: ChainResult) => summary.stages.filter((stage) => !stage.skipped).map(({ name }) => name);

Deno.test("the chain goes from no file at all to a report, and a second run finds everything done", async () => {
  await inTrial(async ({ run }) => {
    const first = await run();
    const stages = ["demo", "prepare", "train-teacher", "teach", "pretrain", "finetune", "evaluate", "probe", "report"];
    assertEquals(worked(first), stages);
    const { data, accuracy, losses } = first.summary;
    assertEquals([data?.trainClips, data?.valClips, data?.badClips], [16, 8, []]);
    assertEquals([accuracy?.clips, accuracy?.chance], [8, 1 / 8]);
    const pretrain = losses.find(({ stage }) => stage === "pretrain")!.losses;
    assert(["total", "pixel", "direct", "generation"].every((name) => pretrain[name]! > 0));
    assertStringIncludes(await Deno.readTextFile(first.report!), "<html");

    const second = await run();
    assertEquals(skipped(second), stages);
    assertEquals(second.summary.accuracy, accuracy);
  });
});

Deno.test("a change runs again what depends on it, and nothing before", async () => {
  await inTrial(async ({ run }) => {
    await run();
    await assertRejects(() => run({ "finetune-epochs": "3" }), SettingsError, "--finetune-epochs is 3");
    const changed = await run({ "finetune-epochs": "3", "allow-change": "true" });
    assertEquals(worked(changed), ["finetune", "evaluate", "report"]);
  });
});

Deno.test("--until ends after a stage, --only and --from need what lies before them", async () => {
  await inTrial(async ({ run }) => {
    await assertRejects(() => run({ only: "teach" }), SettingsError, "Stage demo is not done");
    assertEquals(worked(await run({ until: "prepare" })), ["demo", "prepare"]);
    await assertRejects(() => run({ from: "pretrain" }), SettingsError, "Stage train-teacher is not done");
    assertEquals(worked(await run({ only: "train-teacher" })), ["train-teacher"]);
    assertEquals(worked(await run({ from: "teach", until: "pretrain" })), ["teach", "pretrain"]);
  });
});

for (const dtype of ["f16", "u8"]) {
  Deno.test(`the teacher inside the step gives the same losses as its features cached as ${dtype}`, async () => {
    await inTrial(async ({ folder, run }) => {
      // Two views a clip and four epochs: every epoch but the first two meets a cached view again, with another mask.
      const flags = { until: "pretrain", "feature-dtype": dtype, views: "2" };
      await run(flags);
      await run({ ...flags, run: join(folder, "online"), "teacher-mode": "online" });
      const curve = (name: string) =>
        readMetrics(join(folder, name, "metrics.jsonl")).filter(({ stage }) => stage === "pretrain")
          .map(({ loss, pixel, direct, generation }) => ({ loss, pixel, direct, generation }));
      assertEquals(curve("online").length, 8);
      // Features pass through float16 both ways; an engine may order the sums of a larger program differently.
      curve("online").forEach((online, i) => {
        for (const [name, value] of Object.entries(curve("run")[i]!)) {
          const difference = Math.abs(Number(online[name as keyof typeof online]) - Number(value));
          assert(difference <= 1e-5 * Number(value), `${name} of step ${i + 1} differs by ${difference}`);
        }
      });
    });
  });
}

Deno.test("features that another teacher or other settings made are refused by the field, and no step is trained", async () => {
  await inTrial(async ({ folder, run }) => {
    await run({ until: "teach" });
    const other = join(folder, "other");
    await run({ until: "teach", run: other, "feature-dtype": "u8" });
    const file = join(folder, "run", "stages.json");
    const folderOf = (path: string) => /features\/\w{12}/.exec(Deno.readTextFileSync(path))![0];
    const swapped = Deno.readTextFileSync(file).replaceAll(folderOf(file), folderOf(join(other, "stages.json")));
    await Deno.writeTextFile(file, swapped);
    await assertRejects(
      () => run({ until: "pretrain" }),
      ShardError,
      'was made with dtype "u8", this run has "f16": give the settings that it was made with',
    );
    assertEquals(readMetrics(join(folder, "run", "metrics.jsonl")).filter(({ stage }) => stage === "pretrain"), []);
  });
});

Deno.test("clips of a list train, broken ones are named and left out, and one that was mended is decoded again", async () => {
  await inTrial(async ({ folder, run }) => {
    const videos = join(folder, "videos");
    await Deno.mkdir(videos);
    for (let i = 0; i < 10; i++) makeClip(join(videos, `${i}.mp4`), 6);
    await Deno.writeTextFile(join(videos, "broken.mp4"), "this is no video");
    const names = [...Array.from({ length: 10 }, (_, i) => `${i}.mp4`), "broken.mp4", "absent.webm"];
    const list = join(folder, "list.csv");
    await Deno.writeTextFile(list, names.map((name, i) => `${name} ${i % 2}\n`).join(""));
    const flags = { data: list, videos, labelled: "0" };
    const { summary } = await run(flags);
    assertEquals(summary.data!.badClips.map(({ name }) => name).sort(), ["absent.webm", "broken.mp4"]);
    const reasons = summary.data!.badClips.map(({ reason }) => reason).sort();
    assertStringIncludes(reasons[0]!, "missing");
    assertStringIncludes(reasons[1]!, "not-a-video");

    makeClip(join(videos, "absent.webm"), 6);
    const mended = await run(flags);
    assertEquals(mended.summary.data!.badClips.map(({ name }) => name), ["broken.mp4"]);
    assert(worked(mended).includes("pretrain"));
  });
});

Deno.test("an interruption in the middle of a stage is gone on from", async () => {
  await inTrial(async ({ folder, run }) => {
    const controller = new AbortController();
    const metrics = join(folder, "run", "metrics.jsonl");
    const interrupted = run({ "pretrain-epochs": "40" }, controller.signal);
    const watch = setInterval(() => {
      const steps = readMetrics(metrics).filter(({ stage }) => stage === "pretrain").length;
      if (steps >= 4) controller.abort(new DOMException("stop", "AbortError"));
    }, 20);
    await assertRejects(() => interrupted, DOMException, "stop");
    clearInterval(watch);
    const { summary } = await run({ "pretrain-epochs": "40", until: "pretrain" });
    assertEquals(summary.stages.filter(({ skipped }) => !skipped).map(({ name }) => name), ["pretrain"]);
    const steps = readMetrics(metrics).filter(({ stage }) => stage === "pretrain").map(({ step }) => step);
    assertEquals(steps, Array.from({ length: 80 }, (_, i) => i + 1));
  });
});
