/** What a task is: a name, a help text, the settings it takes and one function to call. */
import type { ResolvedSettings, Settings, UsualPresets } from "../pipeline/settings.ts";
import type { Notes } from "./_last_words.ts";

/** A flag of one task that is no setting. */
export interface OwnFlag {
  /** Without dashes. */
  flag: string;
  kind: "boolean" | "text";
  /** One sentence, no final stop. */
  about: string;
  /** Flag, without dashes, of the setting that it is another name for. @default it is no setting */
  standsFor?: string;
}

/** What a task's function gets. */
export interface TaskContext {
  settings: Settings;
  /** The settings with their origins, for the run folder. */
  resolved: ResolvedSettings;
  /** Words that belong to no flag. */
  words: readonly string[];
  /** Values of the task's own flags, those that were given. */
  own: Readonly<Record<string, string | boolean>>;
  /** Task name and arguments, for the report. */
  command: readonly string[];
  /** Aborted by the first Ctrl-C or SIGTERM: finish the step, write a checkpoint, throw `signal.reason`. */
  signal: AbortSignal;
  /** Keeps what the task is doing, for the report of its death. */
  notes: Notes;
  /** Prints a line to stdout; nothing with --quiet. */
  print: (line: string) => void;
  /** Prints a line to stderr, with --quiet too. */
  warn: (line: string) => void;
}

/** A command of the tool. */
export interface Task {
  /** Name in `deno task NAME`. */
  name: string;
  /** One sentence or two for --help. */
  about: string;
  examples: readonly { command: string; about: string }[];
  /** Settings it takes, as groups ("data") or paths ("run.seed"); --quiet and --json always. @default all */
  settings?: readonly string[];
  /** @default none */
  flags?: readonly OwnFlag[];
  /** Its presets where none is named. @default "demo" without a list of clips, none with one */
  presets?: UsualPresets;
  /** Whether a preset for clips of one's own may stand without a list of them. @default false */
  withoutData?: boolean;
  /** The words it takes. @default none */
  positional?: { name: string; about: string; min: number; max: number };
  /**
   * Does the work.
   *
   * @returns The summary that --json prints as one line.
   */
  run: (context: TaskContext) => Promise<Readonly<Record<string, unknown>>>;
}

const ALWAYS = new Set(["run.quiet", "run.json"]);

/** Whether a task takes a setting. */
export function takes(task: Task, setting: { path: string; group: string }): boolean {
  return !task.settings || ALWAYS.has(setting.path) || task.settings.includes(setting.group) ||
    task.settings.includes(setting.path);
}
