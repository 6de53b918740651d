/**
 * The settings of a run: one typed schema, resolved from defaults, a preset, a settings file and flags (the later wins).
 * Every value keeps its origin. All problems are reported at once, before any work begins.
 */
import { didYouMean } from "./nearest_name.ts";
import type { SettingKind, Stage } from "./_setting_fields.ts";
import { type Setting, settingList, settingsByPath } from "./_setting_list.ts";
import { impossibleCombinations } from "./_settings_checks.ts";
import { type Layer, readFlags, readObject } from "./_settings_layers.ts";
import { type PartialSettings, type Settings, settingsSchema } from "./_settings_schema.ts";
import { type Preset, presets } from "./presets/mod.ts";

export { type Stage, STAGES } from "./_setting_fields.ts";
export type { PartialSettings, Settings };

/** Where a value came from. */
export type Origin = "default" | "preset" | "file" | "flag";

/** Settings that cannot be used; a task ends with exit code 2. */
export class SettingsError extends Error {
  override readonly name = "SettingsError";
  readonly exitCode = 2;

  /** @param problems One sentence for each thing to mend. */
  constructor(readonly problems: readonly string[]) {
    super(
      problems.length === 1 ? problems[0] : `${problems.length} settings cannot be used:\n  ${problems.join("\n  ")}`,
    );
  }
}

/** What settings are resolved from. */
export interface SettingsSources {
  /**
   * Name of a preset.
   * @default the file's preset; without one that of `usual`
   */
  preset?: string | undefined;
  /** Presets where none is named. @default "demo" if no data list is given, else none */
  usual?: UsualPresets | undefined;
  /**
   * Parsed settings file: `{"student": {"width": 192}}`, with `"preset"` beside the groups if wanted. The `config.json`
   * of a run is one too.
   */
  file?: unknown;
  /** Flags in kebab case without dashes, values as text or already typed; undefined is not given. */
  flags: Readonly<Record<string, unknown>>;
  /** Whether a preset for clips of the user's own may stand without a list of them, as in a plan. @default false */
  withoutData?: boolean;
}

/** The presets that a task takes where none is named. */
export interface UsualPresets {
  /** Without a list: clips made here. */
  demo: string;
  /** For a list of the user's; null leaves the defaults. */
  own: string | null;
}

/** Settings, and where each came from. */
export interface ResolvedSettings {
  settings: Settings;
  /** By dotted path, such as "student.width". */
  origins: Record<string, Origin>;
  /** The preset used, null if none. */
  preset: string | null;
}

/**
 * Resolves the settings of a run.
 *
 * @throws {SettingsError} naming every unknown name, wrong value and impossible combination
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { resolveSettings } from "./settings.ts";
 *
 * const { settings, origins } = resolveSettings({ preset: "demo", flags: { "pretrain-epochs": "3" } });
 * assertEquals(settings.pretrain.epochs, 3);
 * assertEquals(origins["pretrain.epochs"], "flag");
 * ```
 */
export function resolveSettings(sources: SettingsSources): ResolvedSettings {
  const problems: string[] = [];
  const flags = readFlags(sources.flags, problems);
  const { layer: file, preset: filePreset } = readFile(sources.file, problems);
  const hasData = (flags.get("data.data") ?? file.get("data.data") ?? null) !== null;
  const usual = sources.usual ?? { demo: "demo", own: null };
  const name = sources.preset ?? filePreset ?? (hasData ? usual.own : usual.demo);
  const preset = name === null ? undefined : findPreset(name, problems);
  if (preset?.needsData && !hasData && !sources.withoutData) {
    problems.push(`--preset ${name} is for clips of your own: name them with --data LIST and --videos FOLDER`);
  }
  const layers: [Origin, Layer][] = [
    ["preset", preset ? readObject(preset.settings, `preset ${name}`, problems) : new Map()],
    ["file", file],
    ["flag", flags],
  ];
  const { values, origins } = stack(layers, problems);
  if (origins["run.run"] === "default") values.set("run.run", `runs/${name ?? "tubelet"}`);
  if (problems.length > 0) throw new SettingsError(problems);
  const settings = settingsSchema.parse(nest(values));
  // With a given student the sizes of its network are not known yet: `withStudentSizes` checks.
  const impossible = settings.student.weights === null ? impossibleCombinations(settings) : [];
  if (impossible.length > 0) throw new SettingsError(impossible);
  return { settings, origins, preset: name };
}

