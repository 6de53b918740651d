/** The released fine-tuning recipe as the presets have it, and what it leaves alone. */
import { assertAlmostEquals, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { presets } from "../../pipeline/presets/mod.ts";
import { TrainingOrder } from "../../pipeline/row_order.ts";
import { trainingSchedule } from "../../pipeline/schedule.ts";
import { resolveSettings, SettingsError } from "../../pipeline/settings.ts";
import { finetuneStep } from "../../pipeline/stages/programs.ts";
import { settingsByFlag } from "../../pipeline/_setting_list.ts";

const resolved = (preset: string, flags: Record<string, unknown> = {}) =>
  resolveSettings({ preset, flags, withoutData: true }).settings;

// Videos of a step, epochs, steps of an epoch, peak rate: the released scripts; ViT-S on Kinetics as on 32 GPUs.
const RELEASED = {
  "ssv2-vit-s": [256, 40, 659, 1e-3],
  "ssv2-vit-b": [256, 30, 659, 5e-4],
  "k400-vit-s": [512, 150, 469, 2e-3],
  "k400-vit-b": [512, 90, 469, 1.4e-3],
} as const;

for (const [preset, [videos, epochs, stepsPerEpoch, peak]] of Object.entries(RELEASED)) {
  Deno.test(`${preset} fine-tunes by the released schedule and augmentation`, () => {
    const { finetune } = resolved(preset);
    const { repeatedAugmentation: copies } = finetune;
    assertEquals([finetune.batch / copies, copies, finetune.epochs, finetune.warmupEpochs], [videos, 2, epochs, 5]);
    const schedule = trainingSchedule(finetune, presets.get(preset)!.published!.trainClips * copies);
    assertEquals([schedule.steps, schedule.warmupSteps], [epochs * stepsPerEpoch, 5 * stepsPerEpoch]);
    assertAlmostEquals(schedule.peak, peak, 1e-12);
    assertAlmostEquals(schedule.final, 1e-6 * videos / 256, 1e-12);
    const { randAugment, randomCrop, flip, erasing, mixup, cutmix, mixupProb, mixupSwitch, ema } = finetune;
    assertEquals(
      [randAugment, randomCrop, flip, erasing, mixup, cutmix, mixupProb, mixupSwitch, ema],
      ["rand-m7-n4-mstd0.5-inc1", true, preset.startsWith("ssv2") ? 0 : 0.5, 0.25, 0.8, 1, 1, 0.5, null],
    );
  });
}

Deno.test("the demo's step mixes clips and changes them in no other way; a step without that takes them as they are", () => {
  const step = finetuneStep(resolved("demo"), 8, "f32");
  assertEquals(step.data.map(({ name }) => name), ["cubes", "targets", "mix", "cut_box"]);
  const plain = finetuneStep(resolved("demo", { mixup: "0", cutmix: "0" }), 8, "f32");
  assertEquals(plain.data.map(({ name }) => name), ["cubes", "targets"]);
  assertEquals(step.averages, false);
});

Deno.test("a clip's copies stand side by side in an epoch, in the order of the epoch without copies", () => {
  const options = { items: Uint32Array.of(4, 7, 9), views: 2, seed: 3 };
  const once = new TrainingOrder(options), twice = new TrainingOrder({ ...options, copies: 2 });
  assertEquals(twice.epochLength, 6);
  for (let position = 0; position < 12; position++) {
    assertEquals(twice.rowAt(position), once.rowAt(Math.floor(position / 2)));
    assertEquals(twice.epochOf(position), Math.floor(position / 6));
    assertEquals(twice.copyOf(position), position % 2);
  }
  assertThrows(() => new TrainingOrder({ ...options, copies: 0 }), RangeError, "1 or more copies");
});

Deno.test("what cannot be augmented is refused with what mends it", () => {
  const problem = (flags: Record<string, unknown>) =>
    assertThrows(() => resolved("demo", flags), SettingsError).problems.join("; ");
  assertStringIncludes(problem({ "repeated-augmentation": "3" }), "take a multiple of 3");
  assertStringIncludes(problem({ "finetune-batch": "2", "repeated-augmentation": "2", mixup: "0.8" }), "single video");
  assertStringIncludes(problem({ "rand-augment": "rand-m7-n4" }), "rand-mM-nN-mstdS-inc1");
  assertStringIncludes(problem({ ema: "1" }), "above 0 and below 1");
});

Deno.test("every flag that the page on fine-tuning names is there", async () => {
  const page = await Deno.readTextFile(new URL("../../docs/finetune.md", import.meta.url));
  const known = new Set([...settingsByFlag.keys(), "from", "preset", "classifier"]);
  for (const [, flag] of page.matchAll(/`?--([a-z][a-z0-9-]*)/g)) assertEquals(known.has(flag!), true, flag!);
});
