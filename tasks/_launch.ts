/**
 * `deno run tasks/_launch.ts tasks/NAME.ts ARGS`: runs a task in a child process that may do no more than it needs, and
 * says what happened if a signal ends it. The C library reads its allocator's settings when a process starts, and a
 * fault inside a native library takes its process along: so the parent sets the one, outlives the other, and loads
 * nothing itself. Terminal, output and exit code are the child's.
 */
import { LAST_WORDS, LAUNCHER, PASSED_ON, readLastWords } from "./_last_words.ts";
import { deathReport } from "./_death_report.ts";

/** Programs that a task may start beside Deno: those that fetch a plugin, and the decoder of --decoder ffmpeg. */
const PROGRAMS = ["uv", "pip", "pip3", "python3", "python", "ffmpeg", "ffprobe"];
/** What a task may do. No network: what is fetched, pip or uv fetches. */
const PERMISSIONS = ["read", "write", "env", "sys", "ffi", `run=${[Deno.execPath(), ...PROGRAMS].join(",")}`];
/**
 * XLA allocates its temporaries anew in every step, and glibc would map and unmap them: the page faults cost a fifth of
 * the step. One arena that keeps what it has, in huge pages, has none.
 */
const ALLOCATOR = {
  arena_max: 1,
  mmap_max: 0,
  trim_threshold: 64 * 2 ** 30,
  top_pad: 64 * 2 ** 20,
  hugetlb: 1,
};
/** Signals that ask a task to stop. */
const INTERRUPTIONS: readonly Deno.Signal[] = ["SIGINT", "SIGTERM", PASSED_ON];
/** After a second Ctrl-C a task that hangs in native code has this long. */
const GRACE_MS = 3000;

/**
 * Runs a task's file to its end.
 *
 * @param permissions What it may do.
 * @returns The exit code: the task's own; 1 with a report on stderr if a signal ended it, 130 if we were told to stop.
 */
export async function launch(
  script: string,
  args: readonly string[],
  permissions: readonly string[] = PERMISSIONS,
): Promise<number> {
  // Without room for notes a task runs all the same.
  const words = await Deno.makeTempFile({ prefix: "tubelet-" }).catch(() => undefined);
  try {
    using stopping = new Stopping();
    const allowed = permissions.map((name) => `--allow-${name}`);
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-prompt", ...allowed, script, ...args],
      env: { ...childEnvironment(), [LAUNCHER]: String(Deno.pid), ...(words && { [LAST_WORDS]: words }) },
      stdin: "inherit",
      stdout: "inherit",
      stderr: "inherit",
    }).spawn();
    stopping.passOnTo(child);
    const { code, signal } = await child.status;
    if (signal === null) return code;
    // In its first moments a child does not answer signals yet: it dies of them, which is what was asked for.
    if (INTERRUPTIONS.includes(signal) || (stopping.asked && signal === "SIGKILL")) return 130;
    const report = deathReport(signal, await readLastWords(words));
    console.error(`error: ${report}`);
    if (args.includes("--json")) console.log(JSON.stringify({ error: report, exitCode: 1 }));
    return 1;
  } finally {
    // The child has removed it if it took us for dead.
    if (words !== undefined) await Deno.remove(words).catch(() => {});
  }
}

/** What is added to the environment; what the user has set stays. */
function childEnvironment(): Record<string, string> {
  const tunables = Object.entries(ALLOCATOR).map(([name, value]) => `glibc.malloc.${name}=${value}`).join(":");
  const wanted = {
    TF_CPP_MIN_LOG_LEVEL: "2",
    ...(Deno.build.target.endsWith("-linux-gnu") && { GLIBC_TUNABLES: tunables }),
  };
  return Object.fromEntries(Object.entries(wanted).filter(([name]) => !Deno.env.get(name)));
}

/** Hands SIGINT and SIGTERM to the child, as a signal of their own. */
class Stopping implements Disposable {
  /** On Windows a console's Ctrl-C reaches every process, and there is nothing else to pass on. */
  readonly #signals: readonly Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM"];
  #child: Deno.ChildProcess | undefined;
  #count = 0;
  #killing: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    for (const signal of this.#signals) Deno.addSignalListener(signal, this.#heard);
  }

  /** Whether a signal came. */
  get asked(): boolean {
    return this.#count > 0;
  }

  passOnTo(child: Deno.ChildProcess): void {
    this.#child = child;
  }

  readonly #heard = (): void => {
    this.#count++;
    if (Deno.build.os !== "windows") this.#send(PASSED_ON);
    if (this.#count > 1) this.#killing ??= setTimeout(() => this.#send("SIGKILL"), GRACE_MS);
  };

  #send(signal: Deno.Signal): void {
    try {
      this.#child?.kill(signal);
    } catch (error) {
      // It has just ended by itself.
      if (!(error instanceof TypeError || error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#killing);
    for (const signal of this.#signals) Deno.removeSignalListener(signal, this.#heard);
  }
}

if (import.meta.main) {
  const [script, ...args] = Deno.args;
  if (script === undefined) throw new TypeError("Usage: deno run tasks/_launch.ts tasks/NAME.ts [flags]");
  Deno.exit(await launch(script, args));
}
