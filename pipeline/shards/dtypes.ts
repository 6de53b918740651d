/** The element types that a shard stores, all little endian, and their sizes. */

/** Element type of an HDF5 dataset. `bf16` has no HDF5 name of its own and is declared as a custom float. */
export type StoredDtype =
  | "u8"
  | "i8"
  | "u16"
  | "i16"
  | "u32"
  | "i32"
  | "u64"
  | "i64"
  | "f16"
  | "bf16"
  | "f32"
  | "f64";

/** Bytes per element. */
export const STORED_BYTES: Readonly<Record<StoredDtype, number>> = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  u64: 8,
  i64: 8,
  f16: 2,
  bf16: 2,
  f32: 4,
  f64: 8,
};

/**
 * Bytes of a dataset.
 *
 * @param dtype Element type.
 * @param shape Sizes per axis.
 */
export function datasetBytes(dtype: StoredDtype, shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, STORED_BYTES[dtype]);
}
