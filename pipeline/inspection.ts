/** What looking at a path gives: facts, and what is wrong; as an object for programs and as lines for people. */
import { printable } from "./report/printable.ts";
import type { Json } from "./shards/config_hash.ts";
import { formatBytes, formatCount, formatDuration } from "./units.ts";

/** What a path can be. */
export type InspectedKind =
  | "shard"
  | "shard set"
  | "checkpoint"
  | "checkpoints"
  | "safetensors file"
  | "PyTorch file"
  | "list of weight files"
  | "run"
  | "cache";

/** What was found. */
export interface Inspection {
  readonly path: string;
  readonly kind: InspectedKind;
  /** In the order in which they are shown. `bytes` and `seconds` are shown in larger units. */
  readonly facts: Facts;
  /** One sentence each: the file, what is wrong with it, what mends it. None if all is whole. */
  readonly problems: readonly string[];
}

/** Named values; lists of them are rows of a table. */
export type Facts = { readonly [name: string]: Json };

/** Sentences that an error lists; all are in {@linkcode Inspection.problems}. */
const LISTED = 20;
const NAME_WIDTH = 10;

/** Something is not whole; a task ends with exit code 1. */
export class DamagedError extends Error {
  override readonly name = "DamagedError";

  constructor(readonly inspection: Inspection) {
    const { path, kind, problems } = inspection;
    const rest = problems.length - LISTED;
    const listed = [...problems.slice(0, LISTED), ...(rest > 0 ? [`and ${formatCount(rest)} more`] : [])];
    super(`The ${kind} ${printable(path)} is not whole:\n  ${listed.map(printable).join("\n  ")}`);
  }
}

/** The inspection as lines of text, without what is wrong, which {@linkcode DamagedError} says. */
export function inspectionLines({ kind, path, facts, problems }: Inspection): string[] {
  const verdict = problems.length === 0 ? "yes" : "no";
  return factLines({ [kind]: path, ...facts, whole: verdict }, "");
}

function factLines(facts: Facts, indent: string): string[] {
  const width = Math.max(NAME_WIDTH, ...Object.keys(facts).map((name) => name.length));
  return Object.entries(facts).flatMap(([name, value]) => {
    if (isTable(value)) return [`${indent}${name}`, ...value.map((row) => `${indent}  ${rowText(row)}`)];
    if (isFacts(value)) return [indent + printable(name), ...factLines(value, `${indent}  `)];
    return [`${indent}${printable(name).padEnd(width)}  ${valueText(name, value)}`];
  });
}

function rowText(row: Facts): string {
  const known = Object.entries(row).filter(([, value]) => value !== null);
  return known.map(([name, value]) => `${name} ${valueText(name, value)}`).join(", ");
}

function valueText(name: string, value: Json): string {
  if (typeof value === "string") return printable(value);
  if (value === null || (Array.isArray(value) && value.length === 0)) return "none";
  if (typeof value !== "number") return printable(JSON.stringify(value));
  if (name === "bytes") return formatBytes(value);
  if (name === "seconds") return formatDuration(value);
  return Number.isInteger(value) ? formatCount(value) : String(Number(value.toPrecision(4)));
}

function isFacts(value: Json): value is Facts {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isTable(value: Json): value is readonly Facts[] {
  return Array.isArray(value) && value.length > 0 && value.every(isFacts);
}

/** What an error says, for a sentence about damage. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
