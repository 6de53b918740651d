/** Assertions on order and on distance. */
import { AssertionError } from "./assertion_error.ts";
import { describeShort, suffix } from "./_describe.ts";

/**
 * Fails unless `actual` lies within `tolerance` of `expected`.
 *
 * @param tolerance Greatest absolute distance. Default: 1e-7 of `expected`, or 1e-7 where that is not finite.
 * @throws {AssertionError}
 */
export function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance?: number,
  msg?: string,
): void {
  if (Object.is(actual, expected)) return;
  const limit = tolerance ??
    (Number.isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7);
  const delta = Math.abs(expected - actual);
  if (delta <= limit) return;
  throw new AssertionError(
    `Expected actual: ${actual} to be close to ${expected}: delta ${delta} is greater than ${limit}${suffix(msg)}`,
  );
}

function assertOrder<T>(
  holds: boolean,
  actual: T,
  relation: string,
  expected: T,
  msg?: string,
): void {
  if (holds) return;
  throw new AssertionError(
    `Expect ${describeShort(actual)} ${relation} ${describeShort(expected)}${suffix(msg)}`,
  );
}

/** Fails unless `actual > expected`. @throws {AssertionError} */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  assertOrder(actual > expected, actual, ">", expected, msg);
}

/** Fails unless `actual >= expected`. @throws {AssertionError} */
export function assertGreaterOrEqual<T>(
  actual: T,
  expected: T,
  msg?: string,
): void {
  assertOrder(actual >= expected, actual, ">=", expected, msg);
}

/** Fails unless `actual < expected`. @throws {AssertionError} */
export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  assertOrder(actual < expected, actual, "<", expected, msg);
}

/** Fails unless `actual <= expected`. @throws {AssertionError} */
export function assertLessOrEqual<T>(
  actual: T,
  expected: T,
  msg?: string,
): void {
  assertOrder(actual <= expected, actual, "<=", expected, msg);
}
