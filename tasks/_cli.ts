/**
 * From words on a command line to an exit code: flags are parsed by the schema of the settings, `--help` is made from
 * it, `--json` prints the task's summary as the last line of stdout, errors are one sentence on stderr (with their stack
 * if TUBELET_DEBUG is set). Ctrl-C or SIGTERM once lets the step finish, twice leaves at once.
 */
import { parseArgs } from "@std/cli/parse-args";
import { didYouMean } from "../pipeline/nearest_name.ts";
import { describeFlags, resolveSettings, SettingsError } from "../pipeline/settings.ts";
import { helpText } from "./_help.ts";
import type { Notes } from "./_last_words.ts";
import { type Launched, meetLauncher, onInterrupt } from "./_launched.ts";
import { takes, type Task } from "./_task.ts";

export type { OwnFlag, Task, TaskContext } from "./_task.ts";

/** 0 done, 1 failed, 2 wrong usage or settings, 3 data incomplete, 130 interrupted. */
export type ExitCode = 0 | 1 | 2 | 3 | 130;

/** What a task needs of the system; tests bring their own. */
export interface Host {
  out: (line: string) => void;
  error: (line: string) => void;
  readTextFile: (path: string) => Promise<string>;
  /** Whether errors show their stack. */
  debug: boolean;
  /** Calls `listener` at SIGINT and SIGTERM until disposed of. */
  onInterrupt: (listener: () => void) => Disposable;
  /** Where the task notes what it does. */
  notes: Notes;
  /** Leaves without waiting for anything. */
  exit: (code: number) => void;
}

/** The end of every task file: runs the task on this process's arguments and leaves with its exit code. */
export async function main(task: Task): Promise<never> {
  Deno.exit(await runTask(task, Deno.args, systemHost(meetLauncher())));
}

/**
 * Runs a task.
 *
 * @param args The words after the task's name.
 * @returns The exit code; whatever is thrown has been printed.
 */
export async function runTask(task: Task, args: readonly string[], host: Host): Promise<ExitCode> {
  // Read here too, since arguments that cannot be parsed may hold it.
  const json = args.includes("--json");
  try {
    const usage = parse(task, args);
    if (usage.help) {
      host.out(helpText(task));
      return 0;
    }
    const resolved = await settingsOf(task, usage, host);
    const { quiet, json } = resolved.settings.run;
    using interruption = new Interruption(host);
    const summary = await task.run({
      settings: resolved.settings,
      resolved,
      words: usage.words,
      own: usage.own,
      command: [task.name, ...args],
      signal: interruption.signal,
      notes: host.notes,
      print: quiet ? () => {} : host.out,
      warn: host.error,
    });
    if (json) host.out(JSON.stringify(summary));
    return 0;
  } catch (error) {
    const code = exitCodeOf(error);
    for (const line of errorLines(error, host.debug)) host.error(line);
    if (json) host.out(JSON.stringify({ error: messageOf(error), exitCode: code }));
    return code;
  }
}

interface Usage {
  help: boolean;
  preset: string | undefined;
  config: string | undefined;
  words: string[];
  own: Record<string, string | boolean>;
  /** Flags of settings. */
  flags: Record<string, unknown>;
  problems: string[];
}

function parse(task: Task, args: readonly string[]): Usage {
  const settings = describeFlags().filter((flag) => takes(task, flag));
  const all = [...settings, ...(task.flags ?? [])];
  const booleans = all.filter(({ kind }) => kind === "boolean").map(({ flag }) => flag);
  const texts = all.filter(({ kind }) => kind !== "boolean").map(({ flag }) => flag);
  const hasPresets = settings.length > ALWAYS_TAKEN;
  const names = [...booleans, ...texts, ...(hasPresets ? ["preset", "config"] : []), "help"];
  const problems: string[] = [];
  const parsed: Record<string, unknown> = parseArgs(args, {
    boolean: [...booleans, "help"],
    string: ["_", ...texts, ...(hasPresets ? ["preset", "config"] : [])],
    negatable: booleans,
    alias: { help: "h" },
    // Null tells a boolean that is not given from one that is false.
    default: Object.fromEntries(booleans.map((flag) => [flag, null])),
    unknown: (word, key) => {
      if (key !== undefined) problems.push(unknownFlag(task, word, key, names));
      return key === undefined;
    },
  });
  const words = parsed["_"] as string[];
  const { min, max } = task.positional ?? { min: 0, max: 0 };
  if (words.length < min || words.length > max) problems.push(wordProblem(task, words));
  const given = (flags: readonly { flag: string }[]) =>
    Object.fromEntries(
      flags.map(({ flag }) => [flag, parsed[flag] ?? undefined]).filter(([, value]) => value !== undefined),
    );
  const flags: Record<string, unknown> = given(settings);
  for (const { flag, standsFor } of task.flags ?? []) {
    const value = parsed[flag];
    if (standsFor === undefined || typeof value !== "string") continue;
    if (standsFor in flags) problems.push(`--${flag} and --${standsFor} are one setting: leave one of them out`);
    flags[standsFor] = value;
  }
  return {
    help: parsed["help"] === true,
    preset: parsed["preset"] as string | undefined,
    config: parsed["config"] as string | undefined,
    words,
    own: given((task.flags ?? []).filter(({ standsFor }) => standsFor === undefined)),
    flags,
    problems,
  };
}

