/** HTML as a tagged template: every value is escaped unless it is HTML already, so that no list or path can add markup. */
import { printable } from "./printable.ts";

/** Markup that may be put into a page as it is. */
export class Html {
  /** @param markup Trusted markup: made here, or by a program that escapes. */
  constructor(readonly markup: string) {}
}

/** What a template may hold; null, undefined and false leave nothing. */
export type HtmlValue = string | number | Html | null | undefined | false | readonly HtmlValue[];

/**
 * Joins markup and values: text is escaped for element content and quoted attributes, control characters and direction marks are spelled out.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { html } from "./html.ts";
 *
 * assertEquals(html`<td title="${'"'}">${"<b>&"}</td>`.markup, '<td title="&quot;">&lt;b&gt;&amp;</td>');
 * ```
 */
export function html(parts: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  // Indentation is for the reader of the source.
  const flat = parts.map((part) => part.replace(/\s*\n\s*/g, "\n"));
  return new Html(flat.reduce((text, part, i) => text + markupOf(values[i - 1]) + part));
}

function markupOf(value: HtmlValue): string {
  if (value === null || value === undefined || value === false) return "";
  if (value instanceof Html) return value.markup;
  if (typeof value === "string" || typeof value === "number") return escape(String(value));
  return value.map(markupOf).join("");
}

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function escape(text: string): string {
  return printable(text).replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}
