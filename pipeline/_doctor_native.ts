/** The doctor's side of the process in which it tries a part that may end it: an answer, a reason, or a death. */
import { fileURLToPath } from "node:url";
import type { ChildLine, NativePart } from "./_doctor_child.ts";
import type { Finding } from "./_doctor_parts.ts";

/** How to try a part. */
export interface NativeProbeOptions {
  /** A folder that the process may write to. */
  folder: string;
  /** How long it may measure, too; what is not measured by then is left out. 0 measures nothing. */
  measureMs: number;
  /** Kills the process. */
  signal?: AbortSignal;
  /** The program. @default `_doctor_child.ts` */
  script?: URL;
  /** How long it may take to answer. @default 60 s */
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
  const { folder, measureMs, signal, script = new URL("./_doctor_child.ts", import.meta.url), limitMs = 60_000 } =
    options;
  const deadline = AbortSignal.timeout(limitMs);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-prompt", "--allow-read", "--allow-env", "--allow-sys", "--allow-ffi"],
      ...[`--allow-write=${folder}`, fileURLToPath(script), part, folder, ...(measureMs > 0 ? ["measure"] : [])],
    ],
    clearEnv: true,
    env: environment(),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
  }).spawn();
  const started = performance.now(),
    [printed, output] = await Promise.all([
      linesUntil(child, measureMs),
      Promise.all([child.status, new Response(child.stderr).bytes()]).then(([status, stderr]) => ({
        ...status,
        stderr,
      })),
    ]);
  const { lines, isCut } = printed, last = lines.at(-1);
  const finding = lines.findLast((line) => "finding" in line)?.finding;
  if (finding && isCut) {
    const seconds = Math.round((performance.now() - started) / 1000);
    return { ...finding, found: `${finding.found}; measuring was ended after ${seconds} s` };
  }
  if (last !== undefined && "finding" in last && output.success) return last.finding;
  if (last !== undefined && "error" in last) throw new Error(last.error);
  const what = lines.findLast((line) => "doing" in line)?.doing ?? "starting";
  if (deadline.aborted) throw new Error(`gave no answer in ${limitMs / 1000} s while ${what}`);
  const how = output.signal === null ? `exit code ${output.code}` : output.signal;
  const said = new TextDecoder().decode(output.stderr).trim().slice(-STDERR_KEPT);
  throw new Error(`its process died while ${what} (${how})${said && `: ${said}`}`);
}

/** All that a child prints; after a time it is ended once it has a finding. */
async function linesUntil(
  child: Deno.ChildProcess,
  measureMs: number,
): Promise<{ lines: ChildLine[]; isCut: boolean }> {
  let text = "", isLate = false, isCut = false;
  const endIfFound = () => {
    if (!isLate || isCut || !linesOf(text).some((line) => "finding" in line)) return;
    isCut = true;
    try {
      child.kill("SIGKILL");
    } catch {
      // It has just ended by itself.
    }
  };
  const timer = measureMs > 0
    ? setTimeout(() => {
      isLate = true;
      endIfFound();
    }, measureMs)
    : undefined;
  try {
    for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
      text += part;
      endIfFound();
    }
  } finally {
    clearTimeout(timer);
  }
  return { lines: linesOf(text), isCut };
}

function linesOf(text: string): ChildLine[] {
  return text.split("\n").flatMap((line) => {
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
