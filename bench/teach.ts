/**
 * The stage that fills the teacher's cache, from frame shards to sealed feature shards, beside the bare program: upload,
 * forward pass and read-back of one batch after another. The ratio is the share of its time that the stage spends in the
 * step.
 *
 *     deno task bench teach [--filter teach-demo] [--rounds 3]
 */
import { openEngine } from "../models/runtime/open_engine.ts";
import { initialParameters } from "../models/parameters.ts";
import { StepRunner } from "../pipeline/_step_runner.ts";
import { median } from "../pipeline/median.ts";
import { uniforms } from "../pipeline/random.ts";
import { resolveSettings } from "../pipeline/settings.ts";
import { teacherFeatures } from "../pipeline/stages/programs.ts";
import { computeType, cubeSize, maskSizes, tokenGrid } from "../pipeline/stages/stage_context.ts";
import { teach } from "../pipeline/stages/teach.ts";
import type { Teacher } from "../pipeline/stages/teacher.ts";
import type { Bench, BenchContext, Measured } from "./_bench.ts";
import { makeFrames, temporaryFolder } from "./_made_shards.ts";

/** The demo's teacher, and ViT-B at the published sizes. */
const WORKS = {
  demo: { preset: "demo", batch: 64, views: 4096 },
  B: { preset: "ssv2-vit-s", batch: 4, views: 48 },
} as const;

export const bench: Bench = {
  about: "Filling the teacher's cache, in views a second",
  rows: (["demo", "B"] as const).map((name) => ({
    name: `teach-${name}`,
    unit: "views/s",
    measure: (context: BenchContext) => measure(name, context),
  })),
};

async function measure(name: keyof typeof WORKS, context: BenchContext): Promise<Measured> {
  const { preset, batch, views } = WORKS[name], warn = context.say;
  const sizes = name === "B" ? { width: 768, depth: 12, heads: 12 } : {};
  const file = { teach: { batch }, teacher: sizes, ...(name === "B" && { alignment: { teacherLayers: [6, 12] } }) };
  const { settings } = resolveSettings({ preset, file, flags: { data: "made" } });
  await using engine = await openEngine({ engine: "xla", warn });
  const compute = computeType(settings, engine);
  const teacher: Teacher = {
    name: "bench",
    sha256: "0".repeat(64),
    parameters: (specs) =>
      Promise.resolve(initialParameters(specs, (count, name) => uniforms(count, 0, "bench teacher", name))),
  };
  using runner = await StepRunner.open(engine, teacherFeatures(settings, compute), {
    sizes: maskSizes(settings),
    seed: 0,
  });
  const steps = views / batch, stage: number[] = [], bare: number[] = [];
  await runner.run();
  for (let round = 0; round < context.rounds; round++) {
    const times: number[] = [];
    for (let step = 0; step < steps; step++) times.push(await runner.run());
    bare.push(batch / median(times));
    using folder = temporaryFolder();
    const { slots, rows, columns } = tokenGrid(settings), { tubelet, patch } = cubeSize(settings);
    using frames = await makeFrames(folder.path, {
      grid: [slots, rows, columns],
      cube: [tubelet, patch, patch, 3],
      rows: views,
    });
    const own = { ...settings, run: { ...settings.run, cache: folder.path } };
    let seconds = 0;
    // From the first batch that is read to the last shard that is sealed: compiling is not in it.
    const progress = {
      begin() {
        const began = performance.now();
        return { update() {}, [Symbol.dispose]: () => void (seconds = (performance.now() - began) / 1000) };
      },
    };
    await teach(
      {
        settings: own,
        engine: () => Promise.resolve(engine),
        signal: new AbortController().signal,
        progress,
        warn,
      },
      frames,
      teacher,
    );
    stage.push(views / seconds);
    context.say(`teach-${name} round ${round + 1}: ${stage.at(-1)!.toFixed(1)}, bare ${bare.at(-1)!.toFixed(1)}`);
  }
  return {
    ours: median(stage),
    peer: median(bare),
    peerName: "the step alone",
    note: `${views} views, batch ${batch}`,
  };
}
