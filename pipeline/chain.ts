/**
 * The whole chain, from video files to a distilled student: stage after stage is run or, if nothing that it depends on
 * has changed, skipped. A stage's hash covers the settings that change its result and the hashes of what it reads, so
 * that a change runs again what comes after it and nothing before.
 */
import type { Engine } from "../models/runtime/engine.ts";
import type { EngineListener } from "../models/runtime/watch_engine.ts";
import type { Progress, StageProgress } from "./progress.ts";
import type { RunSummary } from "./report/report_data.ts";
import { openRunFolder } from "./run_folder.ts";
import { type ResolvedSettings, resultSettings, SettingsError, STAGES } from "./settings.ts";
import { configHash, type Json } from "./shards/config_hash.ts";
import { withAdvice } from "./shards/shard_error.ts";
import type { ChainState } from "./stages/chain_state.ts";
import { type StageDefinition, stageDefinitions } from "./stages/definitions.ts";
import { withStudentSizes } from "./stages/student.ts";
import { gatherSummary } from "./stages/summary.ts";

/** What a chain is run with. */
export interface ChainOptions {
  readonly resolved: ResolvedSettings;
  /** The exact command, for the report. */
  readonly command: readonly string[];
  /** Aborted by the first Ctrl-C or SIGTERM. */
  readonly signal: AbortSignal;
  readonly progress: Progress;
  /** Told before the engine does something that may end the process. */
  readonly onEngine?: EngineListener;
  /** Prints a line to stdout. */
  readonly print: (line: string) => void;
  /** Prints a line to stderr. */
  readonly warn: (line: string) => void;
}

/** What a chain leaves behind. */
export interface ChainResult {
  readonly summary: RunSummary;
  /** Path of the report, if this call came so far. */
  readonly report: string | undefined;
}

/**
 * Runs the chain, or the part of it that --from, --until and --only name.
 *
 * @throws {SettingsError} if what lies before --from or --only is not there
 * @throws {RunLockedError} if another process works on the run
 * @throws the signal's reason after an interruption; the same call goes on from there
 */
export async function runChain(given: ChainOptions): Promise<ChainResult> {
  const options = { ...given, resolved: await withStudentSizes(given.resolved) };
  const { settings } = options.resolved;
  using run = openRunFolder(options);
  await using engine = new LazyEngine(options);
  const started = performance.now();
  const outcomes: RunSummary["stages"][number][] = [];
  const state: ChainState = {
    settings,
    run,
    engine: () => engine.open(),
    signal: options.signal,
    progress: options.progress,
    print: options.print,
    warn: options.warn,
    command: options.command,
    resolved: options.resolved,
    results: {},
    summary: () => gatherSummary(run, state.results, outcomes, (performance.now() - started) / 1000),
  };
  const first = STAGES.indexOf(settings.run.only ?? settings.run.from ?? STAGES[0]);
  const last = STAGES.indexOf(settings.run.only ?? settings.run.until ?? STAGES.at(-1)!);
  for (const stage of stageDefinitions.filter(({ name }) => STAGES.indexOf(name) <= last)) {
    options.signal.throwIfAborted();
    if (!await stage.applies(state)) continue;
    const settingsOfStage = resultSettings(settings, stage.name) as unknown as Json;
    const hash = configHash({ settings: settingsOfStage, inputs: await stage.inputs(state) });
    if (STAGES.indexOf(stage.name) < first) {
      stage.keep(state, await doneBefore(state, stage, hash));
      continue;
    }
    const { result, seconds, skipped } = await run.stages.run(stage.name, hash, () => advised(stage, state, hash), {
      isWhole: stage.isWhole,
    });
    stage.keep(state, result);
    outcomes.push({ name: stage.name, seconds, skipped });
  }
  return { summary: state.summary(), report: state.results.report?.path };
}

/** The work of a stage; what is wrong with a shard comes with what mends it. */
async function advised(stage: StageDefinition, state: ChainState, hash: string): Promise<Json> {
  try {
    return await stage.work(state, hash);
  } catch (error) {
    throw withAdvice(error);
  }
}

/** The result of a stage that this call only builds upon. */
async function doneBefore(state: ChainState, stage: StageDefinition, hash: string): Promise<Json> {
  const { run, settings } = state, known = run.stages.find(stage.name);
  if (known?.state === "done" && known.hash === hash && await stage.isWhole(known.result)) return known.result;
  const found = await stage.find?.(state);
  // Recorded like the work of this run, so that its stages.json tells all that the run was made from.
  if (found !== undefined) return (await run.stages.run(stage.name, hash, () => Promise.resolve(found))).result;
  const place = stage.find ? `in ${run.path} or in the cache ${settings.run.cache}` : `in ${run.path}`;
  throw new SettingsError([
    `Stage ${stage.name} is not done ${place} under these settings: run it first, or leave --from and --only out`,
  ]);
}

/** The engine, opened when a stage first asks for it; fetching its plugin is shown as a stage of its own. */
class LazyEngine implements AsyncDisposable {
  #engine: Promise<Engine> | undefined;

  constructor(private readonly options: ChainOptions) {}

  open(): Promise<Engine> {
    return this.#engine ??= this.#open();
  }

  async #open(): Promise<Engine> {
    const { openEngine } = await import("../models/runtime/open_engine.ts");
    const { watchEngine } = await import("../models/runtime/watch_engine.ts");
    const { resolved: { settings: { run } }, print, warn, progress, signal, onEngine = () => {} } = this.options;
    const bars = new Map<string, StageProgress>();
    onEngine("opening the engine");
    const engine = await openEngine({
      engine: run.engine,
      device: run.device,
      devices: run.devices,
      warn,
      signal,
      onProgress: ({ step, doneBytes, totalBytes }) => {
        const bar = bars.get(step) ?? progress.begin(`${step} the engine`, megabytes(totalBytes), "MB");
        bars.set(step, bar);
        bar.update(megabytes(doneBytes));
      },
    }).finally(() => bars.forEach((bar) => bar[Symbol.dispose]()));
    print(`engine     ${engine.description}`);
    return watchEngine(engine, onEngine);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#engine?.catch(() => undefined))?.[Symbol.asyncDispose]();
  }
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1e6);
}
