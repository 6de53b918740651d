import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type ChainResult, runChain } from "../../pipeline/chain.ts";
import { readMetrics } from "../../pipeline/metrics.ts";
import { silentProgress } from "../../pipeline/progress.ts";
import { resolveSettings, SettingsError } from "../../pipeline/settings.ts";
import { ShardError } from "../../pipeline/shards/shard_error.ts";
import { makeClip } from "../decoders/_clips.ts";
import { patch } from "./shards/_sets.ts";
import { tinyFlags } from "./_tiny_run.ts";

interface Trial {
  folder: string;
  warnings: string[];
  run: (flags?: Record<string, string>, signal?: AbortSignal) => Promise<ChainResult>;
}

async function inTrial(body: (trial: Trial) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "tubelet chain ü " });
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

/** Runs a body in 1970, with all files of a folder dated 2100. */
async function afterClockJump<T>(folder: string, body: () => Promise<T>): Promise<T> {
  const dated = (path: string) => {
    Deno.utimeSync(path, new Date("2100-01-01"), new Date("2100-01-01"));
    for (const { name, isDirectory } of Deno.readDirSync(path)) {
      if (isDirectory) dated(join(path, name));
      else Deno.utimeSync(join(path, name), new Date("2100-01-01"), new Date("2100-01-01"));
    }
  };
  dated(folder);
  const now = Date;
  globalThis.Date = class extends now {
    constructor(value: number | string | Date = 0) {
      super(value);
    }
    static override now = () => 0;
  } as DateConstructor;
  try {
    return await body();
  } finally {
    globalThis.Date = now;
  }
}

Deno.test("a clock that jumps by decades changes nothing: what is done is skipped, what was begun is gone on with", async () => {
  await inTrial(async ({ folder, run, warnings }) => {
    await run({ until: "teach" });
    const controller = new AbortController();
    const metrics = join(folder, "run", "metrics.jsonl");
    const losses = () =>
      readMetrics(metrics).filter(({ stage }) => stage === "pretrain").map(({ step, loss }) => ({ step, loss }));
    const watch = setInterval(
      () => losses().length >= 2 && controller.abort(new DOMException("stop", "AbortError")),
      5,
    );
    const interrupted = run({ "pretrain-epochs": "40", until: "pretrain" }, controller.signal);
    await assertRejects(() => interrupted, DOMException, "stop");
    clearInterval(watch);
    const before = losses();
    const later = await afterClockJump(folder, () => run({ "pretrain-epochs": "40", until: "pretrain" }));
    assertEquals(worked(later), ["pretrain"]);
    assertEquals(losses().slice(0, before.length), before);
    assertEquals(losses().map(({ step }) => step), Array.from({ length: 80 }, (_, i) => i + 1));
    assertEquals([worked(await run({ "pretrain-epochs": "40", until: "pretrain" })), warnings], [[], []]);
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

for (const kind of ["frames", "features"]) {
  Deno.test(`a byte that flips, a file that is cut or one that is gone among the ${kind} stops a training by name`, async () => {
    await inTrial(async ({ folder, run }) => {
      await run({ until: "teach" });
      const sets = join(folder, "cache", kind);
      const inSets = [...Deno.readDirSync(sets)].map(({ name }) => join(sets, name));
      // The training clips lie in three shards, the validation clips in two.
      const set = inSets.find((path) => existsSync(join(path, "shard-00002.h5")))!;
      const path = join(set, "shard-00001.h5"), whole = await Deno.readFile(path);
      const { datasets } = JSON.parse(await Deno.readTextFile(join(set, "shard-00001.json")));
      const { offset, bytes } = datasets[kind === "frames" ? "/cubes" : "/features/level_1"];
      const damages: [string, () => void, RegExp][] = [
        ["flipped", () => {
          // One bit in every row, so that any epoch meets one.
          for (let row = 0; row < 7; row++) {
            patch(path, offset + row * bytes / 7 + 3, (found) => void (found[0]! ^= 16));
          }
        }, /row \d+ has CRC-32 \w+, expected \w+: the bytes are damaged/],
        ["cut", () => Deno.truncateSync(path, 100), /shard-00001\.h5/],
      ];
      for (const [name, damage, message] of damages) {
        const metrics = join(folder, name, "metrics.jsonl");
        const training = run({ run: join(folder, name), until: "pretrain", "pretrain-epochs": "4000" });
        const watch = setInterval(() => {
          if (readMetrics(metrics).filter(({ stage }) => stage === "pretrain").length < 4) return;
          clearInterval(watch);
          damage();
        }, 20);
        const error = await assertRejects(() => training, ShardError);
        clearInterval(watch);
        assert(message.test(error.message) && error.message.includes(path), error.message);
        const steps = readMetrics(metrics).filter(({ stage }) => stage === "pretrain");
        assert(steps.length >= 4 && steps.length < 8000 && steps.every(({ loss }) => Number.isFinite(loss)));
        assertStringIncludes(error.message, `Nothing of it was used: deno task inspect "${set}" tells`);
        await Deno.writeFile(path, whole);
      }
      await Deno.remove(path);
      const error = await assertRejects(() => run({ until: "pretrain" }), ShardError);
      assertStringIncludes(error.message, path);
      assertStringIncludes(error.message, `deno task inspect "${set}" tells`);
      assertEquals(readMetrics(join(folder, "run", "metrics.jsonl")).filter(({ stage }) => stage === "pretrain"), []);
      // What inspect says.
      await Deno.remove(join(set, "manifest.json"));
      assertEquals(worked(await run({ until: "pretrain" })), [kind === "frames" ? "prepare" : "teach", "pretrain"]);
      assertEquals(await Deno.readFile(path), whole);
    });
  });
}
