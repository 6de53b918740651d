/**
 * Canonical JSON and its SHA-256: two configurations are the same exactly when their hashes are. Keys are sorted,
 * there is no white space, and values that JSON would change silently (undefined, NaN, dates, -0) are refused.
 */
import { createHash } from "node:crypto";

/** A value that JSON holds without loss. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Hexadecimal digits of a hash that name a folder. */
const FOLDER_DIGITS = 12;

/**
 * Writes a value as canonical JSON.
 *
 * @param value Plain objects, arrays, strings, finite numbers, booleans and null.
 * @returns JSON text with sorted keys and no white space.
 * @throws {TypeError} If a value is something else; the message names its place.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { canonicalJson } from "./config_hash.ts";
 *
 * assertEquals(canonicalJson({ b: [1, "x"], a: null }), '{"a":null,"b":[1,"x"]}');
 * ```
 */
export function canonicalJson(value: unknown): string {
  return encode(value, "the configuration");
}

function encode(value: unknown, place: string): string {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw new TypeError(`${place} holds a string that is not valid Unicode`);
    return JSON.stringify(value);
  }
  if (typeof value === "number" && Number.isFinite(value) && !Object.is(value, -0)) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${Array.from(value, (item, i) => encode(item, `${place}[${i}]`)).join(",")}]`;
  if (typeof value === "object" && [Object.prototype, null].includes(Object.getPrototypeOf(value))) {
    const entries = Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1);
    return `{${entries.map(([key, item]) => `${encode(key, place)}:${encode(item, `${place}.${key}`)}`).join(",")}}`;
  }
  throw new TypeError(`${place} is ${Object.is(value, -0) ? "-0" : String(value)}, which JSON cannot hold unchanged`);
}

/**
 * SHA-256 of text (as UTF-8) or bytes.
 *
 * @returns 64 hexadecimal digits.
 */
export function sha256Hex(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

/**
 * The hash of a configuration.
 *
 * @param config Any value {@linkcode canonicalJson} accepts.
 * @returns SHA-256 of its canonical JSON, 64 hexadecimal digits.
 */
export function configHash(config: unknown): string {
  return sha256Hex(canonicalJson(config));
}

/** The folder name of a configuration: the first 12 digits of its hash. */
export function configFolder(config: unknown): string {
  return configHash(config).slice(0, FOLDER_DIGITS);
}

/** Hash of what a set of shards holds: of the SHA-256 of all its files, in order. */
export function contentSha256(shards: readonly string[]): string {
  return sha256Hex(shards.join("\n"));
}
