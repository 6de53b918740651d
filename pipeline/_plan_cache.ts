/**
 * Cached features or the teacher in every step: which is cheaper over a whole run. The cache saves the teacher's forward
 * pass for every clip seen after the first time each view is taught; it costs writing the features once and reading a
 * row for every clip seen. Reading is counted in full, although the loader hides it behind the steps.
 */
import type { Compute } from "../models/shapes.ts";
import { matmulFlop } from "../models/tensor/mod.ts";
import type { PlannedData, PlannedShards } from "./_plan_data.ts";
import { trainingSchedule } from "./schedule.ts";
import type { Settings } from "./settings.ts";
import { teacherFeatures } from "./stages/programs.ts";

/** Where a rate comes from. */
export type DiskRateSource = "assumed" | "given" | "measured";

/** What both ways cost. */
export interface TeacherModePlan {
  readonly chosen: "cached" | "online";
  /** Views that the teacher sees once for the cache. */
  readonly viewsTaught: number;
  /** Clips of all pre-training steps, each of which the teacher sees online. */
  readonly clipsSeen: number;
  /** Teacher's forward pass of one clip, in billions of operations. */
  readonly teacherGflopPerClip: number;
  readonly bytesWritten: number;
  readonly bytesRead: number;
  readonly diskBytesPerSecond: number;
  readonly diskRateFrom: DiskRateSource;
  /** By device. */
  readonly verdicts: readonly TeacherModeVerdict[];
}

/** The two ways on one device. */
export interface TeacherModeVerdict {
  readonly device: string;
  /** Of the teacher, cached less than online. */
  readonly computeHoursSaved: number;
  /** Writing and reading the features. */
  readonly transferHours: number;
  /** The cache pays above this rate of the disk, bytes a second; null if there is no arithmetic to save. */
  readonly breakEvenBytesPerSecond: number | null;
  readonly cheaper: "cached" | "online";
}

/** What to compare. */
export interface TeacherModeOptions {
  readonly settings: Settings;
  readonly compute: Compute;
  readonly data: PlannedData;
  /** Shards of the training clips, features counted. */
  readonly train: PlannedShards;
  readonly diskRate: number;
  readonly diskRateFrom: DiskRateSource;
  /** Operations a second by device. */
  readonly rates: ReadonlyMap<string, number>;
}

/** Compares. */
export function planTeacherMode(options: TeacherModeOptions): TeacherModePlan {
  const { settings, compute, data, train, diskRate, diskRateFrom, rates } = options;
  const { pretrain, teach, alignment } = settings;
  const perClip = matmulFlop(teacherFeatures(settings, compute).program) / teach.batch;
  const clipsSeen = trainingSchedule(pretrain, data.train.clips).steps * pretrain.batch;
  const savedFlop = (clipsSeen - train.rows) * perClip;
  const bytesRead = clipsSeen * (train.featureBytes / train.rows);
  const transfer = (train.featureBytes + bytesRead) / diskRate;
  const verdicts = [...rates].map(([device, flopPerSecond]): TeacherModeVerdict => {
    const saved = savedFlop / flopPerSecond;
    return {
      device,
      computeHoursSaved: saved / 3600,
      transferHours: transfer / 3600,
      breakEvenBytesPerSecond: saved > 0 ? (train.featureBytes + bytesRead) / saved : null,
      cheaper: saved > transfer ? "cached" : "online",
    };
  });
  return {
    chosen: alignment.teacherMode,
    viewsTaught: train.rows,
    clipsSeen,
    teacherGflopPerClip: perClip / 1e9,
    bytesWritten: train.featureBytes,
    bytesRead: Math.round(bytesRead),
    diskBytesPerSecond: diskRate,
    diskRateFrom,
    verdicts,
  };
}
