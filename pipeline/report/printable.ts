/** Text from outside (file names, lists, error messages) made safe to show: what would act instead of being seen is spelled out. */

/** Control characters, and marks that turn the direction of text or show nothing. */
// deno-lint-ignore no-control-regex
const ACTING = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]|\p{Surrogate}/gu;

/**
 * Spells out control characters, direction marks and broken characters, so that a name can neither steer a terminal nor
 * pass for another one.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { printable } from "./printable.ts";
 *
 * assertEquals(printable("a\x1b[2Jb\nc é"), "a\\u{1b}[2Jb\\u{a}c é");
 * ```
 */
export function printable(text: string): string {
  return text.replace(ACTING, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}
