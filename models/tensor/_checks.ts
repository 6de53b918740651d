/** What the operations ask of axes, numbers and shapes. */
import type { DType, Shape } from "./tensor.ts";

/** The axis counted from the front; negative axes count from the back. */
export function checkAxis(name: string, axis: number, rank: number): number {
  const at = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(at) || at < 0 || at >= rank) {
    throw new RangeError(`${name} has no axis ${axis} among ${rank} axes`);
  }
  return at;
}

/** Smallest and largest values of the types that are not floats. */
const RANGES: Readonly<Partial<Record<DType, readonly [number, number]>>> = {
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
  u8: [0, 255],
  bool: [0, 1],
};

/** Whether a type holds a number exactly; floats hold all. @throws {RangeError} if not */
export function checkValue(value: number, dtype: DType): void {
  const range = RANGES[dtype];
  if (range && !(Number.isInteger(value) && range[0] <= value && value <= range[1])) {
    throw new RangeError(
      `A constant of type ${dtype} must be whole and from ${range[0]} to ${range[1]}, found ${value}`,
    );
  }
}

/** @throws {RangeError} if a size is not a positive whole number */
export function checkShape(name: string, shape: Shape): void {
  if (shape.some((size) => !Number.isSafeInteger(size) || size < 1)) {
    throw new RangeError(`${name} needs positive whole sizes, found [${shape.join(", ")}]`);
  }
}
