/** Looks at a run's folder: its stages, the newest whole checkpoint of each training, the last line of each curve. */
import fs from "node:fs";
import { basename, join, resolve } from "node:path";
import { CheckpointFolder } from "./checkpoint_folder.ts";
import { type Facts, type Inspection, reasonOf } from "./inspection.ts";
import { readMetrics } from "./metrics.ts";
import type { Json } from "./shards/config_hash.ts";
import { readRecords } from "./stage_log.ts";

/** Inspects a run; one that is at work may be looked at too. */
export async function inspectRun(path: string): Promise<Inspection> {
  const problems: string[] = [];
  const busy = isLocked(join(path, ".lock"));
  const read = <T>(name: string, read: (path: string) => T, none: T): T => {
    try {
      return read(join(path, name));
    } catch (error) {
      problems.push(reasonOf(error));
      return none;
    }
  };
  const stages = read("stages.json", readRecords, []).map(({ name, state, seconds }) => {
    return { stage: name, state: state === "running" && !busy ? "killed" : state, seconds };
  });
  const metrics = read("metrics.jsonl", readMetrics, []);
  const last = [...new Map(metrics.map((metric) => [metric.stage, metric])).values()];
  const { facts: { checkpoints }, problems: damage } = await inspectCheckpoints(join(path, "checkpoints"));
  return {
    path,
    kind: "run",
    facts: {
      ...read("config.json", readConfig, {}),
      inUse: busy,
      stages,
      checkpoints: checkpoints!,
      metrics: last as unknown as Json,
      report: fs.existsSync(join(path, "report.html")) ? join(path, "report.html") : null,
    },
    problems: [...problems, ...damage],
  };
}

/** Finds the newest whole checkpoint of every training in a folder of checkpoints. */
export async function inspectCheckpoints(path: string): Promise<Inspection> {
  const problems: string[] = [], checkpoints: Facts[] = [];
  for (const folder of [path, ...trainings(path)]) {
    const damaged = (message: string) => problems.push(`${message}. Remove it if no run is at work`);
    const newest = await new CheckpointFolder(folder, 1, damaged).latest();
    // The student's lie on top.
    const name = basename(resolve(folder)), training = name === "checkpoints" ? "pretrain" : name;
    if (newest) checkpoints.push({ training, step: newest.step, path: newest.path });
  }
  return { path, kind: "checkpoints", facts: { checkpoints }, problems };
}

/** Folders of the other trainings; those set aside for changed settings are left out. */
function trainings(path: string): string[] {
  if (!fs.existsSync(path)) return [];
  return fs.readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !/^step-|^\.|\.old-/.test(entry.name))
    .map(({ name }) => join(path, name)).sort();
}

function readConfig(path: string): Facts {
  try {
    const { preset, command, written, settings } = JSON.parse(fs.readFileSync(path, "utf8"));
    if (typeof settings === "object" && settings !== null && Array.isArray(command)) {
      return { preset: preset ?? null, command: command.map(String).join(" "), written: String(written) };
    }
  } catch {
    // Told below.
  }
  throw new SyntaxError(`${path} is no configuration of a run: remove it, and give the run's settings again`);
}

/** Whether a process holds a run's lock. */
function isLocked(path: string): boolean {
  if (!fs.existsSync(path)) return false;
  using file = Deno.openSync(path);
  try {
    return !file.tryLockSync(false);
  } catch {
    // A file system without locks does not tell.
    return false;
  }
}
