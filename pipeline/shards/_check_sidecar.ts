/** Does a sidecar describe the shard that the settings plan, and does the file beside it fit? */
import fs from "node:fs";
import { basename } from "node:path";
import { errorCode } from "./_publish.ts";
import { checkSealed } from "./_superblock.ts";
import type { DatasetNode, GroupNode } from "./hdf5_layout.ts";
import { ShardError } from "./shard_error.ts";
import { type SetConfig, type ShardFormat, shardSpan, shardTree } from "./shard_format.ts";
import { readSidecar, type Sidecar, sidecarPath } from "./sidecar.ts";

/** What a set expects of its shards. */
export interface SetIdentity<C extends SetConfig> {
  readonly format: ShardFormat<C>;
  readonly config: C;
  readonly configSha256: string;
}

/**
 * Reads the sidecar of a shard and checks it against the settings and against length and head of the file. The rows
 * themselves are checked as they are read.
 *
 * @param path The `.h5` file.
 * @param shard Number of the shard.
 * @param set What the set expects.
 * @throws {ShardError} If the shard does not count as present; the message says why.
 */
export function checkedSidecar<C extends SetConfig>(path: string, shard: number, set: SetIdentity<C>): Sidecar {
  const span = shardSpan(set.config, shard), sidecar = readSidecar(sidecarPath(path));
  const expected = {
    content: set.format.schema,
    file: basename(path),
    config_sha256: set.configSha256,
    ...span,
  };
  for (const [field, value] of Object.entries(expected)) {
    const found = sidecar[field as keyof typeof expected];
    if (found !== value) {
      throw new ShardError(`has ${field} ${found}, expected ${value}`, { path: sidecarPath(path) });
    }
  }
  checkDatasets(path, shard, sidecar, set);
  checkFile(path, sidecar.bytes);
  return sidecar;
}

function checkDatasets<C extends SetConfig>(
  path: string,
  shard: number,
  sidecar: Sidecar,
  { format, config }: SetIdentity<C>,
): void {
  const bulk = format.bulk(config);
  const lengths = format.measured.map((dataset) => [dataset, sidecar.datasets[dataset]?.shape[0] ?? 0]);
  const tree = shardTree(format, config, shard, { lengths: Object.fromEntries(lengths), parents: sidecar.parents });
  for (const [dataset, { dtype, shape }] of datasetsOf(tree, "")) {
    const found = sidecar.datasets[dataset], fault = { path: sidecarPath(path), dataset };
    if (found === undefined) throw new ShardError("is missing from the sidecar", fault);
    if (found.dtype !== dtype || found.shape.join() !== shape.join()) {
      throw new ShardError(`is ${found.dtype} [${found.shape}], expected ${dtype} [${shape}]`, fault);
    }
    if (!bulk.includes(dataset) && found.crc32 === undefined) {
      throw new ShardError("has no checksum in the sidecar", fault);
    }
  }
}

function* datasetsOf(node: DatasetNode | GroupNode, path: string): Generator<[string, DatasetNode]> {
  if ("dtype" in node) yield [path, node];
  else for (const [name, child] of Object.entries(node.children)) yield* datasetsOf(child, `${path}/${name}`);
}

function checkFile(path: string, bytes: number): void {
  let fd: number;
  try {
    fd = fs.openSync(path, "r");
  } catch (cause) {
    if (errorCode(cause) !== "ENOENT") throw cause;
    throw new ShardError("is missing, its sidecar is there", { path }, { cause });
  }
  try {
    const { size } = fs.fstatSync(fd);
    if (size !== bytes) throw new ShardError(`is ${size} bytes long, its sidecar says ${bytes}`, { path });
    checkSealed(fd, path);
  } finally {
    fs.closeSync(fd);
  }
}
