/** Plans: numbers that can be checked by hand, and the bytes of a real run. */
import { assert, assertAlmostEquals, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { runChain } from "../../pipeline/chain.ts";
import { ASSUMED_RATES, HERE, type Plan, planRun } from "../../pipeline/plan.ts";
import { misfits } from "../../pipeline/_plan_fit.ts";
import { planFor } from "../../pipeline/plan_task.ts";
import { silentProgress } from "../../pipeline/progress.ts";
import { resolveSettings, SettingsError } from "../../pipeline/settings.ts";
import { planLines } from "../../tasks/_plan_lines.ts";
import { tfjsEngine } from "../models/_engines.ts";
import { tinyFlags } from "./_tiny_run.ts";

const resolve = (preset: string, flags: Record<string, unknown> = {}) =>
  resolveSettings({ preset, flags, withoutData: true });
const plan = (preset: string, flags: Record<string, unknown> = {}, clips?: number) =>
  planRun({ resolved: resolve(preset, flags), clips, diskRate: 1e9 });
const stage = ({ stages }: Plan, name: string) => stages.find((planned) => planned.stage === name)!;

/** Of a block without its key bias. */
const block = (width: number) => 12 * width ** 2 + 4 * width + 9 * width - width;
/** Of a pixel decoder of cubes of 1,536 numbers. */
const decoderParameters = (width: number, depth: number) => depth * block(width) + 2 * width + width * 1536 + 1536;

Deno.test("the plan of ViT-S on Something-Something is what a sheet of paper says", async () => {
  const found = await plan("ssv2-vit-s", { teacher: "vit-l.safetensors" });
  assertEquals(found.clips, {
    train: 168_913,
    val: 24_777,
    classes: 174,
    source: "the published size, names of 11 bytes",
  });
  assertEquals(found.stages.map(({ stage }) => stage), ["teach", "pretrain", "finetune", "evaluate", "probe"]);
  // floor(168,913 / 2,048) = 82 steps an epoch.
  const pretrain = stage(found, "pretrain");
  assertEquals([pretrain.batch, pretrain.steps], [2048, 82 * 800]);
  // Encoder 21,879,936; narrowing 384 x 192, mask token 192; decoder of 4 x (12 x 192^2 + 9 x 192 + 2 x 192 less its
  // key bias), norm, head 192 x 1,536; two projections 384 x 1,024 and tokens; two generators of two blocks 1,024 wide.
  const decoder = 384 * 192 + 192 + decoderParameters(192, 4);
  const alignment = 2 * (384 * 1024 + 1024 + 2 * block(1024));
  assertEquals(pretrain.parameters, 21_879_936 + decoder + alignment);
  // The method's own multiply-adds: encoder 3.6, pixel decoder 6.6, generators 2 x 10.5; then ends and projections.
  const ends = 160 * 1536 * 384 + 160 * 384 * 192 + 1408 * 192 * 1536 + 2 * 160 * 384 * 1024;
  // The last block of decoder and generators leaves out queries, projection and MLP of the 160 tokens that nobody reads.
  const unread = (width: number, tokens: number) => 160 * 10 * width ** 2 + 2 * 160 * tokens * width;
  const forward = 3.63e9 + 6.55e9 - unread(192, 1568) + 2 * (10.49e9 - unread(1024, 392)) + ends;
  // The way back costs twice as much, but for the pixels, which need no gradient.
  assertAlmostEquals(pretrain.gflopPerClip, 2 * (3 * forward - 160 * 1536 * 384) / 1e9, 0.2);
  assertAlmostEquals(stage(found, "teach").gflopPerClip, 2 * (125.9 + 392 * 1536 * 1024 / 1e9), 0.1);
  assertAlmostEquals(stage(found, "evaluate").gflopPerClip, 2 * 57, 0.5);
  // A view is 1,568 cubes of 1,536 bytes; features are two levels of 392 x 1,024 float16.
  const frames = (found.views.train + found.views.val) * 1568 * 1536;
  const features = 168_913 * 4 * 2 * 392 * 1024 * 2;
  assert(found.disk.frameBytes > frames && found.disk.frameBytes < frames * 1.001, `${found.disk.frameBytes}`);
  assert(found.disk.featureBytes > features && found.disk.featureBytes < features * 1.001);
  const [device, rate] = [...ASSUMED_RATES][0]!;
  assertAlmostEquals(pretrain.hours[device]!, 82 * 800 * pretrain.gflopPerStep * 1e9 / rate / 3600, 1e-9);
});

Deno.test("cached or online is decided by computing saved against bytes moved", async () => {
  const teacherMode = (await plan("ssv2-vit-s")).teacherMode!;
  assertEquals([teacherMode.viewsTaught, teacherMode.clipsSeen], [4 * 168_913, 82 * 800 * 2048]);
  const { verdicts, bytesRead, bytesWritten, teacherGflopPerClip } = teacherMode;
  for (const { device, computeHoursSaved, transferHours, breakEvenBytesPerSecond, cheaper } of verdicts) {
    const flop = (82 * 800 * 2048 - 4 * 168_913) * teacherGflopPerClip * 1e9;
    assertAlmostEquals(computeHoursSaved, flop / ASSUMED_RATES.get(device)! / 3600, 1e-9);
    assertAlmostEquals(transferHours, (bytesRead + bytesWritten) / 1e9 / 3600, 1e-6);
    assertEquals(cheaper, breakEvenBytesPerSecond! < 1e9 ? "cached" : "online");
  }
  // One epoch sees each clip once: the cache cannot save anything.
  const once = await plan("ssv2-vit-s", { "pretrain-epochs": 1, "pretrain-warmup-epochs": 0, views: 1 });
  assertEquals(once.teacherMode!.verdicts.map((v) => [v.cheaper, v.breakEvenBytesPerSecond]), [
    ["online", null],
    ["online", null],
  ]);
});

Deno.test("what does not run is not planned, and --clips stands for a list only where one is missing", async () => {
  const online = await plan("k400-vit-b", { "teacher-mode": "online", teacher: "t.safetensors" }, 1000);
  assertEquals([online.clips.train, online.clips.val], [900, 100]);
  assertEquals(online.stages.map(({ stage }) => stage), ["pretrain", "finetune", "evaluate", "probe"]);
  assertEquals(online.disk.featureBytes, 0);
  assert(stage(online, "pretrain").gflopPerClip > stage(await plan("k400-vit-b"), "pretrain").gflopPerClip + 253);
  await assertRejects(() => plan("demo", {}, 1000), SettingsError, "--train-clips");
});

Deno.test("without a teacher none is planned: from pixels alone, or with a student that is given", async () => {
  const pixels = await plan("ssv2-vit-s", { method: "videomae" });
  assertEquals(pixels.stages.map(({ stage }) => stage), ["pretrain", "finetune", "evaluate", "probe"]);
  assertEquals([pixels.disk.featureBytes, pixels.teacherMode], [0, null]);
  // No projections and no generators: what is left of the paper's sum above.
  assertEquals(stage(pixels, "pretrain").parameters, 21_879_936 + 384 * 192 + 192 + decoderParameters(192, 4));
  assert(!planLines(pixels).some((line) => line.startsWith("teacher")));

  // A file tells its own sizes: 32 wide, 3 blocks, cubes of 2 x 8 x 8, whatever the preset says.
  const weights = "tests/fixtures/golden/videomae-pretrain-hf.safetensors";
  const given = await plan("ssv2-vit-s", { student: weights, size: 32, "student-heads": 4 });
  assertEquals(given.stages.map(({ stage }) => stage), ["finetune", "evaluate", "probe"]);
  assertEquals([given.disk.featureBytes, given.teacherMode], [0, null]);
  assertEquals(stage(given, "probe").parameters, 384 * 32 + 32 + 3 * block(32));
  await assertRejects(() => plan("ssv2-vit-s", { student: "none.pth" }), SettingsError, "--student none.pth cannot be");
});

Deno.test("shards have the bytes that were planned, and measured steps come with hours for this machine", async () => {
  const folder = await Deno.makeTempDir({ prefix: "tubelet_plan_" });
  try {
    const resolved = resolveSettings({ preset: "demo", flags: { ...tinyFlags(folder), until: "teach" } });
    const measure = {
      engine: await tfjsEngine(),
      steps: 1,
      freeBytes: 600_000,
      signal: new AbortController().signal,
      now: () => performance.now(),
      progress: silentProgress,
    };
    const planned = await planRun({ resolved, diskRate: 1e9, measure });
    const { summary } = await runChain({
      resolved,
      command: ["pretrain-video"],
      signal: measure.signal,
      progress: silentProgress,
      print: () => {},
      warn: () => {},
    });
    const { frameBytes, featureBytes, shards } = planned.disk;
    assertEquals([frameBytes + featureBytes, shards], [summary.data!.bytes, summary.data!.shards]);
    for (const { stage, steps, hours, measured, unmeasured, memory } of planned.stages) {
      assertEquals(unmeasured !== null, memory.total > measure.freeBytes, stage);
      if (!measured) continue;
      assertAlmostEquals(hours[HERE]! * 3600, steps * measured.stepSeconds + measured.compileSeconds, 1e-9);
    }
    assert(planned.stages.some(({ measured }) => measured) && planned.stages.some(({ unmeasured }) => unmeasured));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("what fits neither on the disk nor into memory is named with what mends it", () => {
  const disk = {
    shards: 3,
    frameBytes: 6e12,
    featureBytes: 3e12,
    checkpointBytes: 1e12,
    totalBytes: 10e12,
    freeBytes: 8e12,
    fits: false,
  };
  const stage = (stage: string, total: number, unmeasured: string | null = null) => ({
    stage,
    memory: { total },
    unmeasured,
  });
  const stages = [stage("teach", 5e9), stage("pretrain", 40e9), stage("finetune", 9e9, "finetune needs 9 GB")];
  const found = misfits(disk, stages, { heldBytes: 1.5e12, memoryBytes: 16e9 });
  assertEquals(found.length, 3);
  assertStringIncludes(found[0]!, "10.0 TB of shards and checkpoints do not fit on the disk, where 9.50 TB are free");
  assertStringIncludes(found[1]!, "pretrain needs about 40.0 GB of memory, there are 16.0 GB: take a smaller batch");
  assertEquals(found[2], "finetune needs 9 GB");
  // Shards that are there already need no room again, a disk and a memory that are not known are not judged.
  assertEquals(misfits(disk, [], { heldBytes: 2e12, memoryBytes: null }), []);
  assertEquals(misfits({ ...disk, freeBytes: null }, stages.slice(0, 2), { heldBytes: 0, memoryBytes: null }), []);
});

Deno.test("cached or online is decided by the rates of this disk and of steps on this machine where they are measured", async () => {
  const folder = await Deno.makeTempDir({ prefix: "tubelet plan ü " });
  try {
    const request = {
      resolved: resolveSettings({ preset: "demo", flags: tinyFlags(folder) }),
      clips: undefined,
      diskRate: undefined,
      measure: true,
      signal: new AbortController().signal,
      progress: silentProgress,
      warn: () => {},
    };
    const { stages, teacherMode, misfits } = await planFor(request);
    const { diskRateFrom, diskBytesPerSecond, bytesWritten, bytesRead, verdicts } = teacherMode!;
    assertEquals([diskRateFrom, misfits], ["measured", []]);
    const here = verdicts.find(({ device }) => device === HERE)!;
    assertAlmostEquals(here.transferHours * 3600, (bytesWritten + bytesRead) / diskBytesPerSecond, 1e-9);
    const teach = stages.find(({ stage }) => stage === "train-teacher" || stage === "teach")!;
    assert(teach.measured!.stepSeconds > 0);
    assertEquals(here.cheaper, here.computeHoursSaved > here.transferHours ? "cached" : "online");
    assertEquals([...Deno.readDirSync(folder)], []);

    const rateOf = async (diskRate: unknown) => {
      const { teacherMode } = await planFor({ ...request, diskRate, measure: false });
      return [teacherMode!.diskRateFrom, teacherMode!.diskBytesPerSecond];
    };
    assertEquals([await rateOf("250"), await rateOf(undefined)], [["given", 250e6], ["assumed", 1e9]]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
