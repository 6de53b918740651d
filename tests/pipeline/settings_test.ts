/** Settings: layers and origins, complete error lists, what a stage depends on, and presets that hold together. */
import { assert, assertEquals, assertFalse, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import {
  badClipLimit,
  describeFlags,
  flattenSettings,
  resolveSettings,
  resultSettings,
  type Settings,
  SettingsError,
  type SettingsSources,
  STAGES,
} from "../../pipeline/settings.ts";
import { demo } from "../../pipeline/presets/demo.ts";
import { nearestName } from "../../pipeline/nearest_name.ts";
import { presets } from "../../pipeline/presets/mod.ts";

const problemsOf = (sources: SettingsSources): readonly string[] =>
  assertThrows(() => resolveSettings(sources), SettingsError).problems;

/** Flags on a data set of one's own, so that the defaults and not the demo preset apply. */
const own = (flags: Record<string, unknown>): SettingsSources => ({ flags: { data: "list.csv", ...flags } });

Deno.test("without arguments the demo preset is taken, into a run folder of its name", () => {
  const { settings, origins, preset } = resolveSettings({ flags: {} });
  assertEquals(preset, "demo");
  assertEquals(settings.student.width, demo.settings.student?.width);
  assertEquals(origins["student.width"], "preset");
  assertEquals(origins["run.seed"], "default");
  assertEquals(settings.run.run, "runs/demo");
  assertEquals(resolveSettings(own({})).settings.run.run, "runs/tubelet");
});

Deno.test("a task's usual presets give way to a preset by name, and to the file's", () => {
  const usual = { demo: "image-demo", own: "imagenet-vit-s" };
  assertEquals(resolveSettings({ usual, flags: {} }).settings.run.run, "runs/image-demo");
  assertEquals(resolveSettings({ usual, flags: { data: "x" } }).preset, "imagenet-vit-s");
  assertEquals(resolveSettings({ usual, preset: "image-demo", flags: { data: "x" } }).preset, "image-demo");
  assertEquals(resolveSettings({ usual, file: { preset: "demo" }, flags: {} }).preset, "demo");
});

Deno.test("a flag wins over the file, the file over the preset, the preset over the default", () => {
  const { settings, origins } = resolveSettings({
    preset: "demo",
    file: { student: { width: 48, depth: 5 }, pretrain: { batch: 16 } },
    flags: { "student-width": "24", seed: 7, quiet: undefined },
  });
  assertEquals([settings.student.width, settings.student.depth, settings.student.heads], [24, 5, 2]);
  assertEquals(settings.pretrain.batch, 16);
  assertEquals(settings.run.seed, 7);
  assertEquals(
    ["student.width", "student.depth", "student.heads", "run.seed", "run.quiet"].map((path) => origins[path]),
    ["flag", "file", "preset", "flag", "default"],
  );
});

Deno.test("values keep their types, and words become the literal types of the schema", () => {
  const { settings } = resolveSettings(own({
    "student-layers": "3,12",
    "clip-norm": "none",
    "normalize-targets": true,
    "pretrain-base-lr": "1e-3",
    "max-bad": "12",
  }));
  assertEquals(settings.alignment.studentLayers, [3, 12]);
  assertEquals(settings.pretrain.clipNorm, null);
  assertEquals(settings.alignment.normalizeTargets, true);
  assertEquals(settings.pretrain.baseLr, 0.001);
  const engine: "auto" | "xla" | "tfjs" = settings.run.engine;
  assertEquals(engine, "auto");
});

Deno.test("a run's own config.json is a settings file", () => {
  const first = resolveSettings({ preset: "demo", flags: { seed: 3 } });
  const again = resolveSettings({ file: JSON.parse(JSON.stringify(first)).settings, flags: {} });
  assertEquals(again.settings, first.settings);
  const config = { preset: "demo", settings: { run: { seed: 5 } }, origins: {} };
  assertEquals(resolveSettings({ file: config, flags: {} }).settings.run.seed, 5);
});

Deno.test("every problem is reported at once, with the flag, what was found and what was expected", () => {
  const problems = problemsOf({
    file: { studnet: {}, student: { width: "wide", heds: 2 }, clip: 7 },
    flags: { data: "x", frames: "0", sede: "1", "drop-path": "1.5", engine: "jax", seed: "", quiet: "perhaps" },
  });
  assertEquals(
    [...problems].sort(),
    [
      "--drop-path is 1.5: expected a number from 0 to 0.99",
      '--engine is "jax": expected auto | xla | tfjs',
      "--frames is 0: expected a whole number from 1 to 256, in frames",
      '--quiet is "perhaps": expected true or false',
      "--seed is empty: expected a whole number from 0 to 4294967296",
      "There is no flag --sede; did you mean --seed",
      'student.width (--student-width) in the settings file is "wide": expected a whole number from 8 to 8192',
      'the settings file has no group "studnet"; did you mean student',
      'the settings file has no setting "student.heds"; did you mean student.heads',
      'the settings file holds a number as "clip": expected an object of settings',
    ].sort(),
  );
});

Deno.test("files that are no settings and presets that do not exist are refused", () => {
  assertMatch(problemsOf({ file: [1], flags: {} })[0] ?? "", /holds an array: expected an object/);
  assertMatch(problemsOf({ preset: "k400-vit-m", flags: {} })[0] ?? "", /did you mean k400-vit-s; there are demo, /);
  assertMatch(problemsOf({ preset: "k400-vit-s", flags: {} })[0] ?? "", /name them with --data LIST/);
  assertMatch(problemsOf({ file: { preset: 3 }, flags: {} })[0] ?? "", /"preset" in the settings file is 3/);
  assertMatch(problemsOf({ file: JSON.parse('{"__proto__": {"x": 1}}'), flags: {} })[0] ?? "", /no group "__proto__"/);
  assertMatch(problemsOf({ flags: { constructor: 1 } })[0] ?? "", /no flag --constructor/);
  assertFalse(Object.hasOwn(Object.prototype, "x"));
});

Deno.test("impossible combinations are named by their flags", () => {
  const cases: [Record<string, unknown>, RegExp][] = [
    [{ size: 200 }, /^--size is 200, which --patch 16 does not divide$/],
    [{ frames: 15 }, /^--frames is 15, which --tubelet 2 does not divide$/],
    [{ "student-heads": 5 }, /^--student-width is 384, which --student-heads 5/],
    [{ "student-decoder-heads": 5 }, /^--student-decoder-width is 192/],
    [{ "teacher-heads": 3 }, /^--teacher-width is 1024/],
    [{ "teacher-decoder-heads": 3 }, /^--teacher-decoder-width is 512/],
    [{ "teacher-ratio": 0.9 }, /hides as much as --student-ratio 0.9 or more/],
    [{ "student-ratio": 1 }, /^--student-ratio 1 hides all of the 196 positions/],
    // 0.752 and 0.75 of 196 both hide 147.
    [{ "student-ratio": 0.752 }, /hide equally many of the 196 positions/],
    [{ "student-layers": "12" }, /are 1 and 2 blocks/],
    [{ "student-layers": "6,13" }, /^--student-layers names block 13, but --student-depth is 12$/],
    [{ "teacher-layers": "12,25" }, /^--teacher-layers names block 25, but --teacher-depth is 24$/],
    [{ "pretrain-epochs": 39 }, /^--pretrain-warmup-epochs 40 is more than --pretrain-epochs 39$/],
    [{ "teacher-epochs": 39 }, /^--teacher-warmup-epochs 40 is more than --teacher-epochs 39$/],
    [{ "finetune-min-lr": 1 }, /^--finetune-min-lr 1 is above --finetune-base-lr 0.0005$/],
    [{ pooling: "class" }, /^--pooling class needs the class token of --form mae$/],
    [{ form: "mae" }, /^--form mae sees pictures, .* found --frames 16 and --tubelet 2, take 1 and 1$/],
    [
      { form: "mae", frames: 1, tubelet: 1, "student-width": 390 },
      /^--student-width is 390: the positions of --form mae need a multiple of 4$/,
    ],
    [{ engine: "tfjs", precision: "bf16" }, /f32 only/],
    [{ engine: "tfjs", device: "tpu" }, /found --device tpu/],
    [
      { accumulate: 3, "finetune-batch": 33, "teacher-batch": 66 },
      /^--pretrain-batch is 64, which --accumulate 3 does not/,
    ],
    [{ only: "teach", until: "pretrain" }, /leave --from and --until out/],
    [{ from: "pretrain", until: "teach" }, /^--from pretrain comes after --until teach/],
  ];
  for (const [flags, expected] of cases) {
    const problems = problemsOf(own(flags));
    assertEquals(problems.length, 1, `${Deno.inspect(flags)}: ${problems}`);
    assertMatch(problems[0] ?? "", expected);
  }
  assertMatch(problemsOf({ flags: { val: "val.csv" } })[0] ?? "", /^--val needs --data/);
  assertMatch(problemsOf(own({ "student-layers": "6,6" }))[0] ?? "", /ascending/);
});

Deno.test("the message of several problems lists them, and the exit code is 2", () => {
  const error = assertThrows(() => resolveSettings(own({ size: 200, frames: 15 })), SettingsError);
  assertEquals(error.exitCode, 2);
  assertStringIncludes(error.message, "2 settings cannot be used:\n  --size is 200");
});

Deno.test("every setting has a unique flag, a sentence without a full stop and a range", () => {
  const flags = describeFlags();
  assertEquals(new Set(flags.map((f) => f.flag)).size, flags.length);
  for (const { flag, about, range } of flags) {
    assertMatch(flag, /^[a-z0-9]+(-[a-z0-9]+)*$/);
    assertMatch(about, /^[A-Z].*[^.]$/, flag);
    assert(range.length > 0);
  }
  const names = flags.map((f) => f.flag);
  for (
    const name of ["data", "videos", "teacher", "student-width", "pretrain-epochs", "teacher-mode", "views", "run"]
  ) {
    assert(names.includes(name), `--${name} is missing`);
  }
});

Deno.test("a stage depends on the settings that change its result and on no others", () => {
  const base = resolveSettings(own({})).settings;
  const changed = (flags: Record<string, unknown>): string[] => {
    const other = resolveSettings(own(flags)).settings;
    return STAGES.filter((stage) => {
      return JSON.stringify(resultSettings(base, stage)) !== JSON.stringify(resultSettings(other, stage));
    });
  };
  assertEquals(changed({ lanes: 8, run: "a", cache: "b", quiet: true, json: true, "checkpoint-steps": 7 }), []);
  assertEquals(changed({ videos: "elsewhere", "max-bad": "50%", "allow-change": true, "teach-batch": 8 }), []);
  assertEquals(changed({ size: 112 }), ["prepare"]);
  assertEquals(changed({ "student-ratio": 0.8 }), ["train-teacher", "pretrain"]);
  assertEquals(changed({ "teacher-ratio": 0.5 }), ["teach", "pretrain"]);
  assertEquals(changed({ "finetune-epochs": 30 }), ["finetune"]);
  assertEquals(changed({ "student-decoder-depth": 2 }), ["pretrain"]);
  assertEquals(resultSettings(base, "demo"), {
    demo: { kind: "digits", trainClips: 4000, valClips: 500, clipFrames: 8, clipSize: 64, demoSeed: 0 },
  });
});

Deno.test("flattenSettings() gives copies in the order of the schema", () => {
  const { settings } = resolveSettings(own({}));
  const flat = flattenSettings(settings);
  assertEquals([...flat.keys()], describeFlags().map((f) => f.path));
  (flat.get("alignment.studentLayers") as number[]).push(99);
  assertEquals(settings.alignment.studentLayers, [6, 12]);
});

Deno.test("badClipLimit() reads shares and counts", () => {
  assertEquals(badClipLimit("1%", 250), 2);
  assertEquals(badClipLimit("100%", 7), 7);
  assertEquals(badClipLimit("0%", 7), 0);
  assertEquals(badClipLimit("12", 250), 12);
  for (const bad of ["101%", "-1", "0.5", "1.5", "many", "%"]) {
    assertEquals(problemsOf(own({ "max-bad": bad })).length, 1);
  }
});

Deno.test("every preset resolves, and the published recipes have the published peak rates and steps", () => {
  const resolved = (name: string): Settings => resolveSettings({ preset: name, flags: { data: "x" } }).settings;
  for (const name of presets.keys()) resolved(name);
  // Peak rate = base * batch / 256; epochs * floor(items / batch) within 1 % of the official step count.
  const expected: [string, number, number, number, number, number][] = [
    ["ssv2-vit-s", 168_913, 2.4e-3, 65_800, 1e-3, 26_360],
    ["ssv2-vit-b", 168_913, 2.4e-3, 65_800, 5e-4, 19_770],
    ["k400-vit-s", 240_436, 2.4e-3, 93_800, 2e-3, 70_350],
    ["k400-vit-b", 240_436, 2.4e-3, 93_800, 1.4e-3, 42_210],
  ];
  for (const [name, items, peak, steps, tunePeak, tuneSteps] of expected) {
    const { pretrain, finetune } = resolved(name);
    const near = (a: number, b: number, share: number) =>
      assert(Math.abs(a - b) <= share * b, `${name}: ${a} and ${b}`);
    near(pretrain.baseLr * pretrain.batch / 256, peak, 1e-12);
    near(pretrain.minLr * pretrain.batch / 256, 2e-5, 1e-12);
    near(pretrain.epochs * Math.floor(items / pretrain.batch), steps, 0.01);
    near(finetune.baseLr * finetune.batch / 256, tunePeak, 1e-12);
    near(finetune.epochs * Math.floor(items * finetune.repeatedAugmentation / finetune.batch), tuneSteps, 0.01);
  }
});

Deno.test("nearestName() forgives a swap, a missing and a wrong letter, and no more", () => {
  const names = ["seed", "engine", "student-width"];
  assertEquals(["sede", "engin", "student-wdith", "studentwidth", "xyzzy"].map((name) => nearestName(name, names)), [
    "seed",
    "engine",
    "student-width",
    "student-width",
    undefined,
  ]);
});

Deno.test("every batch that the devices do not divide is named, and TensorFlow.js has one device", () => {
  assertEquals(problemsOf(own({ devices: "3", "pretrain-batch": "63", "finetune-batch": "48" })), [
    "--teacher-batch is 64, which --devices 3 does not divide: take a multiple of 3",
    "--teach-batch is 32, which --devices 3 does not divide: take a multiple of 3",
    "--eval-batch is 64, which --devices 3 does not divide: take a multiple of 3",
  ]);
  assertEquals(problemsOf(own({ devices: "2", engine: "tfjs" })), [
    "--engine tfjs runs on one device: found --devices 2",
  ]);
  const { settings } = resolveSettings(own({ devices: "8" }));
  assertEquals(resultSettings(settings, "pretrain"), resultSettings(resolveSettings(own({})).settings, "pretrain"));
});
