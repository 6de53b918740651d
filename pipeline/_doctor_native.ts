/** The doctor's side of the process in which it tries a part that may end it: an answer, a reason, or a death. */
import { fileURLToPath } from "node:url";
import type { ChildLine, NativePart } from "./_doctor_child.ts";
import type { Finding } from "./_doctor_parts.ts";

/** How to try a part. */
export interface NativeProbeOptions {
  /** A folder that the process may write to. */
  folder: string;
  /** Whether to measure, too. */
  measure: boolean;
  /** Kills the process. */
  signal?: AbortSignal;
  /** The program. @default `_doctor_child.ts` */
  script?: URL;
  /** How long it may take. @default 60 s */
  limitMs?: number;
}

/** What is told of the errors that a library prints. */
const STDERR_KEPT = 200;

/**
 * Tries a part in a process of its own.
 *
 * @throws {Error} with the part's reason, or with what the process was doing when a signal or the deadline ended it
 */
export async function tryInChild(part: NativePart, options: NativeProbeOptions): Promise<Finding> {
  const { folder, measure, signal, script = new URL("./_doctor_child.ts", import.meta.url), limitMs = 60_000 } =
    options;
  const deadline = AbortSignal.timeout(limitMs);
  const output = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-prompt", "--allow-read", "--allow-env", "--allow-sys", "--allow-ffi"],
      ...[`--allow-write=${folder}`, fileURLToPath(script), part, folder, ...(measure ? ["measure"] : [])],
    ],
    clearEnv: true,
    env: environment(),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
  }).output();
  const lines = linesOf(output.stdout);
  const last = lines.at(-1);
  if (last !== undefined && "finding" in last) return last.finding;
  if (last !== undefined && "error" in last) throw new Error(last.error);
  const what = lines.findLast((line) => "doing" in line)?.doing ?? "starting";
  if (deadline.aborted) throw new Error(`gave no answer in ${limitMs / 1000} s while ${what}`);
  const how = output.signal === null ? `exit code ${output.code}` : output.signal;
  const said = new TextDecoder().decode(output.stderr).trim().slice(-STDERR_KEPT);
  throw new Error(`its process died while ${what} (${how})${said && `: ${said}`}`);
}

function linesOf(bytes: Uint8Array): ChildLine[] {
  return new TextDecoder().decode(bytes).split("\n").flatMap((line) => {
    try {
      const value = JSON.parse(line);
      return typeof value === "object" && value !== null ? [value as ChildLine] : [];
    } catch {
      // A library's own words, or half a line of a dying process.
      return [];
    }
  });
}

/** All of the environment; without loader variables where there is no permission to hand them on. */
function environment(): Record<string, string> {
  const entries = Object.entries(Deno.env.toObject());
  if (Deno.permissions.querySync({ name: "run" }).state === "granted") return Object.fromEntries(entries);
  return Object.fromEntries(entries.filter(([name]) => !/^(?:LD_|DYLD_)/.test(name)));
}
