/**
 * A run's folder: `config.json` (settings with origins), `stages.json`, `metrics.jsonl`, `checkpoints/`, `report.html`.
 * Opening it takes its lock, removes what a killed run left unfinished, and compares the settings with those the run was
 * begun with: a setting that has already gone into a result may not change unnoticed.
 */
import fs from "node:fs";
import { join } from "node:path";
import { CheckpointFolder } from "./checkpoint_folder.ts";
import { MetricsFile } from "./metrics.ts";
import { lockRun, type RunLock } from "./run_lock.ts";
import { describeFlags, flattenSettings, type ResolvedSettings, SettingsError, type Stage } from "./settings.ts";
import { orDiskFull } from "./shards/_full_disk.ts";
import { errorCode, writeFileAtomically } from "./shards/_publish.ts";
import { removeLeftovers } from "./shards/_temporary_file.ts";
import { StageLog } from "./stage_log.ts";

/** A setting that differs from the one the run was begun with. */
export interface SettingChange {
  /** Dotted path, such as "student.width". */
  path: string;
  /** Flag without dashes. */
  flag: string;
  before: unknown;
  after: unknown;
  /** Stages that have begun with the old value. */
  stages: readonly Stage[];
}

/** What {@linkcode openRunFolder} needs. */
export interface OpenRunOptions {
  resolved: ResolvedSettings;
  /** The exact command, for the report. */
  command: readonly string[];
  /** @default () => new Date() */
  now?: () => Date;
  /** Called with a sentence the user should see. */
  warn?: (message: string) => void;
}

/** An open run folder; disposing of it gives its lock up. */
export interface RunFolder extends Disposable {
  readonly path: string;
  readonly stages: StageLog;
  /** Changes that --allow-change let pass. */
  readonly changes: readonly SettingChange[];
  /** A path in the folder. */
  file(name: string): string;
  /** The checkpoints of a training, such as "pretrain" or "finetune-scratch". */
  checkpoints(training: string): CheckpointFolder;
  /** Opens `metrics.jsonl` for a training that goes on from a step. */
  metrics(training: string, step: number): MetricsFile;
}

/**
 * Opens a run folder, making it if it is not there.
 *
 * @throws {RunLockedError} if another process works on it
 * @throws {SettingsError} if a setting changed that has gone into a result, and --allow-change is not given
 * @throws {SyntaxError} if a file of the folder cannot be read
 */
export function openRunFolder(options: OpenRunOptions): RunFolder {
  const { resolved, now = () => new Date(), warn = () => {} } = options;
  const path = resolved.settings.run.run;
  const lock = orDiskFull(path, () => {
    fs.mkdirSync(path, { recursive: true });
    return lockRun(path, { now, warn });
  });
  try {
    removeLeftovers(path);
    const stages = new StageLog(join(path, "stages.json"));
    const config = join(path, "config.json");
    const changes = settingChanges(readConfig(config), resolved, stages);
    if (changes.length > 0 && !resolved.settings.run.allowChange) throw new SettingsError(changes.map(refusal));
    const content = {
      preset: resolved.preset,
      command: options.command,
      written: now().toISOString(),
      settings: resolved.settings,
      origins: resolved.origins,
    };
    writeFileAtomically(config, JSON.stringify(content, null, 2) + "\n");
    return runFolder(path, lock, stages, changes, resolved, warn);
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

function runFolder(
  path: string,
  lock: RunLock,
  stages: StageLog,
  changes: readonly SettingChange[],
  { settings }: ResolvedSettings,
  warn: (message: string) => void,
): RunFolder {
  return {
    path,
    stages,
    changes,
    file: (name) => join(path, name),
    checkpoints: (training) => {
      // The student's checkpoints are the run's result and lie on top.
      const folder = training === "pretrain" ? join(path, "checkpoints") : join(path, "checkpoints", training);
      return new CheckpointFolder(folder, settings.run.keepCheckpoints, warn);
    },
    metrics: (training, step) => new MetricsFile(join(path, "metrics.jsonl"), { stage: training, step }),
    [Symbol.dispose]: () => lock[Symbol.dispose](),
  };
}

/** The settings of `config.json` by group; undefined if the run is new. */
function readConfig(path: string): Record<string, Record<string, unknown>> | undefined {
  let text: string;
  try {
    text = fs.readFileSync(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
  try {
    const settings = JSON.parse(text).settings;
    if (typeof settings === "object" && settings !== null) return settings;
  } catch {
    // Told below.
  }
  throw new SyntaxError(`${path} is no configuration of a run: name another folder with --run, or remove the file`);
}

/** What changed since the run was begun and matters to a stage that has begun. */
function settingChanges(
  before: Record<string, Record<string, unknown>> | undefined,
  { settings }: ResolvedSettings,
  stages: StageLog,
): SettingChange[] {
  if (!before) return [];
  const after = flattenSettings(settings);
  return describeFlags().flatMap(({ path, flag, affects }) => {
    const [group, name] = path.split(".") as [string, string];
    const old = before[group]?.[name];
    // A setting that the older version did not have cannot have changed.
    if (old === undefined || JSON.stringify(old) === JSON.stringify(after.get(path))) return [];
    const begun = affects.filter((stage) => stages.find(stage) !== undefined);
    return begun.length > 0 ? [{ path, flag, before: old, after: after.get(path), stages: begun }] : [];
  });
}

function refusal({ flag, before, after, stages }: SettingChange): string {
  return `--${flag} is ${JSON.stringify(after)}, but this run's ${stages.join(", ")} began with ${
    JSON.stringify(before)
  }: ` +
    `take another --run, or go on all the same with --allow-change`;
}
