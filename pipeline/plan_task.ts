/** From the words of a plan's command line to a plan: numbers are checked, and an engine is opened where it is to measure. */
import type { EngineListener } from "../models/runtime/watch_engine.ts";
import type { Plan } from "./plan.ts";
import { planRun } from "./plan.ts";
import type { Progress } from "./progress.ts";
import { type ResolvedSettings, SettingsError } from "./settings.ts";

/** What a plan is asked for with. */
export interface PlanRequest {
  readonly resolved: ResolvedSettings;
  /** Text of --clips. */
  readonly clips: unknown;
  /** Text of --disk-rate, MB/s. */
  readonly diskRate: unknown;
  readonly measure: boolean;
  readonly signal: AbortSignal;
  readonly progress: Progress;
  /** Told before the engine does something that may end the process. */
  readonly onEngine?: EngineListener;
  readonly warn: (line: string) => void;
}

/** Steps that are timed of each program. */
const MEASURED_STEPS = 5;
/** MB/s of a disk that nothing is said about. */
const DISK_RATE = 1000;

/** Plans. @throws {SettingsError} if a number cannot be used */
export async function planFor(request: PlanRequest): Promise<Plan> {
  const { resolved, progress, signal, warn } = request;
  const clips = request.clips === undefined ? undefined : positive("--clips", request.clips, Number.isSafeInteger);
  const diskRate = positive("--disk-rate", request.diskRate ?? DISK_RATE, Number.isFinite) * 1e6;
  const plan = { resolved, clips, diskRate };
  if (!request.measure) return await planRun(plan);
  const { openEngine } = await import("../models/runtime/open_engine.ts");
  const { engine: kind, device, devices } = resolved.settings.run;
  const { watchEngine } = await import("../models/runtime/watch_engine.ts");
  await using engine = watchEngine(await openEngine({ engine: kind, device, devices, warn, signal }), request.onEngine);
  // An engine that does not tell computes in the memory of the host.
  const freeBytes = engine.freeBytes?.(Infinity) ?? Deno.systemMemoryInfo().available;
  const now = () => performance.now();
  return await planRun({ ...plan, measure: { engine, steps: MEASURED_STEPS, freeBytes, signal, now, progress } });
}

function positive(flag: string, text: unknown, fits: (value: number) => boolean): number {
  const value = Number(text);
  if (text !== "" && fits(value) && value > 0) return value;
  throw new SettingsError([
    `${flag} is "${text}": expected a ${fits === Number.isFinite ? "" : "whole "}number above 0`,
  ]);
}
