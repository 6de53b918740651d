/** How values and their difference are shown in a failed assertion. */
import { inspect } from "node:util";

/** A value on as many lines as it needs, keys sorted so that two equal objects print alike. */
export function describe(value: unknown): string {
  return inspect(value, {
    depth: 12,
    sorted: true,
    compact: false,
    breakLength: 100,
    maxArrayLength: 1000,
    maxStringLength: 20_000,
  });
}

/** A value on one line, cut after 200 characters. */
export function describeShort(value: unknown): string {
  const text = inspect(value, {
    depth: 3,
    compact: true,
    breakLength: Infinity,
  });
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

/** ": msg" to append to a sentence, or nothing. */
export function suffix(msg: string | undefined): string {
  return msg ? `: ${msg}` : "";
}

const MAX_LINES = 80;

/** Line difference, `-` for actual only, `+` for expected only, with three lines of context. */
export function difference(actual: unknown, expected: unknown): string {
  const a = describe(actual).split("\n");
  const b = describe(expected).split("\n");
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (
    end < a.length - start && end < b.length - start &&
    a[a.length - 1 - end] === b[b.length - 1 - end]
  ) end++;
  const middle = changes(
    a.slice(start, a.length - end),
    b.slice(start, b.length - end),
  );
  const before = a.slice(Math.max(0, start - 3), start).map((line) => `    ${line}`);
  const after = a.slice(a.length - end, a.length - end + 3).map((line) => `    ${line}`);
  const shown = middle.slice(0, MAX_LINES);
  if (middle.length > MAX_LINES) {
    shown.push(`    … ${middle.length - MAX_LINES} more lines`);
  }
  const where = firstDifferentIndex(actual, expected);
  return [
    `    [actual: -] [expected: +]${where}`,
    "",
    ...before,
    ...shown,
    ...after,
  ].join("\n");
}

/** Longest common subsequence of the lines; beyond a million pairs the two sides are listed one after the other. */
function changes(a: string[], b: string[]): string[] {
  if (a.length * b.length > 1e6) {
    return [
      ...a.map((line) => `-   ${line}`),
      ...b.map((line) => `+   ${line}`),
    ];
  }
  const columns = b.length + 1;
  const common = new Uint32Array((a.length + 1) * columns);
  const at = (i: number, j: number) => common[i * columns + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      common[i * columns + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: string[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push(`    ${a[i]}`);
      i++;
      j++;
    } else if (
      i < a.length && (j === b.length || at(i + 1, j) >= at(i, j + 1))
    ) {
      lines.push(`-   ${a[i++]}`);
    } else {
      lines.push(`+   ${b[j++]}`);
    }
  }
  return lines;
}

/** In a long array the index says more than the lines around it. */
function firstDifferentIndex(actual: unknown, expected: unknown): string {
  if (!isNumeric(actual) || !isNumeric(expected)) return "";
  const length = Math.min(actual.length, expected.length);
  for (let i = 0; i < length; i++) {
    if (
      actual[i] !== expected[i] &&
      !(Number.isNaN(actual[i]) && Number.isNaN(expected[i]))
    ) {
      return `, first at index ${i}: ${actual[i]} and ${expected[i]} (lengths ${actual.length} and ${expected.length})`;
    }
  }
  return `, lengths ${actual.length} and ${expected.length}`;
}

function isNumeric(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) ||
    (ArrayBuffer.isView(value) && !(value instanceof DataView));
}
