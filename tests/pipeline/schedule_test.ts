/** Schedules against the official code's numbers (golden/schedules.json) and by hand. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { epochRate, scaledRate, type Schedule, scheduleValue, trainingSchedule } from "../../pipeline/schedule.ts";

interface Recipe {
  base_lr: number;
  min_lr_option: number;
  videos_per_step: number;
  epochs: number;
  warmup_epochs: number;
  items: number;
  steps_per_epoch: number;
  length: number;
  sum: number;
  step: number[];
  value: number[];
}
interface Tiny {
  arguments: {
    base_value: number;
    final_value: number;
    epochs: number;
    niter_per_ep: number;
    warmup_epochs?: number;
    warmup_steps?: number;
    start_warmup_value?: number;
  };
  values: number[];
}
interface Golden {
  scaling: { examples: { base_lr: number; videos_per_step: number; lr: number }[] };
  recipes: Record<string, Recipe>;
  tiny: Record<string, Tiny>;
  "image-mae": { lr: number; min_lr: number; warmup_epochs: number; epochs: number; epoch: number[]; value: number[] };
}

const folder = Deno.env.get("GOLDEN_DIR") ?? `${import.meta.dirname}/../fixtures/golden`;
const golden: Golden = JSON.parse(await Deno.readTextFile(`${folder}/schedules.json`));

const RTOL = 1e-12;
const near = (actual: number, expected: number, what: string) =>
  assertAlmostEquals(actual, expected, RTOL * Math.abs(expected), what);
const values = (schedule: Schedule): number[] =>
  Array.from({ length: schedule.steps }, (_, step) => scheduleValue(schedule, step));

for (const [name, recipe] of Object.entries(golden.recipes)) {
  Deno.test(`the schedule of ${name} is the official one at every checked step, and in sum`, () => {
    const schedule = trainingSchedule({
      epochs: recipe.epochs,
      warmupEpochs: recipe.warmup_epochs,
      batch: recipe.videos_per_step,
      baseLr: recipe.base_lr,
      minLr: recipe.min_lr_option,
    }, recipe.items);
    assertEquals(schedule.stepsPerEpoch, recipe.steps_per_epoch);
    assertEquals(schedule.steps, recipe.length);
    recipe.step.forEach((step, i) => near(scheduleValue(schedule, step), recipe.value[i]!, `step ${step}`));
    near(values(schedule).reduce((sum, value) => sum + value, 0), recipe.sum, "sum");
  });
}

for (const [name, { arguments: args, values: expected }] of Object.entries(golden.tiny)) {
  Deno.test(`the tiny schedule "${name}" is the official one`, () => {
    const actual = values({
      peak: args.base_value,
      final: args.final_value,
      steps: args.epochs * args.niter_per_ep,
      warmupSteps: args.warmup_steps ?? (args.warmup_epochs ?? 0) * args.niter_per_ep,
      start: args.start_warmup_value ?? 0,
    });
    assertEquals(actual.length, expected.length);
    actual.forEach((value, i) => near(value, expected[i]!, `step ${i}`));
  });
}

Deno.test("rates scale with the batch as in the official scripts", () => {
  assert(golden.scaling.examples.length > 0);
  for (const { base_lr, videos_per_step, lr } of golden.scaling.examples) {
    near(scaledRate(base_lr, videos_per_step), lr, `${base_lr} at ${videos_per_step}`);
  }
});

Deno.test("the image MAE schedule is the official one", () => {
  const { lr, min_lr, warmup_epochs, epochs, epoch, value } = golden["image-mae"];
  const rates = { peak: lr, final: min_lr, epochs, warmupEpochs: warmup_epochs };
  // The last value is 1e-14: 1 + cos loses its digits there, in the official code too.
  epoch.forEach((at, i) =>
    assertAlmostEquals(epochRate(rates, at), value[i]!, 1e-12 * value[i]! + 1e-18, `epoch ${at}`)
  );
});

Deno.test("a warm-up of the whole run rises to the peak, one of a single step stays at the start", () => {
  assertEquals(values({ peak: 2, final: 0, steps: 3, warmupSteps: 3 }), [0, 1, 2]);
  assertEquals(values({ peak: 2, final: 0, steps: 2, warmupSteps: 1 }), [0, 2]);
});

Deno.test("steps outside the run, too long warm-ups and too few clips are refused", () => {
  const schedule = { peak: 1, final: 0, steps: 2 };
  assertThrows(() => scheduleValue(schedule, 2), RangeError, "Step 2 lies outside a run of 2 steps");
  assertThrows(() => scheduleValue(schedule, -1), RangeError);
  assertThrows(() => scheduleValue({ ...schedule, warmupSteps: 3 }, 0), RangeError, "cannot have 3 warm-up steps");
  const rates = { epochs: 1, warmupEpochs: 0, batch: 8, baseLr: 1, minLr: 0 };
  assertEquals(trainingSchedule(rates, 7).stepsPerEpoch, 1);
  assertThrows(() => trainingSchedule(rates, 0), RangeError, "A training needs at least 1 clip: found 0");
});
