/** Reads the first 48 bytes of a shard: is it HDF5, whole, and no longer open in a writer? */
import fs from "node:fs";
import { MAGIC, SUPERBLOCK_BYTES } from "./_hdf5_messages.ts";
import { readAt } from "./_positional.ts";
import { lookup3 } from "./lookup3.ts";
import { hex, ShardError } from "./shard_error.ts";

/**
 * Checks that an open file is a sealed, whole shard.
 *
 * @param fd Its descriptor.
 * @param path Named in errors.
 * @throws {ShardError} If the file is no shard, cut, or not sealed.
 */
export function checkSealed(fd: number, path: string): void {
  const head = new Uint8Array(SUPERBLOCK_BYTES), fileBytes = fs.fstatSync(fd).size;
  const fail = (problem: string) => new ShardError(problem, { path });
  if (readAt(fd, head, 0) < SUPERBLOCK_BYTES || MAGIC.some((byte, i) => head[i] !== byte)) {
    throw fail("is not an HDF5 file");
  }
  if (head[8] !== 3) throw fail(`has HDF5 superblock version ${head[8]}, a shard has version 3`);
  const view = new DataView(head.buffer);
  const stored = view.getUint32(SUPERBLOCK_BYTES - 4, true);
  const computed = lookup3(head.subarray(0, SUPERBLOCK_BYTES - 4));
  if (stored !== computed) {
    throw fail(`has a damaged superblock: its checksum is ${hex(stored)}, its bytes give ${hex(computed)}`);
  }
  if (head[11] !== 0) throw fail("is not sealed: its writer is still at work or died");
  const expected = Number(view.getBigUint64(28, true));
  if (expected !== fileBytes) throw fail(`is ${fileBytes} bytes long, its header says ${expected}`);
}
