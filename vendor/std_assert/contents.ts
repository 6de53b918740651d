/** Assertions on what a string, an array or an object contains. */
import { AssertionError } from "./assertion_error.ts";
import { equal } from "./equal.ts";
import { describeShort, difference, suffix } from "./_describe.ts";

/** An array or array-like. */
export type ArrayLikeArg<T> = ArrayLike<T> & object;

/** Fails unless `actual` matches the expression. @throws {AssertionError} */
export function assertMatch(
  actual: string,
  expected: RegExp,
  msg?: string,
): void {
  if (actual.search(expected) >= 0) return;
  throw new AssertionError(
    `Expected actual: "${actual}" to match: "${expected}"${suffix(msg)}`,
  );
}

/** Fails if `actual` matches the expression. @throws {AssertionError} */
export function assertNotMatch(
  actual: string,
  expected: RegExp,
  msg?: string,
): void {
  if (actual.search(expected) < 0) return;
  throw new AssertionError(
    `Expected actual: "${actual}" to not match: "${expected}"${suffix(msg)}`,
  );
}

/** Fails unless `actual` contains `expected`. @throws {AssertionError} */
export function assertStringIncludes(
  actual: string,
  expected: string,
  msg?: string,
): void {
  if (actual.includes(expected)) return;
  throw new AssertionError(
    `Expected actual: "${actual}" to contain: "${expected}"${suffix(msg)}`,
  );
}

/** Fails unless every value of `expected` is deeply equal to one of `actual`. @throws {AssertionError} */
export function assertArrayIncludes<T>(
  actual: ArrayLikeArg<T>,
  expected: ArrayLikeArg<T>,
  msg?: string,
): void {
  const found = Array.from(actual);
  const missing = Array.from(expected).filter((value) => !found.some((other) => equal(value, other)));
  if (missing.length === 0) return;
  throw new AssertionError(
    `Expected actual: ${describeShort(actual)} to include: ${describeShort(expected)}${suffix(msg)}\n` +
      `missing: ${describeShort(missing)}`,
  );
}

/** Fails unless `expected` is a subset of `actual`, at every depth. @throws {AssertionError} */
export function assertObjectMatch(
  // deno-lint-ignore no-explicit-any
  actual: Record<PropertyKey, any>,
  expected: Record<PropertyKey, unknown>,
  msg?: string,
): void {
  const part = restrict(actual, expected, new Map());
  if (equal(part, expected)) return;
  throw new AssertionError(
    `Object does not match${suffix(msg)}\n\n${difference(part, expected)}\n`,
  );
}

/** What is left of `actual` when only the keys of `expected` count. */
function restrict(
  actual: unknown,
  expected: unknown,
  seen: Map<unknown, unknown>,
): unknown {
  if (
    !isOpen(actual) || !isOpen(expected) ||
    Array.isArray(actual) !== Array.isArray(expected)
  ) return actual;
  const known = seen.get(actual);
  if (known) return known;
  // An array keeps its elements: the list must be as long as expected, only the objects in it may hold more.
  const part: Record<PropertyKey, unknown> = Array.isArray(actual)
    ? [...actual] as unknown as Record<PropertyKey, unknown>
    : Object.create(Object.getPrototypeOf(expected));
  seen.set(actual, part);
  for (const key of Reflect.ownKeys(expected)) {
    if (!(key in actual) || (Array.isArray(expected) && key === "length")) {
      continue;
    }
    part[key] = restrict(
      Reflect.get(actual, key),
      Reflect.get(expected, key),
      seen,
    );
  }
  return part;
}

/** Plain objects and arrays are looked into; maps, sets, dates, typed arrays are compared whole. */
function isOpen(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  return Array.isArray(value) ||
    Object.prototype.toString.call(value) === "[object Object]";
}
