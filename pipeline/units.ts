/** Numbers for people: bytes, durations, rates, counts, shares. One place, so that all output reads alike. */

const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** At most three significant digits, but never fewer than the whole part has. */
function threeDigits(value: number): string {
  const size = Math.abs(value);
  return size >= 99.95 ? value.toFixed(0) : size >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

/**
 * Bytes in powers of 1000.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { formatBytes } from "./units.ts";
 *
 * assertEquals(formatBytes(1_605_632), "1.61 MB");
 * ```
 */
export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes)) return "? B";
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 999.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : threeDigits(value)} ${BYTE_UNITS[unit]}`;
}

/**
 * A duration in its two largest units.
 *
 * @param seconds Seconds.
 * @returns Such as "0.25 s", "59 s", "2 min 5 s", "3 h 20 min", "2 d 4 h"; "?" for what is no duration.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { formatDuration } from "./units.ts";
 *
 * assertEquals([0.25, 59.4, 125, 12_000].map(formatDuration), ["0.25 s", "59 s", "2 min 5 s", "3 h 20 min"]);
 * ```
 */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return "?";
  if (seconds < 9.95) return `${Number(seconds.toPrecision(2))} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return pair(whole, 60, "min", "s");
  const minutes = Math.round(seconds / 60);
  if (minutes < 24 * 60) return pair(minutes, 60, "h", "min");
  return pair(Math.round(seconds / 3600), 24, "d", "h");
}

function pair(value: number, per: number, big: string, small: string): string {
  const rest = value % per;
  return `${Math.floor(value / per)} ${big}${rest > 0 ? ` ${rest} ${small}` : ""}`;
}

/** A rate such as "12.3 clips/s"; slow ones are turned round: "4.00 s/step". */
export function formatRate(perSecond: number, what: string, one: string): string {
  if (!Number.isFinite(perSecond) || perSecond <= 0) return `? ${what}/s`;
  return perSecond < 0.5 ? `${threeDigits(1 / perSecond)} s/${one}` : `${formatCount(perSecond)} ${what}/s`;
}

/** A count with separated thousands: "240,436"; fractions keep three digits: "12.3". */
export function formatCount(count: number): string {
  if (!Number.isFinite(count)) return "?";
  const text = Number.isInteger(count) ? String(Math.abs(count)) : threeDigits(Math.abs(count));
  const [whole = "", fraction] = text.split(".");
  const separated = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return `${count < 0 ? "-" : ""}${separated}${fraction ? `.${fraction}` : ""}`;
}

/** A number and its noun: "1 clip", "2 clips", "0 clips". */
export function formatAmount(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/** A share as a percentage with one decimal: "81.0 %". */
export function formatShare(share: number): string {
  return Number.isFinite(share) ? `${(share * 100).toFixed(1)} %` : "? %";
}
