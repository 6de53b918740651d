/** The vendored @std/assert: what passes, what fails, and what a failure says. */
import {
  assert,
  assertAlmostEquals,
  assertArrayIncludes,
  assertEquals,
  assertExists,
  assertFalse,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  AssertionError,
  assertIsError,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertNotEquals,
  assertNotMatch,
  assertNotStrictEquals,
  assertObjectMatch,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
  equal,
  fail,
  unreachable,
} from "@std/assert";
import nodeAssert from "node:assert/strict";

/** Runs `fn` and returns the message of the AssertionError it must throw; judged by node:assert, not by ourselves. */
function failure(fn: () => unknown): string {
  try {
    fn();
  } catch (error) {
    nodeAssert.ok(error instanceof AssertionError, `expected an AssertionError, found ${error}`);
    return error.message;
  }
  nodeAssert.fail("expected the assertion to fail");
}

Deno.test("equal() compares by class and content at every depth", () => {
  const circularA: Record<string, unknown> = { x: 1 };
  circularA["self"] = circularA;
  const circularB: Record<string, unknown> = { x: 1 };
  circularB["self"] = circularB;
  const same: [unknown, unknown][] = [
    [NaN, NaN],
    [0, -0],
    ["a", "a"],
    [{ a: [1, { b: 2 }] }, { a: [1, { b: 2 }] }],
    [{ a: 1, b: 2 }, { b: 2, a: 1 }],
    [new Float32Array([1, NaN]), new Float32Array([1, NaN])],
    [new BigInt64Array([1n]), new BigInt64Array([1n])],
    [new Uint8Array([1, 2]).buffer, new Uint8Array([1, 2]).buffer],
    [new Map([[{ k: 1 }, [2]]]), new Map([[{ k: 1 }, [2]]])],
    [new Set([{ a: 1 }, { a: 2 }]), new Set([{ a: 2 }, { a: 1 }])],
    [new Date(5), new Date(5)],
    [/a/gi, /a/gi],
    [new URL("file:///a"), new URL("file:///a")],
    [new RangeError("no"), new RangeError("no")],
    [Object.create(null), {}],
    [circularA, circularB],
  ];
  for (const [a, b] of same) nodeAssert.ok(equal(a, b), `${Deno.inspect(a)} should equal ${Deno.inspect(b)}`);
  const different: [unknown, unknown][] = [
    [1, "1"],
    [null, undefined],
    [null, {}],
    [[], {}],
    [[1, 2], [1, 2, 3]],
    [{ a: undefined }, {}],
    [{ a: undefined }, { b: undefined }],
    [new Float32Array([1]), new Float64Array([1])],
    [new Float32Array([1, 2]), new Float32Array([1, 3])],
    [new Map([["a", 1]]), new Map([["a", 2]])],
    [new Set([{ a: 1 }, { a: 1 }]), new Set([{ a: 1 }, { a: 2 }])],
    [new Date(5), new Date(6)],
    [/a/g, /a/i],
    [new RangeError("no"), new RangeError("yes")],
    [new RangeError("no"), new TypeError("no")],
    [{ [Symbol.for("s")]: 1 }, { [Symbol.for("s")]: 2 }],
    [Object(1), Object(2)],
    [() => 1, () => 1],
  ];
  for (const [a, b] of different) {
    nodeAssert.ok(!equal(a, b), `${Deno.inspect(a)} should differ from ${Deno.inspect(b)}`);
  }
  nodeAssert.throws(() => equal(new WeakSet(), new WeakSet()), TypeError);
});

Deno.test("assertEquals() shows the lines that differ and the first index of an array", () => {
  assertEquals({ a: new Float32Array([1, 2]) }, { a: new Float32Array([1, 2]) });
  const message = failure(() => assertEquals({ a: 1, b: 2 }, { a: 1, b: 3 }, "settings"));
  nodeAssert.match(message, /^Values are not equal: settings/);
  nodeAssert.match(message, /^- {5}b: 2$/m);
  nodeAssert.match(message, /^\+ {5}b: 3$/m);
  nodeAssert.match(message, /^ {6}a: 1,$/m);
  const array = failure(() => assertEquals([1, 2, 3], [1, 2, 4]));
  nodeAssert.match(array, /first at index 2: 3 and 4 \(lengths 3 and 3\)/);
  failure(() => assertNotEquals([1], [1]));
  assertNotEquals([1], [2]);
});

