/**
 * A thin package with the names, signatures and behaviour of `@std/assert`, written over `node:util` so that the tests
 * run where the JSR registry cannot be reached. `deno.json` links it in; removing the link gives the original back.
 * Left out: the helpers no test here uses (`assertNotInstanceOf`, `unimplemented`).
 */
export { AssertionError } from "./assertion_error.ts";
export { equal } from "./equal.ts";
export { assertEquals, assertNotEquals, assertNotStrictEquals, assertStrictEquals } from "./equality.ts";
export { assert, assertExists, assertFalse, assertInstanceOf, fail, type Falsy, unreachable } from "./truth.ts";
export {
  assertAlmostEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLess,
  assertLessOrEqual,
} from "./comparison.ts";
export {
  type ArrayLikeArg,
  assertArrayIncludes,
  assertMatch,
  assertNotMatch,
  assertObjectMatch,
  assertStringIncludes,
} from "./contents.ts";
export { assertIsError, assertRejects, assertThrows } from "./throws.ts";
