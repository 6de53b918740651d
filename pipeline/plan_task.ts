/** From the words of a plan's command line to a plan: numbers are checked, and an engine is opened where it is to measure. */
import type { EngineListener } from "../models/runtime/watch_engine.ts";
import { measureDisk } from "./_doctor_disk.ts";
import type { DiskRateSource } from "./_plan_cache.ts";
import { nearestFolder } from "./_plan_disk.ts";
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
  const memoryBytes = resolved.settings.run.device === "cpu" ? Deno.systemMemoryInfo().total : undefined;
  const plan = { resolved, clips, ...diskRateOf(request), memoryBytes };
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

/** As the user says, else as measured, else assumed. */
function diskRateOf({ diskRate, measure, resolved }: PlanRequest): { diskRate: number; diskRateFrom: DiskRateSource } {
  if (diskRate !== undefined) {
    return { diskRate: positive("--disk-rate", diskRate, Number.isFinite) * 1e6, diskRateFrom: "given" };
  }
  // What is read back comes from memory; a cache is larger than that, so that the disk's rate is that of writing.
  const found = measure ? measureDisk(nearestFolder(resolved.settings.run.cache))?.writtenBytesPerSecond : undefined;
  return found === undefined
    ? { diskRate: DISK_RATE * 1e6, diskRateFrom: "assumed" }
    : { diskRate: found, diskRateFrom: "measured" };
}

function positive(flag: string, text: unknown, fits: (value: number) => boolean): number {
  const value = Number(text);
  if (text !== "" && fits(value) && value > 0) return value;
  throw new SettingsError([
    `${flag} is "${text}": expected a ${fits === Number.isFinite ? "" : "whole "}number above 0`,
  ]);
}