Deno.test("assertStrictEquals() tells a copy from the same object", () => {
  const value = { a: 1 };
  assertStrictEquals(value, value);
  assertStrictEquals(NaN, NaN);
  assertNotStrictEquals(value, { a: 1 });
  nodeAssert.match(failure(() => assertStrictEquals(value, { a: 1 })), /same structure/);
  nodeAssert.match(failure(() => assertStrictEquals(0, -0)), /not strictly equal/);
  failure(() => assertNotStrictEquals(value, value));
});

Deno.test("assertAlmostEquals() has a relative default and takes an absolute tolerance", () => {
  assertAlmostEquals(100, 100 + 9e-6);
  failure(() => assertAlmostEquals(100, 100 + 2e-5));
  assertAlmostEquals(1, 1.4, 0.5);
  failure(() => assertAlmostEquals(1, 1.6, 0.5));
  failure(() => assertAlmostEquals(NaN, 1, 10));
  assertAlmostEquals(Infinity, Infinity);
});

Deno.test("truth, presence, class and order assertions pass and fail", () => {
  assert(1);
  nodeAssert.equal(failure(() => assert(0, "zero")), "zero");
  assertFalse("");
  failure(() => assertFalse("x"));
  assertExists(0);
  failure(() => assertExists(null));
  assertInstanceOf(new Float32Array(1), Float32Array);
  nodeAssert.match(failure(() => assertInstanceOf([], Map)), /"Map" but was an instance of Array/);
  assertGreater(2, 1);
  failure(() => assertGreater(1, 1));
  assertGreaterOrEqual(1, 1);
  failure(() => assertGreaterOrEqual(0, 1));
  assertLess(1, 2);
  failure(() => assertLess(1, 1));
  assertLessOrEqual(1, 1);
  failure(() => assertLessOrEqual(2, 1));
  nodeAssert.match(failure(() => fail("why")), /why/);
  nodeAssert.match(failure(() => unreachable("why")), /why/);
});

Deno.test("content assertions name what is missing", () => {
  assertMatch("abc", /b/);
  failure(() => assertMatch("abc", /x/));
  assertNotMatch("abc", /x/);
  failure(() => assertNotMatch("abc", /b/));
  assertStringIncludes("abc", "bc");
  failure(() => assertStringIncludes("abc", "x"));
  assertArrayIncludes([{ a: 1 }, { a: 2 }], [{ a: 2 }]);
  nodeAssert.match(failure(() => assertArrayIncludes([1, 2], [2, 3])), /missing: \[ 3 \]/);
  assertObjectMatch({ a: 1, b: { c: 2, d: 3 }, e: [{ f: 1, g: 2 }] }, { b: { c: 2 }, e: [{ f: 1 }] });
  failure(() => assertObjectMatch({ b: { c: 2 } }, { b: { c: 3 } }));
  failure(() => assertObjectMatch({ a: [1, 2] }, { a: [1] }));
  failure(() => assertObjectMatch({ a: 1 }, { b: undefined }));
});

Deno.test("assertThrows() returns the error and checks class and message", () => {
  const error: RangeError = assertThrows(
    () => {
      throw new RangeError("12 is above 10");
    },
    RangeError,
    "above 10",
  );
  nodeAssert.equal(error.message, "12 is above 10");
  const anything = assertThrows(() => {
    throw "a string";
  });
  nodeAssert.equal(anything, "a string");
  const throwRange = () => {
    throw new RangeError("no");
  };
  nodeAssert.match(failure(() => assertThrows(throwRange, TypeError)), /instance of "TypeError", but was "RangeError"/);
  nodeAssert.match(failure(() => assertThrows(throwRange, RangeError, "yes")), /include 'yes', but got 'no'/);
  failure(() => assertThrows(() => 1));
  assertIsError(new TypeError("bad"), TypeError, /^bad$/);
  failure(() => assertIsError("bad"));
});

Deno.test("assertRejects() returns the error, and a synchronous throw is not a rejection", async () => {
  const error: RangeError = await assertRejects(() => Promise.reject(new RangeError("no")), RangeError, "no");
  nodeAssert.equal(error.message, "no");
  await nodeAssert.rejects(assertRejects(() => Promise.resolve(1)), AssertionError);
  await nodeAssert.rejects(assertRejects(() => Promise.reject(new RangeError("no")), TypeError), AssertionError);
  const throwing = (): Promise<void> => {
    throw new RangeError("at once");
  };
  await nodeAssert.rejects(assertRejects(throwing), /throws when expected to reject/);
});
