/**
 * The kinds of setting: each constructor makes a zod type with its default and notes beside it what zod does not keep
 * (unit, range in words, one sentence, which stages' results it changes). Help texts, error texts, flag parsing and
 * stage hashes are all derived from these notes.
 */
import { z } from "zod";

/** The stages, in the order in which a run goes through them. */
export const STAGES = [
  "demo",
  "prepare",
  "train-teacher",
  "teach",
  "pretrain",
  "finetune",
  "evaluate",
  "probe",
  "report",
] as const;

/** A step of a run that reads files and leaves files. */
export type Stage = typeof STAGES[number];

/** What is said of every setting. */
export interface About {
  /** One sentence for --help, no final stop. */
  about: string;
  /** Unit of the value, such as "frames" or "seconds". */
  unit?: string;
  /**
   * Stages whose result this value changes directly. A later stage depends on it through the files it reads; a value
   * that only says where files lie or how fast the work goes affects none.
   */
  affects?: readonly Stage[];
  /** The flag without dashes, where the name in kebab case would not do. */
  flag?: string;
}

/** How the text of a flag becomes a value. */
export type SettingKind = "boolean" | "number" | "numbers" | "text";

/** Everything known of a setting beside its type. */
export interface Note extends About {
  affects: readonly Stage[];
  kind: SettingKind;
  /** Accepted values in words, such as "a whole number from 1 to 64". */
  range: string;
  /** Whether "none" (null in files) is a value. */
  nullable: boolean;
}

/** The notes, by zod type. */
export const notes: z.core.$ZodRegistry<Note> = z.registry<Note>();

function noted<T extends z.ZodType>(type: T, kind: SettingKind, range: string, about: About, nullable = false): T {
  notes.add(type, { affects: [], ...about, kind, range: nullable ? `${range}, or none` : range, nullable });
  return type;
}

/** A whole number from `min` to `max`. */
export function whole(value: number, min: number, max: number, about: About): z.ZodDefault<z.ZodInt> {
  return noted(z.int().min(min).max(max).default(value), "number", `a whole number from ${min} to ${max}`, about);
}

/** A finite number from `min` to `max`, both included. */
export function real(value: number, min: number, max: number, about: About): z.ZodDefault<z.ZodNumber> {
  return noted(z.number().min(min).max(max).default(value), "number", `a number from ${min} to ${max}`, about);
}

/** A number above zero and up to `max`, or none. */
export function positiveOrNone(
  value: number | null,
  max: number,
  about: About,
): z.ZodDefault<z.ZodNullable<z.ZodNumber>> {
  const type = z.number().gt(0).max(max).nullable().default(value);
  return noted(type, "number", `a number above 0 and up to ${max}`, about, true);
}

/** A number above zero and below one, or none. */
export function between0And1OrNone(about: About): z.ZodDefault<z.ZodNullable<z.ZodNumber>> {
  return noted(z.number().gt(0).lt(1).nullable().default(null), "number", "a number above 0 and below 1", about, true);
}

/** Whole numbers, ascending, at least one. */
export function ascending(value: readonly number[], about: About): z.ZodDefault<z.ZodArray<z.ZodInt>> {
  const type = z.array(z.int().min(1)).min(1)
    .refine((list) => list.every((item, i) => i === 0 || item > (list[i - 1] as number)))
    .default([...value]);
  return noted(type, "numbers", "ascending whole numbers from 1, separated by commas", about);
}

/** Yes or no. */
export function yesNo(value: boolean, about: About): z.ZodDefault<z.ZodBoolean> {
  return noted(z.boolean().default(value), "boolean", "true or false", about);
}

/** One of a few words. */
export function choice<const T extends string>(
  value: NoInfer<T>,
  options: readonly T[],
  about: About,
): z.ZodDefault<z.ZodEnum<{ [K in T]: K }>> {
  // The casts restore what zod's own signature widens: an enum of exactly these words.
  const type = z.enum(options as readonly [T, ...T[]]).default(value as never);
  return noted(type as unknown as z.ZodDefault<z.ZodEnum<{ [K in T]: K }>>, "text", options.join(" | "), about);
}

/** One of a few words, or none. */
export function choiceOrNone<const T extends string>(
  options: readonly T[],
  about: About,
): z.ZodDefault<z.ZodNullable<z.ZodEnum<{ [K in T]: K }>>> {
  const type = z.enum(options as readonly [T, ...T[]]).nullable().default(null);
  return noted(
    type as unknown as z.ZodDefault<z.ZodNullable<z.ZodEnum<{ [K in T]: K }>>>,
    "text",
    options.join(" | "),
    about,
    true,
  );
}

/** A path that must be given. */
export function path(value: string, about: About): z.ZodDefault<z.ZodString> {
  return noted(z.string().min(1).regex(/^[^\0]*$/).default(value), "text", "a path", about);
}

/** A path, or none. */
export function pathOrNone(about: About, value: string | null = null): z.ZodDefault<z.ZodNullable<z.ZodString>> {
  return noted(z.string().min(1).regex(/^[^\0]*$/).nullable().default(value), "text", "a path", about, true);
}

/** Text of a given form. */
export function matching(value: string, form: RegExp, range: string, about: About): z.ZodDefault<z.ZodString> {
  return noted(z.string().regex(form).default(value), "text", range, about);
}

/** Text of a given form, or none. */
export function matchingOrNone(form: RegExp, range: string, about: About): z.ZodDefault<z.ZodNullable<z.ZodString>> {
  return noted(z.string().regex(form).nullable().default(null), "text", range, about, true);
}
