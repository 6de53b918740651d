/**
 * Reading the layers that settings come from: nested objects (presets, settings files) and flags. Both become a map
 * from dotted path to value; names that do not exist are reported with the nearest one that does.
 */
import { didYouMean } from "./nearest_name.ts";
import { type Setting, settingsByFlag, settingsByPath } from "./_setting_list.ts";

/** Values by dotted path. */
export type Layer = Map<string, unknown>;

const GROUPS = new Set([...settingsByPath.values()].map((setting) => setting.group));

/** Reads `{ group: { name: value } }`. `where` names the source in messages. */
export function readObject(value: unknown, where: string, problems: string[]): Layer {
  const layer: Layer = new Map();
  if (!isRecord(value)) {
    problems.push(`${where} holds ${kindOf(value)}: expected an object such as {"student": {"width": 384}}`);
    return layer;
  }
  for (const [group, entries] of Object.entries(value)) {
    if (!GROUPS.has(group)) {
      problems.push(`${where} has no group "${group}"${didYouMean(group, GROUPS)}`);
    } else if (!isRecord(entries)) {
      problems.push(`${where} holds ${kindOf(entries)} as "${group}": expected an object of settings`);
    } else {
      for (const [name, entry] of Object.entries(entries)) {
        const path = `${group}.${name}`;
        if (settingsByPath.has(path)) layer.set(path, entry);
        else problems.push(`${where} has no setting "${path}"${didYouMean(path, settingsByPath.keys())}`);
      }
    }
  }
  return layer;
}

/** Reads flags: names in kebab case without dashes, values as `parseArgs` gives them. Undefined counts as not given. */
export function readFlags(flags: Readonly<Record<string, unknown>>, problems: string[]): Layer {
  const layer: Layer = new Map();
  for (const [flag, value] of Object.entries(flags)) {
    if (value === undefined) continue;
    const setting = settingsByFlag.get(flag);
    if (setting) layer.set(setting.path, fromText(setting, value));
    else problems.push(`There is no flag --${flag}${didYouMean(flag, settingsByFlag.keys(), "--")}`);
  }
  return layer;
}

/** Text becomes what the setting's kind asks for; what does not fit stays text and is refused with its range. */
function fromText(setting: Setting, value: unknown): unknown {
  if (typeof value !== "string") return value;
  const { kind, nullable } = setting.note;
  if (nullable && value === "none") return null;
  switch (kind) {
    case "number":
      return numberFrom(value);
    case "numbers":
      return value.split(",").map(numberFrom);
    case "boolean":
      return value === "true" ? true : value === "false" ? false : value;
    case "text":
      return value;
  }
}

function numberFrom(text: string): number | string {
  return /^\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?\s*$/i.test(text) ? Number(text) : text;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): string {
  return value === null ? "null" : Array.isArray(value) ? "an array" : `a ${typeof value}`;
}