/** --quiet and --json. */
const ALWAYS_TAKEN = 2;

function unknownFlag(task: Task, word: string, key: string, names: readonly string[]): string {
  const typed = word.startsWith("--") ? `--${key}` : `-${key}`;
  if (describeFlags().some(({ flag }) => flag === key.replace(/^no-/, ""))) {
    return `${typed} is no flag of ${task.name}: see deno task ${task.name} --help`;
  }
  return `There is no flag ${typed}${didYouMean(key, names, "--")}`;
}

function wordProblem({ name, positional }: Task, words: readonly string[]): string {
  if (!positional) return `${name} takes flags only: found ${words.map((word) => `"${word}"`).join(" ")}`;
  const { min, max } = positional;
  const expected = min === max ? `${min}` : max === Infinity ? `at least ${min}` : `${min} to ${max}`;
  return `${name} takes ${expected} of ${positional.name}: found ${words.length}`;
}

/** Resolves the settings, adding what was wrong on the command line to what is wrong with them. */
async function settingsOf(
  { withoutData = false, presets: usual }: Task,
  usage: Usage,
  host: Host,
): Promise<ReturnType<typeof resolveSettings>> {
  const problems = [...usage.problems];
  let file: unknown;
  if (usage.config !== undefined) {
    try {
      file = JSON.parse(await host.readTextFile(usage.config));
    } catch (error) {
      problems.push(`--config ${usage.config || '""'} cannot be read: ${messageOf(error)}`);
    }
  }
  try {
    const resolved = resolveSettings({ preset: usage.preset, file, flags: usage.flags, withoutData, usual });
    if (problems.length === 0) return resolved;
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    problems.push(...error.problems);
  }
  throw new SettingsError(problems);
}

/** The first signal aborts, the second leaves; files are written so that leaving at any moment harms nothing. */
class Interruption implements Disposable {
  readonly #controller = new AbortController();
  readonly #listening: Disposable;

  constructor(host: Host) {
    this.#listening = host.onInterrupt(() => {
      if (this.signal.aborted) return host.exit(130);
      host.error("Interrupted: stopping after this step; once more leaves at once");
      this.#controller.abort(new DOMException("Interrupted: the same command goes on from here", "AbortError"));
    });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    this.#listening[Symbol.dispose]();
  }
}

/** An error may carry its `exitCode`; an abort is an interruption; all else is a failure. */
function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof DOMException && error.name === "AbortError") return 130;
  const code = error instanceof Error && "exitCode" in error ? error.exitCode : 1;
  return code === 2 || code === 3 || code === 130 ? code : 1;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}

function errorLines(error: unknown, debug: boolean): string[] {
  if (debug && error instanceof Error) {
    return [
      error.stack ?? String(error),
      ...causes(error).map((cause) => cause.stack ?? ""),
    ];
  }
  return [
    `error: ${messageOf(error)}`,
    ...causes(error).map((cause) => `  because: ${messageOf(cause)}`),
  ];
}

function causes(error: unknown): Error[] {
  const found: Error[] = [];
  let cause = error instanceof Error ? error.cause : undefined;
  while (cause instanceof Error && !found.includes(cause)) {
    found.push(cause);
    cause = cause.cause;
  }
  return found;
}

/** The process's own console, files and signals. */
function systemHost({ notes, passesSignals }: Launched): Host {
  return {
    out: (line) => console.log(line),
    error: (line) => console.error(line),
    readTextFile: (path) => Deno.readTextFile(path),
    debug: mayRead("TUBELET_DEBUG") && Boolean(Deno.env.get("TUBELET_DEBUG")),
    onInterrupt: (listener) => onInterrupt(listener, passesSignals),
    notes,
    exit: (code) => Deno.exit(code),
  };
}

/** Asking for a variable without permission would prompt. */
function mayRead(variable: string): boolean {
  return Deno.permissions.querySync({ name: "env", variable }).state === "granted";
}
