/** `manifest.json`: the summary of a complete set for people and other programs; never the authority. */
import fs from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { writeFileAtomically } from "./_publish.ts";
import type { SetConfig } from "./shard_format.ts";
import type { ShardSet } from "./shard_set.ts";

const FILE = "manifest.json";

/** What a manifest says. */
export interface Manifest {
  readonly schema: "tubelet-manifest/1";
  /** Schema of the shards. */
  readonly content: string;
  readonly config_sha256: string;
  readonly rows: number;
  /** Rows whose clip was not decoded. */
  readonly failed: number;
  readonly bytes: number;
  readonly shards: readonly {
    readonly file: string;
    readonly bytes: number;
    readonly sha256: string;
    readonly row0: number;
    readonly rows: number;
    readonly failed: number;
  }[];
}

/**
 * Writes the summary of a complete set, unless it is there and says the same.
 *
 * @param set The set.
 * @returns The summary.
 * @throws {ShardError} If a shard is missing.
 */
export function writeManifest<C extends SetConfig>(set: ShardSet<C>): Manifest {
  const shards = Array.from({ length: set.shards }, (_, shard) => {
    const { file, bytes, sha256, row0, rows, status } = set.sidecar(shard);
    return { file, bytes, sha256, row0, rows, failed: status.failed };
  });
  const total = (key: "bytes" | "rows" | "failed") => shards.reduce((sum, shard) => sum + shard[key], 0);
  const manifest: Manifest = {
    schema: "tubelet-manifest/1",
    content: set.format.schema,
    config_sha256: set.configSha256,
    rows: total("rows"),
    failed: total("failed"),
    bytes: total("bytes"),
    shards,
  };
  const path = join(set.folder, FILE), text = JSON.stringify(manifest, null, 2) + "\n";
  if (!fs.existsSync(path) || fs.readFileSync(path, "utf8") !== text) writeFileAtomically(path, text);
  return manifest;
}

/** The shards that a manifest names; undefined if there is no manifest or it cannot be read as one. */
export function readManifest(folder: string): { readonly shards: readonly { readonly sha256: string }[] } | undefined {
  try {
    return shardHashes.parse(JSON.parse(fs.readFileSync(join(folder, FILE), "utf8")));
  } catch {
    return undefined;
  }
}

const shardHashes = z.object({ shards: z.array(z.object({ sha256: z.string() })) });