/** A settings file, or the `config.json` of a run, whose settings lie under "settings". */
function readFile(file: unknown, problems: string[]): { layer: Layer; preset: string | null } {
  if (file === undefined) return { layer: new Map(), preset: null };
  const where = "the settings file";
  if (typeof file !== "object" || file === null || Array.isArray(file)) {
    return { layer: readObject(file, where, problems), preset: null };
  }
  const { preset = null, settings, ...rest } = file as Record<string, unknown>;
  if (preset !== null && typeof preset !== "string") {
    problems.push(`"preset" in ${where} is ${show(preset)}: expected the name of a preset`);
  }
  const layer = readObject(settings ?? rest, where, problems);
  return { layer, preset: typeof preset === "string" ? preset : null };
}

function findPreset(name: string, problems: string[]): Preset | undefined {
  const preset = presets.get(name);
  if (!preset) {
    problems.push(
      `There is no preset "${name}"${didYouMean(name, presets.keys())}; there are ${[...presets.keys()].join(", ")}`,
    );
  }
  return preset;
}

/** Lays the layers over the defaults and checks every value by itself. */
function stack(layers: [Origin, Layer][], problems: string[]): { values: Layer; origins: Record<string, Origin> } {
  const values: Layer = new Map();
  const origins: Record<string, Origin> = {};
  for (const setting of settingList) {
    const [origin, layer] = layers.findLast(([, layer]) => layer.has(setting.path)) ?? ["default", undefined];
    const value = layer ? layer.get(setting.path) : setting.default;
    if (!setting.type.safeParse(value).success) problems.push(outOfRange(setting, value, origin));
    values.set(setting.path, value);
    origins[setting.path] = origin;
  }
  return { values, origins };
}

function outOfRange({ flag, path, note }: Setting, value: unknown, origin: Origin): string {
  const where = origin === "file" ? `${path} (--${flag}) in the settings file` : `--${flag}`;
  const unit = note.unit ? `, in ${note.unit}` : "";
  return `${where} is ${value === "" ? "empty" : show(value)}: expected ${note.range}${unit}`;
}

function show(value: unknown): string {
  return typeof value === "string" ? `"${value}"` : JSON.stringify(value) ?? String(value);
}

function nest(values: Layer): Record<string, Record<string, unknown>> {
  const nested: Record<string, Record<string, unknown>> = {};
  for (const [path, value] of values) {
    const { group, name } = settingsByPath.get(path) as Setting;
    (nested[group] ??= {})[name] = value;
  }
  return nested;
}

/**
 * The settings that change what a stage computes, and nothing else: what a stage hashes, beside its input files, to know
 * whether it has something to do. Paths are not among them; a stage hashes what the files hold.
 *
 * @returns A copy, by group, such as `{ clip: { size: 224, ... } }`.
 */
export function resultSettings(settings: Settings, stage: Stage): Record<string, Record<string, unknown>> {
  const values = flattenSettings(settings);
  return nest(
    new Map(settingList.filter((s) => s.note.affects.includes(stage)).map((s) => [s.path, values.get(s.path)])),
  );
}

/** All settings by dotted path, in the order of the schema. */
export function flattenSettings(settings: Settings): Map<string, unknown> {
  const groups = settings as unknown as Record<string, Record<string, unknown>>;
  return new Map(settingList.map(({ path, group, name }) => [path, structuredClone(groups[group]?.[name])]));
}

/** A setting as `--help` shows it. */
export interface FlagDescription {
  /** Dotted path, such as "student.width". */
  path: string;
  group: string;
  /** Flag without dashes. */
  flag: string;
  kind: SettingKind;
  /** One sentence, no final stop. */
  about: string;
  /** Accepted values in words. */
  range: string;
  /** Undefined where the value has no unit. */
  unit: string | undefined;
  default: unknown;
  /** Stages whose result the value changes directly. */
  affects: readonly Stage[];
}

/** All flags, in the order of `--help`. */
export function describeFlags(): FlagDescription[] {
  return settingList.map(({ path, group, flag, note, default: value }) => ({
    path,
    group,
    flag,
    kind: note.kind,
    about: note.about,
    range: note.range,
    unit: note.unit,
    default: value,
    affects: note.affects,
  }));
}

/**
 * How many bad clips `data.maxBad` allows.
 *
 * @param maxBad A share such as "1%", or a number of clips.
 * @param clips Number of clips in the list.
 * @returns Whole clips, rounded down.
 */
export function badClipLimit(maxBad: string, clips: number): number {
  return maxBad.endsWith("%") ? Math.floor(Number(maxBad.slice(0, -1)) * clips / 100) : Number(maxBad);
}
