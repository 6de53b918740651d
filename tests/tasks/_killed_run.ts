/** The main task on tiny settings in a process of its own, and what must not depend on how often it was killed. */
import { assert, assertEquals } from "@std/assert";
import { join, relative } from "node:path";
import { inspect } from "../../pipeline/inspect.ts";
import { readMetrics } from "../../pipeline/metrics.ts";
import { type ProbeLine, PROBES_FILE } from "../../pipeline/stages/probe_watch.ts";
import { openFeaturesSet } from "../../pipeline/shards/feature_shards.ts";
import { openFramesSet } from "../../pipeline/shards/frame_shards.ts";
import { ended } from "../_child.ts";
import { tinyArgs } from "../pipeline/_tiny_run.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

/**
 * The task in a folder.
 *
 * @param launched Whether it is started as users start it: by its launcher, the two in a process group of their own.
 */
export function command(
  folder: string,
  args: readonly string[],
  env: Record<string, string> = {},
  launched = false,
): Deno.Command {
  const scripts = [...(launched ? ["tasks/_launch.ts"] : []), "tasks/pretrain_video.ts"].map((path) =>
    join(ROOT, path)
  );
  const task = ["run", "-A", "--no-check", ...scripts, ...tinyArgs(folder), ...args];
  return new Deno.Command(Deno.execPath(), {
    args: task,
    cwd: ROOT,
    env,
    stdout: "piped",
    stderr: "piped",
    detached: launched,
  });
}

/** Runs a body in a folder that is removed afterwards. */
export async function inFolder<T>(body: (folder: string) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir({ prefix: "tubelet_task_" });
  try {
    return await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** What must not depend on kills: which files there are, every loss and probe of the pre-training, the student's bits. */
export async function outcome(folder: string) {
  const run = join(folder, "run");
  const losses = readMetrics(join(run, "metrics.jsonl")).filter(({ stage }) => stage === "pretrain")
    .map(({ step, epoch, loss, pixel, direct, generation, gradNorm, lr }) => {
      return { step, epoch, loss, pixel, direct, generation, gradNorm, lr };
    });
  const checkpoints = [...Deno.readDirSync(join(run, "checkpoints"))].map(({ name }) => name);
  const last = checkpoints.filter((name) => name.startsWith("step-")).sort().at(-1)!;
  const files = [...filesBelow(folder)].map((path) => relative(folder, path)).sort();
  const probes = readMetrics<ProbeLine>(join(run, PROBES_FILE));
  return { files, losses, probes, student: await Deno.readFile(join(run, "checkpoints", last, "model.safetensors")) };
}

/** Checks that every file of a finished run is whole: every row of every shard good, no clip lost. */
export async function assertWhole(folder: string): Promise<void> {
  assertEquals((await inspect(join(folder, "run"))).problems, []);
  const clips: Record<string, number> = {};
  for (const kind of ["frames", "features"]) {
    for (const { name } of Deno.readDirSync(join(folder, "cache", kind))) {
      const path = join(folder, "cache", kind, name);
      assertEquals((await inspect(path)).problems, [], path);
      using set = kind === "frames" ? openFramesSet(path) : openFeaturesSet(path);
      assertEquals(set.failedRows(), [], path);
      clips[`${kind} ${set.config.split}`] = set.rows;
    }
  }
  assertEquals(clips, { "frames train": 16, "frames val": 8, "features train": 16 });
}

function* filesBelow(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    const path = join(folder, name);
    yield path;
    if (isDirectory) yield* filesBelow(path);
  }
}

/** How an attempt ended. */
export interface Attempt {
  readonly killed: boolean;
  /** The stage that was under way, as the run's own `stages.json` says. */
  readonly stage: string;
}

/**
 * When to kill: some milliseconds after the start, or at some change of a file or folder, counted from 1: from the start,
 * or from the moment that a stage is under way.
 */
export type Moment = { readonly afterMs: number } | { readonly atChange: number; readonly inStage?: string };

/**
 * Starts the task and kills it without warning at a moment, unless it is done by then: the task alone, or the launcher and
 * the task as a power cut would.
 *
 * @throws {AssertionError} if it ended with an error of its own
 */
export async function attempt(
  folder: string,
  args: readonly string[],
  moment: Moment,
  launched = false,
): Promise<Attempt> {
  using watcher = Deno.watchFs(folder);
  const child = command(folder, args, {}, launched).spawn();
  const kill = () => {
    try {
      // Below zero stands the whole group.
      Deno.kill(launched ? -child.pid : child.pid, "SIGKILL");
    } catch (error) {
      // It has just ended by itself.
      if (!(error instanceof TypeError || error instanceof Deno.errors.NotFound)) throw error;
    }
  };
  const timer = "afterMs" in moment ? setTimeout(kill, moment.afterMs) : undefined;
  const watching = "atChange" in moment ? killAtChange(watcher, folder, moment, kill) : undefined;
  const { code, signal, error } = await ended(child);
  clearTimeout(timer);
  watcher.close();
  await watching;
  const killed = signal === "SIGKILL";
  assert(killed || code === 0, error);
  return { killed, stage: stageUnderWay(folder) };
}

async function killAtChange(
  watcher: Deno.FsWatcher,
  folder: string,
  { atChange, inStage }: Exclude<Moment, { afterMs: number }>,
  kill: () => void,
): Promise<void> {
  let seen = 0;
  for await (const { kind } of watcher) {
    if (kind === "access" || inStage !== undefined && stageUnderWay(folder) !== inStage) continue;
    if (++seen === atChange) kill();
  }
}

/** Runs the task to its end and counts, by stage, how often a file or folder changes. */
export async function countChanges(folder: string, args: readonly string[]): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  using watcher = Deno.watchFs(folder);
  const counting = (async () => {
    for await (const { kind } of watcher) {
      const stage = stageUnderWay(folder);
      if (kind !== "access") counts.set(stage, (counts.get(stage) ?? 0) + 1);
    }
  })();
  const { code, error } = await ended(command(folder, args).spawn());
  watcher.close();
  await counting;
  assertEquals(code, 0, error);
  return counts;
}

/** The stage that is under way in a run, as its own `stages.json` says. */
export function stageUnderWay(folder: string): string {
  try {
    const stages = JSON.parse(Deno.readTextFileSync(join(folder, "run", "stages.json")));
    const running = stages.find(({ state }: { state: string }) => state === "running");
    return running?.name ?? `after ${stages.at(-1)?.name}`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "before the first";
    throw error;
  }
}
