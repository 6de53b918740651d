/**
 * Pre-training of the student: AMD (Zhao et al., CVPR 2024), which is pixel reconstruction, direct alignment and generation
 * alignment with a frozen teacher, whose features come from the cache; or VideoMAE (Tong et al. 2022), the pixels alone.
 * Every epoch draws a fresh student mask, with AMD inside the teacher's cached one, unless masks are fixed.
 */
import { featureName, scaleName } from "../../models/feature_codec.ts";
import { initialParameters, type ParameterSpec } from "../../models/parameters.ts";
import type { HostArray } from "../../models/runtime/engine.ts";
import type { BatchField } from "../loader.ts";
import { uniforms } from "../random.ts";
import { TrainingOrder } from "../row_order.ts";
import { trainingSchedule } from "../schedule.ts";
import { SettingsError } from "../settings.ts";
import { assertFeaturesFit, type FeaturesSet, readTeacherPositions } from "../shards/feature_shards.ts";
import { levelPath, scalePath } from "../shards/feature_format.ts";
import type { FramesSet } from "../shards/frame_shards.ts";
import { amdInputs, type BatchRow, teacherInputs, teacherPositions, videoMaeInputs } from "../training/mask_draws.ts";
import type { ProbeParts } from "./_probing.ts";
import { batchSetting } from "./batch_setting.ts";
import { ProbeWatch } from "./probe_watch.ts";
import { studentStep } from "./programs.ts";
import { computeType, maskSizes, type StageContext } from "./stage_context.ts";
import { cacheSettings, precisionOf } from "./teach.ts";
import type { Teacher } from "./teacher.ts";
import { runTraining, type TrainedResult } from "./run_training.ts";

/** What the names of a teacher's parameters begin with inside the step. */
const TEACHER_PREFIX = "teacher.";

/**
 * Pre-trains the student.
 *
 * @param features What the teacher gave for these frames; undefined runs the teacher in every step.
 * @param teacher Undefined learns from the pixels alone.
 * @param probed Labelled clips for `--probe-epochs`; undefined probes nothing.
 * @throws {ShardError} if the features do not belong to the frames, or another teacher or other settings made them
 */
export async function pretrain(
  context: StageContext,
  frames: FramesSet,
  features: FeaturesSet | undefined,
  teacher: Teacher | undefined,
  identity: string,
  probed?: ProbeParts,
): Promise<TrainedResult> {
  const { settings } = context;
  const { pretrain } = settings;
  const engine = await context.engine();
  if (features) assertFeaturesFit(features, frames, cacheSettings(settings, teacher!, precisionOf(settings, engine)));
  const sizes = maskSizes(settings);
  const { batch, beta1, beta2 } = pretrain;
  const seed = settings.run.seed;
  const order = new TrainingOrder({ items: frames.goodItems(), views: frames.config.views, seed });
  const schedule = trainingSchedule(pretrain, order.epochLength);
  const compute = computeType(settings, engine);
  const step = studentStep(settings, compute);
  const isTeachers = ({ name }: ParameterSpec) => name.startsWith(TEACHER_PREFIX);
  const start = initialParameters(
    [...step.parameters, ...step.frozen.filter((spec) => !isTeachers(spec))],
    (count, name) => uniforms(count, seed, "student start", name),
  );
  const teachers = step.frozen.filter(isTeachers).map((spec) => ({
    ...spec,
    name: spec.name.slice(TEACHER_PREFIX.length),
  }));
  const weights = teachers.length > 0 ? await teacher!.parameters(teachers) : new Map<string, Float32Array>();
  if (weights.keys().some((name) => name.startsWith("positions."))) {
    throw new SettingsError([
      "The teacher's file keeps a position table, which --teacher-mode online does not read: take --teacher-mode cached",
    ]);
  }
  const frozen = new Map([...start, ...[...weights].map(([name, values]) => [TEACHER_PREFIX + name, values] as const)]);
  const drawnFor = (rows: readonly BatchRow[]) => {
    return settings.masks.studentMasks === "fresh" ? rows : rows.map(({ row }) => ({ row, epoch: 0 }));
  };
  const masks = features ? storedMasks(features) : (row: number, epoch: number) => {
    return teacherPositions(sizes, seed, row, settings.masks.teacherMasks === "fresh" ? epoch : undefined);
  };
  using watch = new ProbeWatch(context, probed, schedule.stepsPerEpoch);
  return await runTraining(context, {
    name: "pretrain",
    engine,
    step,
    batchSetting: batchSetting(settings, "pretrain.batch", (other) => studentStep(other, compute)),
    batch,
    schedule,
    beta1,
    beta2,
    initial: () => start,
    frozen,
    order,
    fields: [
      { name: "cubes", set: frames, dataset: "/cubes" },
      ...(features ? featureFields(features) : []),
    ],
    ...(features ? { view: viewOf(features.config) } : {}),
    draw: (rows) => {
      const drawn = drawnFor(rows);
      if (teacher === undefined) return videoMaeInputs(drawn, sizes, seed, "student mask");
      const teachers = features ? [] : teacherInputs(drawn.keys().toArray(), (i) => {
        const { row, epoch } = drawn[i]!;
        return masks(row, epoch);
      }, sizes);
      return new Map([...amdInputs(drawn, masks, sizes, seed), ...teachers]);
    },
    identity,
    watch,
  });
}

/** What is read of a row's features. */
function featureFields(set: FeaturesSet): BatchField[] {
  return set.config.levels.flatMap((_, level) => [
    { name: featureName(level), set, dataset: levelPath(level) },
    ...(set.config.dtype === "u8" ? [{ name: scaleName(level), set, dataset: scalePath(level) }] : []),
  ]);
}

/** Bytes of a batch as the step takes them: pixels and codes as they are, scales and float16 as their types. */
function viewOf({ dtype, levels }: FeaturesSet["config"]) {
  const scales = new Set(levels.map((_, level) => scaleName(level)));
  return (name: string, bytes: Uint8Array<ArrayBuffer>): HostArray => {
    const { buffer, byteOffset, length } = bytes;
    if (scales.has(name)) return new Float32Array(buffer, byteOffset, length / 4);
    return name === "cubes" || dtype === "u8" ? bytes : new Uint16Array(buffer, byteOffset, length / 2);
  };
}

/** The teacher's positions by row, from the feature shards' own tables. */
function storedMasks(features: FeaturesSet): (row: number) => Uint16Array {
  const all = readTeacherPositions(features);
  const { teacherPositions } = features.config;
  return (row) => all.subarray(row * teacherPositions, (row + 1) * teacherPositions);
}
