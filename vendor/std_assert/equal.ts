/**
 * Deep equality as `@std/assert` defines it: same class, same own enumerable keys (symbols too), same contents. NaN
 * equals NaN and 0 equals -0; a missing key differs from one that holds undefined; sets and maps ignore order.
 * Typed arrays are compared element by element without boxing, since tests compare whole tensors.
 */
import { types } from "node:util";

/** Whether `a` and `b` are deeply equal. @throws {TypeError} for weak collections, whose contents cannot be read. */
export function equal(a: unknown, b: unknown): boolean {
  return compare(a, b, new Map());
}

/** `open` holds the pairs being compared further up: meeting one again means a cycle, equal unless a leaf differs. */
function compare(a: unknown, b: unknown, open: Map<object, object>): boolean {
  if (a === b || Object.is(a, b)) return true;
  if (
    typeof a !== "object" || typeof b !== "object" || a === null || b === null
  ) return false;
  if (!sameClass(a, b)) return false;
  if (types.isDate(a) && types.isDate(b)) {
    return Object.is(a.getTime(), b.getTime());
  }
  if (types.isRegExp(a) || a instanceof URL) return String(a) === String(b);
  if (types.isBoxedPrimitive(a) && types.isBoxedPrimitive(b)) {
    return Object.is(a.valueOf(), b.valueOf());
  }
  if (a instanceof WeakMap || a instanceof WeakSet) {
    throw new TypeError(
      "Cannot compare WeakMap or WeakSet instances: their contents cannot be listed",
    );
  }
  if (a instanceof WeakRef && b instanceof WeakRef) {
    return compare(a.deref(), b.deref(), open);
  }
  if (types.isTypedArray(a) && types.isTypedArray(b)) return sameElements(a, b);
  if (types.isAnyArrayBuffer(a) && types.isAnyArrayBuffer(b)) {
    return sameElements(new Uint8Array(a), new Uint8Array(b));
  }
  if (open.get(a) === b) return true;
  open.set(a, b);
  try {
    if (
      types.isSet(a) && types.isSet(b) && !sameMembers([...a], [...b], open)
    ) return false;
    if (
      types.isMap(a) && types.isMap(b) && !sameMembers([...a], [...b], open)
    ) return false;
    return sameProperties(a, b, open);
  } finally {
    open.delete(a);
  }
}

/** An object without a prototype counts as a plain one. */
function sameClass(a: object, b: object): boolean {
  return (Object.getPrototypeOf(a)?.constructor ?? Object) ===
    (Object.getPrototypeOf(b)?.constructor ?? Object);
}

interface Elements {
  readonly length: number;
  readonly [index: number]: number | bigint;
}

function sameElements(a: Elements, b: Elements): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i] && !(Number.isNaN(a[i]) && Number.isNaN(b[i]))) {
      return false;
    }
  }
  return true;
}

/** Each member of `a` must find a partner of its own in `b`, in any order. */
function sameMembers(
  a: unknown[],
  b: unknown[],
  open: Map<object, object>,
): boolean {
  if (a.length !== b.length) return false;
  const left = new Set(b.keys());
  return a.every((member) => {
    for (const index of left) {
      if (compare(member, b[index], open)) return left.delete(index);
    }
    return false;
  });
}

function sameProperties(
  a: object,
  b: object,
  open: Map<object, object>,
): boolean {
  if (Array.isArray(a) && Array.isArray(b) && a.length !== b.length) {
    return false;
  }
  const keys = enumerableKeys(a);
  const known = new Set(enumerableKeys(b));
  // A message or cause is not enumerable, yet two errors that differ in it are not equal.
  if (types.isNativeError(a)) keys.push(...hiddenErrorKeys(a));
  if (types.isNativeError(b)) {
    hiddenErrorKeys(b).forEach((key) => known.add(key));
  }
  return keys.length === known.size &&
    keys.every((key) => known.has(key) && compare(Reflect.get(a, key), Reflect.get(b, key), open));
}

function enumerableKeys(value: object): PropertyKey[] {
  return Reflect.ownKeys(value).filter((key) => Object.prototype.propertyIsEnumerable.call(value, key));
}

function hiddenErrorKeys(error: Error): PropertyKey[] {
  return ["message", "cause", "errors", "name"].filter((key) =>
    Object.hasOwn(error, key) &&
    !Object.prototype.propertyIsEnumerable.call(error, key)
  );
}
