/** Assertions on errors: thrown, rejected with, or held in hand. */
import { AssertionError } from "./assertion_error.ts";
import { describeShort, suffix } from "./_describe.ts";

/** A class whose instances are errors, abstract or not. */
// deno-lint-ignore no-explicit-any
type ErrorClass<E extends Error> = abstract new (...args: any[]) => E;

/** Fails unless `error` is an Error, of the class and with the message asked for. @throws {AssertionError} */
export function assertIsError<E extends Error = Error>(
  error: unknown,
  ErrorClass?: ErrorClass<E>,
  msgMatches?: string | RegExp,
  msg?: string,
): asserts error is E {
  if (!(error instanceof Error)) {
    throw new AssertionError(
      `Expected "error" to be an Error object, but was ${describeShort(error)}${suffix(msg)}`,
    );
  }
  if (ErrorClass && !(error instanceof ErrorClass)) {
    throw new AssertionError(
      `Expected error to be instance of "${ErrorClass.name}", but was "${error.constructor.name}" ` +
        `(${error.message})${suffix(msg)}`,
      { cause: error },
    );
  }
  if (msgMatches === undefined) return;
  const holds = typeof msgMatches === "string" ? error.message.includes(msgMatches) : msgMatches.test(error.message);
  if (holds) return;
  throw new AssertionError(
    `Expected error message to ${typeof msgMatches === "string" ? "include" : "match"} ` +
      `${describeShort(msgMatches)}, but got ${describeShort(error.message)}${suffix(msg)}`,
    { cause: error },
  );
}

/** Fails unless `fn` throws. @returns What was thrown. @throws {AssertionError} */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
/** Fails unless `fn` throws an error of the class, its message holding `msgIncludes`. @returns The error. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows<E extends Error>(
  fn: () => unknown,
  classOrMsg?: ErrorClass<E> | string,
  msgIncludes?: string,
  msg?: string,
): E | unknown {
  const expected = readExpectation(classOrMsg, msgIncludes, msg);
  let thrown: unknown;
  try {
    fn();
  } catch (error) {
    thrown = error;
    check(thrown, expected);
    return thrown;
  }
  throw new AssertionError(`Expected function to throw${suffix(expected.msg)}`);
}

/** Fails unless the promise of `fn` rejects. @returns What it was rejected with. @throws {AssertionError} */
export function assertRejects(
  fn: () => PromiseLike<unknown>,
  msg?: string,
): Promise<unknown>;
/** Fails unless the promise rejects with an error of the class, its message holding `msgIncludes`. @returns The error. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects<E extends Error>(
  fn: () => PromiseLike<unknown>,
  classOrMsg?: ErrorClass<E> | string,
  msgIncludes?: string,
  msg?: string,
): Promise<E | unknown> {
  const expected = readExpectation(classOrMsg, msgIncludes, msg);
  let pending: PromiseLike<unknown>;
  try {
    pending = fn();
  } catch (error) {
    throw new AssertionError(
      `Function throws when expected to reject${suffix(expected.msg)} (${describeShort(error)})`,
      { cause: error },
    );
  }
  try {
    await pending;
  } catch (error) {
    check(error, expected);
    return error;
  }
  throw new AssertionError(
    `Expected function to reject${suffix(expected.msg)}`,
  );
}

interface Expectation<E extends Error> {
  ErrorClass: ErrorClass<E> | undefined;
  msgIncludes: string | undefined;
  msg: string | undefined;
}

function readExpectation<E extends Error>(
  classOrMsg: ErrorClass<E> | string | undefined,
  msgIncludes: string | undefined,
  msg: string | undefined,
): Expectation<E> {
  if (typeof classOrMsg === "string") {
    return { ErrorClass: undefined, msgIncludes: undefined, msg: classOrMsg };
  }
  return { ErrorClass: classOrMsg, msgIncludes, msg };
}

/** Without a class anything thrown will do, as in the original. */
function check<E extends Error>(
  thrown: unknown,
  expected: Expectation<E>,
): void {
  if (!expected.ErrorClass) return;
  assertIsError(
    thrown,
    expected.ErrorClass,
    expected.msgIncludes,
    expected.msg,
  );
}
