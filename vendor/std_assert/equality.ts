/** Assertions on equality: deep (`assertEquals`) and by identity (`assertStrictEquals`). */
import { AssertionError } from "./assertion_error.ts";
import { equal } from "./equal.ts";
import { describe, describeShort, difference, suffix } from "./_describe.ts";

/**
 * Fails unless `actual` and `expected` are deeply equal.
 *
 * @param _options Taken for the sake of the original's signature; values are always printed by `node:util`.
 * @throws {AssertionError} with a line difference
 */
export function assertEquals<T>(
  actual: T,
  expected: T,
  msg?: string,
  _options: { formatter?: (value: unknown) => string } = {},
): void {
  if (equal(actual, expected)) return;
  throw new AssertionError(
    `Values are not equal${suffix(msg)}\n\n${difference(actual, expected)}\n`,
  );
}

/** Fails if `actual` and `expected` are deeply equal. @throws {AssertionError} */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  if (!equal(actual, expected)) return;
  throw new AssertionError(
    `Expected values that differ, both are ${describeShort(actual)}${suffix(msg)}`,
  );
}

/** Fails unless `Object.is(actual, expected)`. @throws {AssertionError} */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  if (Object.is(actual, expected)) return;
  const message = describe(actual) === describe(expected)
    ? `Values have the same structure but are not the same object${suffix(msg)}\n\n    ${describeShort(actual)}\n`
    : `Values are not strictly equal${suffix(msg)}\n\n${difference(actual, expected)}\n`;
  throw new AssertionError(message);
}

/** Fails if `Object.is(actual, expected)`. @throws {AssertionError} */
export function assertNotStrictEquals<T>(
  actual: T,
  expected: T,
  msg?: string,
): void {
  if (!Object.is(actual, expected)) return;
  throw new AssertionError(
    `Expected "actual" not to be strictly equal to ${describeShort(expected)}${suffix(msg)}`,
  );
}
