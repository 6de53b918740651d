/** From a published file to its sidecar, and back: writing the description of a shard, and holding the file to it. */
import { basename } from "node:path";
import { crc32 } from "./_positional.ts";
import { sha256OfFile } from "./file_hash.ts";
import { ShardError } from "./shard_error.ts";
import { type SetConfig, STATUS_FAILED } from "./shard_format.ts";
import type { ShardSet } from "./shard_set.ts";
import { type Sidecar, SIDECAR_SCHEMA, sidecarPath, writeSidecar } from "./sidecar.ts";
import { type VerifiedShard, verifyShardFile } from "./verify.ts";

/**
 * Writes the sidecar of a published, verified file.
 *
 * @param set The set.
 * @param shard Number of the shard.
 * @param verified What verification found in the file.
 * @param sha256 Its hash, 64 hexadecimal digits.
 * @returns The sidecar.
 */
export function recordShard<C extends SetConfig>(
  set: ShardSet<C>,
  shard: number,
  { layout, facts, tables }: VerifiedShard,
  sha256: string,
): Sidecar {
  const path = set.path(shard), span = set.span(shard);
  const failed = Array.from(tables.get("/index/status")!.entries())
    .flatMap(([row, status]) => status === STATUS_FAILED ? [row] : []);
  const datasets = layout.datasets.map(({ path, dtype, shape, offset, bytes }) => {
    const table = tables.get(path);
    const entry = { dtype, shape: [...shape], offset, bytes };
    return [path, table === undefined ? entry : { ...entry, crc32: crc32(table) }];
  });
  const sidecar: Sidecar = {
    schema: SIDECAR_SCHEMA,
    content: set.format.schema,
    file: basename(path),
    bytes: layout.fileBytes,
    sha256,
    config_sha256: set.configSha256,
    ...span,
    status: { good: span.rows - failed.length, failed: failed.length },
    failed_rows: failed,
    parents: { ...facts.parents },
    datasets: Object.fromEntries(datasets),
  };
  writeSidecar(sidecarPath(path), sidecar);
  set.forget(shard);
  return sidecar;
}

/**
 * Takes a published file that has no valid sidecar: verifies every row and writes the sidecar.
 *
 * @param set The set.
 * @param shard Number of the shard.
 * @returns The sidecar.
 * @throws {ShardError} If the file is not a whole shard of this set.
 */
export async function adoptShard<C extends SetConfig>(set: ShardSet<C>, shard: number): Promise<Sidecar> {
  const path = set.path(shard);
  const verified = await verifyShardFile(path, set.format, set.config, shard, { rows: "all" });
  return recordShard(set, shard, verified, await sha256OfFile(path));
}

/**
 * Verifies a shard completely: file hash, HDF5 structure, every row.
 *
 * @param set The set.
 * @param shard Number of the shard.
 * @throws {ShardError} If anything is not as its sidecar says.
 */
export async function verifyShard<C extends SetConfig>(set: ShardSet<C>, shard: number): Promise<void> {
  const path = set.path(shard), expected = set.sidecar(shard).sha256;
  await verifyShardFile(path, set.format, set.config, shard, { rows: "all" });
  const found = await sha256OfFile(path);
  if (found !== expected) throw new ShardError(`has SHA-256 ${found}, its sidecar says ${expected}`, { path });
}
