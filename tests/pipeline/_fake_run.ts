/** The folder of a finished run whose networks have random weights, every norm and bias among them: ready in a moment. */
import { join } from "node:path";
import { officialTensors, type ParameterValues } from "../../models/checkpoints/official_names.ts";
import { writeSafetensors } from "../../models/checkpoints/safetensors.ts";
import type { ParameterSpec } from "../../models/parameters.ts";
import { sizeOf } from "../../models/tensor/mod.ts";
import { CheckpointFolder } from "../../pipeline/checkpoint_folder.ts";
import { uniforms } from "../../pipeline/random.ts";
import { resolveSettings, type Settings } from "../../pipeline/settings.ts";
import { finetuneStep, studentStep } from "../../pipeline/stages/programs.ts";
import { cubeSize } from "../../pipeline/stages/stage_context.ts";
import { tinyFlags } from "./_tiny_run.ts";

export const CLASSES = ["up", "down", "round"];
export const STEP = 7;

/** A run that was written. */
export interface FakeRun {
  path: string;
  settings: Settings;
  /** Weights by our names. */
  student: ReadonlyMap<string, Float32Array>;
  classifier: ReadonlyMap<string, Float32Array>;
}

/**
 * @param state How far the pre-training came.
 * @param flags Other settings than those of a small network for clips.
 */
export async function writeRun(
  folder: string,
  state: "done" | "interrupted" = "done",
  flags: Readonly<Record<string, string>> = {},
): Promise<FakeRun> {
  const resolved = resolveSettings({
    flags: {
      ...tinyFlags(folder),
      "student-width": "48",
      "student-heads": "3",
      "student-decoder-width": "32",
      ...flags,
    },
  });
  const { settings } = resolved;
  const path = settings.run.run;
  await Deno.mkdir(path);
  await Deno.writeTextFile(join(path, "config.json"), JSON.stringify({ ...resolved, command: [], written: "" }));
  const stage = (name: string, result: unknown) => ({ name, hash: "", state, seconds: 1, skipped: false, result });
  const stages = [stage("prepare", { classes: CLASSES }), stage("pretrain", null), stage("finetune", null)];
  await Deno.writeTextFile(join(path, "stages.json"), JSON.stringify(stages));
  const student = await save(join(path, "checkpoints"), studentStep(settings, "f32").parameters, settings);
  const { parameters } = finetuneStep(settings, CLASSES.length, "f32");
  const classifier = await save(join(path, "checkpoints", "finetune-student"), parameters, settings);
  return { path, settings, student, classifier };
}

async function save(folder: string, specs: readonly ParameterSpec[], settings: Settings) {
  const values = specs.map(randomValues);
  await new CheckpointFolder(folder, 1, () => {}).save({
    step: STEP,
    state: null,
    write: (to) =>
      writeSafetensors(join(to, "model.safetensors"), officialTensors(values, cubeSize(settings)), { format: "pt" }),
  });
  return new Map(values.map(({ name, data }) => [name, data as Float32Array]));
}

/** Matrices as wide as usual; norms about 1, biases about 0. */
function randomValues({ name, shape }: ParameterSpec): ParameterValues {
  const centre = /norm\w*\.weight$/.test(name) ? 1 : 0;
  const reach = shape.length > 1 ? Math.sqrt(3 / shape.at(-1)!) : 0.25;
  const draws = uniforms(sizeOf(shape), 1, "weights of a test", name);
  return { name, shape, data: Float32Array.from(draws, (draw) => centre + reach * (2 * draw - 1)) };
}
