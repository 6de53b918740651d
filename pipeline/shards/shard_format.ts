/**
 * What a kind of shard (frames, features) has to say about itself so that the shared parts - planning, sealing,
 * verifying, resuming, reading - work for it.
 */
import * as z from "zod";
import { canonicalJson, sha256Hex } from "./config_hash.ts";
import type { Attributes, GroupNode } from "./hdf5_layout.ts";

/** Row status: the clip was decoded. */
export const STATUS_GOOD = 0;
/** Row status: the clip could not be decoded; the row is zero and must never be used. */
export const STATUS_FAILED = 2;
/** Writer named in root attributes; it changes with the bytes that equal settings give, not with every release. */
const WRITER = "tubelet/1";
const MOST_ROWS = 2 ** 31;

/** 64 hexadecimal digits. */
export const sha256Text: z.ZodString = z.string().regex(/^[0-9a-f]{64}$/, "expected 64 hexadecimal digits");

/** Settings that every shard set has. */
export const setFields = {
  dataset: z.string().min(1).describe("Name of the data set, such as ssv2"),
  split: z.string().min(1).describe("Part of the data set, such as train"),
  items: z.int().min(1).max(MOST_ROWS).describe("Clips in the list"),
  views: z.int().min(1).max(65535).default(1).describe("Stored views (frame choice and crop) per clip"),
  rowsPerShard: z.int().min(1).max(65536).default(512).describe("Rows in each file but the last"),
};

/** The fields of {@linkcode setFields}, resolved. */
export interface SetConfig {
  readonly schema: string;
  readonly dataset: string;
  readonly split: string;
  readonly items: number;
  readonly views: number;
  readonly rowsPerShard: number;
}

/** Facts about one shard that are known before it is written and are part of its bytes. */
export interface ShardFacts {
  /** Lengths of datasets that no setting decides, by path. */
  readonly lengths: Readonly<Record<string, number>>;
  /** SHA-256 of the parent shard files, by kind. */
  readonly parents: Readonly<Record<string, string>>;
}

/** Which rows a shard holds. */
export interface ShardSpan {
  readonly shard: number;
  readonly shards: number;
  /** First row of the whole set in this shard. */
  readonly row0: number;
  /** Rows in this shard. */
  readonly rows: number;
}

/** A kind of shard. */
export interface ShardFormat<C extends SetConfig> {
  /** Schema name with its version, such as `tubelet-frames/1`. */
  readonly schema: string;
  /** Kind, which also names the folder under the cache: `frames`, `features`. */
  readonly kind: string;
  /** Datasets whose length is a fact of the shard ({@linkcode ShardFacts.lengths}). */
  readonly measured: readonly string[];
  /** Kinds of the shard files that a shard is computed from; each is named by a root attribute. */
  readonly parents: readonly string[];
  /** Checks a configuration and fills in defaults. */
  parse(config: unknown): C;
  /** Datasets with a CRC-32 per row, in the column order of `/index/crc32`. */
  bulk(config: C): readonly string[];
  /** The file's groups and datasets below the root, without `/meta`. */
  children(config: C, span: ShardSpan, facts: ShardFacts): GroupNode["children"];
  /** Root attributes beyond the common ones. */
  attributes(config: C): Attributes;
}

/** Rows of a whole set: every view of every item. */
export function rowCount(config: SetConfig): number {
  return config.items * config.views;
}

/**
 * The rows of one shard, a pure function of the configuration.
 *
 * @throws {RangeError} If the set has no such shard.
 */
export function shardSpan(config: SetConfig, shard: number): ShardSpan {
  const rows = rowCount(config), shards = Math.ceil(rows / config.rowsPerShard);
  if (!Number.isSafeInteger(shard) || shard < 0 || shard >= shards) {
    throw new RangeError(`There is no shard ${shard}: the set has shards 0 to ${shards - 1}`);
  }
  const row0 = shard * config.rowsPerShard;
  return { shard, shards, row0, rows: Math.min(config.rowsPerShard, rows - row0) };
}

/** Root attribute that holds the SHA-256 of a parent shard file. */
export function parentAttribute(kind: string): string {
  return `${kind}_shard_sha256`;
}

/** The complete tree of one shard file. */
export function shardTree<C extends SetConfig>(
  format: ShardFormat<C>,
  config: C,
  shard: number,
  facts: ShardFacts,
): GroupNode {
  const span = shardSpan(config, shard), json = canonicalJson(config);
  const attributes: Record<string, string | number> = {
    schema: format.schema,
    dataset: config.dataset,
    split: config.split,
    stage: format.kind,
    shard: span.shard,
    shards: span.shards,
    row0: span.row0,
    rows: span.rows,
    config_sha256: sha256Hex(json),
    writer: WRITER,
  };
  for (const kind of format.parents) attributes[parentAttribute(kind)] = facts.parents[kind] ?? "0".repeat(64);
  const configBytes = new TextEncoder().encode(json).length;
  return {
    attributes: { ...attributes, ...format.attributes(config) },
    children: {
      ...format.children(config, span, facts),
      meta: { children: { config: { dtype: "u8", shape: [configBytes] } } },
    },
  };
}

/** Names a format's schema errors: every wrong field with what is wrong. */
export function parseConfig<T>(schema: z.ZodType<T>, config: unknown, what: string): T {
  const result = schema.safeParse(config);
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) => [path.map(String).join("."), message].join(": "));
  throw new TypeError(`The settings of ${what} are wrong: ${issues.join("; ")}`);
}
