/**
 * Reckons a run before any of it is run: clips, steps, bytes on disk, parameters, arithmetic, memory, and hours at
 * assumed rates or at those of a few measured steps; and whether keeping the teacher's features is cheaper than running
 * the teacher in every step. Shard bytes are exact; memory is an estimate (for the demo's six programs within a quarter
 * of what XLA's compiler for CPUs says); decoding is not reckoned: its rate depends on the clips.
 */
import type { Compute } from "../models/shapes.ts";
import { type DiskRateSource, planTeacherMode, type TeacherModePlan } from "./_plan_cache.ts";
import { plannedData, plannedShards } from "./_plan_data.ts";
import { type DiskPlan, planDisk } from "./_plan_disk.ts";
import { heldIn, misfits } from "./_plan_fit.ts";
import { type MeasuredStep, type MeasureHere, measureWork } from "./_plan_measure.ts";
import { type PlannedMemory, type PlannedWork, plannedWork } from "./_plan_networks.ts";
import type { ResolvedSettings, Settings, Stage } from "./settings.ts";
import { computeType, learnsFrom } from "./stages/stage_context.ts";
import { withStudentSizes } from "./stages/student.ts";
import { teacherName } from "./stages/teacher.ts";
import { cacheSettings } from "./stages/teach.ts";

export type { TeacherModePlan } from "./_plan_cache.ts";

/** Share of its peak that a device is taken to sustain; good training code reaches it with networks of this kind. */
export const SUSTAINED = 0.4;
/** Operations a second by device: that share of the dense bf16 peaks in the maker's data sheets. */
export const ASSUMED_RATES: ReadonlyMap<string, number> = new Map([
  ["H100", SUSTAINED * 989e12],
  ["A100", SUSTAINED * 312e12],
]);
/** Name of this machine among the devices. */
export const HERE = "here";

/** A stage that executes a network. */
export interface StagePlan {
  readonly stage: Stage;
  /** Clips of a batch. */
  readonly batch: number;
  readonly steps: number;
  readonly parameters: number;
  readonly gflopPerClip: number;
  readonly gflopPerStep: number;
  readonly memory: PlannedMemory;
  /** By device; this machine's are those of measured steps, with the compilation. */
  readonly hours: { readonly [device: string]: number };
  readonly measured: MeasuredStep | null;
  /** Why a stage was not measured although that was asked for. */
  readonly unmeasured: string | null;
}

/** What {@linkcode planRun} reckons. */
export interface Plan {
  readonly preset: string | null;
  readonly clips: { readonly train: number; readonly val: number; readonly classes: number; readonly source: string };
  readonly views: { readonly train: number; readonly val: number };
  readonly compute: Compute;
  readonly disk: DiskPlan;
  readonly stages: readonly StagePlan[];
  /** Null where the run has no teacher. */
  readonly teacherMode: TeacherModePlan | null;
  /** What cannot be run on this machine and what mends it, a sentence each. */
  readonly misfits: readonly string[];
  /** Whether it is for clips that are not at hand, and for any machine: then it may be larger than this one. */
  readonly isSupposed: boolean;
}

/** How to plan. */
export interface PlanOptions {
  readonly resolved: ResolvedSettings;
  /** Clips where no list is named. */
  readonly clips?: number | undefined;
  /** Bytes a second that the disk writes and reads. */
  readonly diskRate: number;
  /** Where the rate comes from. @default "given" */
  readonly diskRateFrom?: DiskRateSource;
  /** Memory of the device that all is to run on, bytes. @default nothing is compared with it */
  readonly memoryBytes?: number | undefined;
  /** Times steps of each program on an engine. @default nothing is measured */
  readonly measure?: MeasureHere | undefined;
}

/**
 * Reckons.
 *
 * @throws {SettingsError} if a number of clips is asked for beside a list or the demo, or a given student cannot be read
 */
export async function planRun(options: PlanOptions): Promise<Plan> {
  const { diskRate, measure } = options;
  const resolved = await withStudentSizes(options.resolved), { settings, preset } = resolved;
  const compute = measure ? computeType(settings, measure.engine) : assumedCompute(settings);
  const engineName = measure?.engine.name ?? (settings.run.engine === "tfjs" ? "tfjs" : "xla");
  const data = await plannedData(resolved, options.clips);
  const taught = learnsFrom(settings) === "teacher"
    ? cacheSettings(
      settings,
      { name: teacherName(settings), sha256: "0".repeat(64) },
      `${compute} on ${engineName}`,
    )
    : undefined;
  const train = plannedShards(data.train, "train", settings, taught);
  const val = data.val && plannedShards(data.val, "val", settings, undefined);
  const work = plannedWork(settings, data, compute);
  const stages: StagePlan[] = [];
  for (const planned of work) stages.push(stagePlan(planned, measure && await measureWork(planned, settings, measure)));
  const disk = planDisk(settings, work, train, val);
  const { diskRateFrom = "given", memoryBytes = null } = options;
  return {
    preset,
    clips: { train: data.train.clips, val: data.val?.clips ?? 0, classes: data.classes, source: data.source },
    views: { train: train.rows, val: val?.rows ?? 0 },
    compute,
    disk,
    stages,
    teacherMode: taught
      ? planTeacherMode({ settings, compute, data, train, diskRate, diskRateFrom, rates: teacherRates(stages) })
      : null,
    misfits: misfits(disk, stages, { heldBytes: heldIn(settings.run.cache), memoryBytes }),
    isSupposed: data.isSupposed && !measure,
  };
}

/** The number format that an engine would choose, as far as the settings tell. */
function assumedCompute({ run }: Settings): Compute {
  if (run.precision !== "auto") return run.precision;
  return run.engine !== "tfjs" && (run.device === "cuda" || run.device === "tpu") ? "bf16" : "f32";
}

function stagePlan(work: PlannedWork, found: MeasuredStep | string | undefined): StagePlan {
  const { stage, batch, steps, parameters, flopPerStep, memory } = work;
  const measured = typeof found === "object" ? found : null;
  const hours = new Map(measured ? [[HERE, (measured.compileSeconds + steps * measured.stepSeconds) / 3600]] : []);
  for (const [device, rate] of ASSUMED_RATES) hours.set(device, steps * flopPerStep / rate / 3600);
  return {
    stage,
    batch,
    steps,
    parameters,
    gflopPerClip: flopPerStep / batch / 1e9,
    gflopPerStep: flopPerStep / 1e9,
    memory,
    hours: Object.fromEntries(hours),
    measured,
    unmeasured: typeof found === "string" ? found : null,
  };
}

/** How fast each device runs the teacher: this machine as it was measured, the others as assumed. */
function teacherRates(stages: readonly StagePlan[]): Map<string, number> {
  const timed = stages.filter(({ stage, measured }) => measured && (stage === "teach" || stage === "pretrain"));
  const own = timed.at(0);
  const here: [string, number][] = own ? [[HERE, own.gflopPerStep * 1e9 / own.measured!.stepSeconds]] : [];
  return new Map([...here, ...ASSUMED_RATES]);
}
