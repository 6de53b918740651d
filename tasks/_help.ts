/** The text of `--help`, made from the schema of the settings and the presets, so that it cannot go stale. */
import { describeFlags, type FlagDescription } from "../pipeline/settings.ts";
import { presets } from "../pipeline/presets/mod.ts";
import { takes, type Task } from "./_task.ts";

const COLUMN = 32;

/** The help of a task, without a line end. */
export function helpText(task: Task): string {
  const settings = describeFlags().filter((flag) => takes(task, flag));
  const words = task.positional ? ` ${task.positional.name}` : "";
  const lines = [task.about, "", `Usage: deno task ${task.name}${words} [flags]`, "", "Examples:"];
  for (const { command, about } of task.examples) lines.push(`  ${command}`, `      ${about}`);
  lines.push("", "Flags:");
  if (task.positional) lines.push(row(task.positional.name, task.positional.about));
  for (const { flag, kind, about } of task.flags ?? []) {
    lines.push(row(`--${flag}${kind === "boolean" ? "" : " TEXT"}`, about));
  }
  lines.push(...commonFlags(settings.length > 2));
  for (const [group, flags] of Map.groupBy(settings, (flag) => flag.group)) {
    lines.push("", `Settings, ${group}:`, ...flags.map(settingRow));
  }
  if (settings.length > 2) lines.push("", "Presets:", ...[...presets].map(([name, { about }]) => row(name, about)));
  lines.push("", "Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 data incomplete, 130 interrupted");
  return lines.join("\n");
}

function commonFlags(hasSettings: boolean): string[] {
  const settings = [
    row("--preset NAME", "Start from a named recipe, listed below"),
    row("--config FILE", 'Settings as JSON, {"student": {"width": 192}}, or a run\'s config.json; flags win over it'),
  ];
  return [...(hasSettings ? settings : []), row("--help, -h", "Show this text")];
}

function settingRow({ flag, kind, about, unit, range, default: value }: FlagDescription): string {
  if (kind === "boolean") return row(`--${value ? "no-" : ""}${flag}`, value ? `Do not: ${about}` : about);
  const shown = value === null ? "none" : Array.isArray(value) ? value.join(",") : String(value);
  const form = kind === "text" ? "TEXT" : kind === "number" ? "N" : "N,N";
  return row(`--${flag} ${form}`, `${about} [${shown}${unit && value !== null ? ` ${unit}` : ""}; ${range}]`);
}

function row(left: string, right: string): string {
  return `  ${left.padEnd(COLUMN - 2)}${left.length > COLUMN - 4 ? `\n${" ".repeat(COLUMN)}` : ""}${right}`;
}
