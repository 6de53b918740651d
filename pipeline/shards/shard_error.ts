/** The error of a shard that is missing, damaged or not what its sidecar says, and the two checks of bytes that raise it. */
import { dirname } from "node:path";
import { crc32 } from "./_positional.ts";

/** Where a shard failed. */
export interface ShardFault {
  /** Path of the file. */
  readonly path: string;
  /** Dataset inside the file. */
  readonly dataset?: string;
  /** Row of the whole shard set. */
  readonly row?: number;
}

/** A shard file cannot be trusted: its data must not be used. */
export class ShardError extends Error {
  override readonly name = "ShardError";
  /** Path of the file. */
  readonly path: string;
  /** Dataset inside the file, if one is concerned. */
  readonly dataset: string | undefined;
  /** Row of the whole shard set, if one is concerned. */
  readonly row: number | undefined;

  /**
   * @param problem What was found and expected, as a sentence without its subject, such as `"is 12 bytes long, expected 13"`.
   * @param fault File, and dataset and row where known.
   * @param options The cause.
   */
  constructor(readonly problem: string, fault: ShardFault, options?: ErrorOptions) {
    const where = [fault.path];
    if (fault.dataset !== undefined) where.push(`dataset ${fault.dataset}`);
    if (fault.row !== undefined) where.push(`row ${fault.row}`);
    super(`${where.join(", ")} ${problem}`, options);
    this.path = fault.path;
    this.dataset = fault.dataset;
    this.row = fault.row;
  }
}

/** The same error with what to do about it, if it is about a file of a set; other errors as they are. */
export function withAdvice(error: unknown): unknown {
  if (!(error instanceof ShardError) || !/\.(?:h5|json)$/.test(error.path)) return error;
  const { problem, path, dataset, row, cause } = error;
  return new ShardError(
    `${problem}. Nothing of it was used: deno task inspect "${
      dirname(path)
    }" tells all that is damaged there and what mends it`,
    { path, ...(dataset === undefined ? {} : { dataset }), ...(row === undefined ? {} : { row }) },
    { cause },
  );
}

/** @throws {ShardError} If fewer bytes were read than wanted. */
export function assertComplete(read: number, wanted: number, fault: ShardFault): void {
  if (read < wanted) throw new ShardError(`ends after ${read} of ${wanted} bytes`, fault);
}

/** @throws {ShardError} If the bytes have another CRC-32. */
export function assertUndamaged(bytes: Uint8Array, expected: number, fault: ShardFault): void {
  const found = crc32(bytes);
  if (found !== expected) {
    throw new ShardError(`has CRC-32 ${hex(found)}, expected ${hex(expected)}: the bytes are damaged`, fault);
  }
}

/** A 32-bit number for people. */
export function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}
