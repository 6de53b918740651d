/**
 * The settings as a flat list: dotted path, flag, notes, default. A flag is the setting's name in kebab case; where two
 * groups share a name the group goes before it (`--student-width`, `--pretrain-epochs`).
 */
import type { z } from "zod";
import { type Note, notes } from "./_setting_fields.ts";
import { settingsSchema } from "./_settings_schema.ts";

/** One setting. */
export interface Setting {
  /** Dotted path, such as "student.width". */
  path: string;
  group: string;
  name: string;
  /** Flag without dashes, such as "student-width". */
  flag: string;
  note: Note;
  default: unknown;
  type: z.ZodType;
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function listSettings(): Setting[] {
  const groups = Object.entries(settingsSchema.shape) as [string, { shape: Record<string, z.ZodType> }][];
  const count = new Map<string, number>();
  for (const [, { shape }] of groups) {
    for (const name of Object.keys(shape)) count.set(name, (count.get(name) ?? 0) + 1);
  }
  return groups.flatMap(([group, { shape }]) =>
    Object.entries(shape).map(([name, type]) => {
      const note = notes.get(type) as Note;
      const flag = note.flag ?? ((count.get(name) ?? 0) > 1 ? `${group}-${kebab(name)}` : kebab(name));
      return { path: `${group}.${name}`, group, name, flag, note, default: type.parse(undefined), type };
    })
  );
}

/** All settings in the order of the schema. */
export const settingList: readonly Setting[] = listSettings();

/** Settings by dotted path. */
export const settingsByPath: ReadonlyMap<string, Setting> = new Map(settingList.map((s) => [s.path, s]));

/** Settings by flag, without dashes. */
export const settingsByFlag: ReadonlyMap<string, Setting> = new Map(settingList.map((s) => [s.flag, s]));
