/** Assertions on truth, presence and class, and the two that always fail. */
import { AssertionError } from "./assertion_error.ts";
import { describeShort, suffix } from "./_describe.ts";

/** Values that a condition takes as false. */
export type Falsy = false | 0 | 0n | "" | null | undefined;

/** Fails unless `expr` is truthy. @throws {AssertionError} with `msg` */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

/** Fails unless `expr` is falsy. @throws {AssertionError} with `msg` */
export function assertFalse(expr: unknown, msg = ""): asserts expr is Falsy {
  if (expr) throw new AssertionError(msg);
}

/** Fails if `actual` is null or undefined. @throws {AssertionError} */
export function assertExists<T>(
  actual: T,
  msg?: string,
): asserts actual is NonNullable<T> {
  if (actual !== undefined && actual !== null) return;
  throw new AssertionError(
    `Expected actual: "${actual}" to not be null or undefined${suffix(msg)}`,
  );
}

/** Fails unless `actual` is an instance of `expectedType`. @throws {AssertionError} */
// `any` is the one constraint under which InstanceType accepts every class.
export function assertInstanceOf<
  // deno-lint-ignore no-explicit-any
  T extends abstract new (...args: any[]) => any,
>(
  actual: unknown,
  expectedType: T,
  msg = "",
): asserts actual is InstanceType<T> {
  if (actual instanceof expectedType) return;
  const found = typeof actual === "object" && actual !== null
    ? `an instance of ${actual.constructor?.name ?? "Object"}`
    : describeShort(actual);
  throw new AssertionError(
    `Expected object to be an instance of "${expectedType.name || "anonymous class"}" but was ${found}${suffix(msg)}`,
  );
}

/** Fails always. @throws {AssertionError} */
export function fail(msg?: string): never {
  throw new AssertionError(`Failed assertion${msg ? `: ${msg}` : "."}`);
}

/** Marks a line that no run may reach. @throws {AssertionError} always */
export function unreachable(reason?: string): never {
  throw new AssertionError(`Unreachable${reason ? `: ${reason}` : ""}`);
}
