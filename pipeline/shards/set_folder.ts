/** Makes and opens the folder of a shard set: its name is the hash of its settings, which lie inside as `config.json`. */
import fs from "node:fs";
import { join } from "node:path";
import { orDiskFull } from "./_full_disk.ts";
import { errorCode, publish } from "./_publish.ts";
import { TemporaryFile } from "./_temporary_file.ts";
import { canonicalJson, configFolder } from "./config_hash.ts";
import { ShardError } from "./shard_error.ts";
import type { SetConfig, ShardFormat } from "./shard_format.ts";
import { ShardSet, type ShardSetOptions } from "./shard_set.ts";

const CONFIG_FILE = "config.json";

/**
 * Makes the folder of a configuration, or opens it if it is there.
 *
 * @param cache The cache folder.
 * @param format Kind of shards.
 * @param config Settings; defaults are filled in.
 * @param options How to open it.
 * @throws {TypeError} If the settings are wrong.
 * @throws {ShardError} If the folder holds other settings.
 */
export function createShardSet<C extends SetConfig>(
  cache: string,
  format: ShardFormat<C>,
  config: unknown,
  options: ShardSetOptions = {},
): ShardSet<C> {
  const set = plannedShardSet(cache, format, config, options), text = canonicalJson(set.config);
  const path = join(set.folder, CONFIG_FILE);
  orDiskFull(path, () => {
    fs.mkdirSync(set.folder, { recursive: true });
    if (fs.existsSync(path)) return;
    using temporary = new TemporaryFile(path);
    fs.writeFileSync(temporary.fd, text);
    fs.fsyncSync(temporary.fd);
    publish(temporary.path, path);
  });
  if (fs.readFileSync(path, "utf8") !== text) {
    const problem = "holds other settings than the folder's name says: delete the folder or restore the file";
    throw new ShardError(problem, { path });
  }
  return set;
}

/**
 * The set of a configuration as it is or would be: nothing is made, and its folder need not be there.
 *
 * @param cache The cache folder.
 * @param format Kind of shards.
 * @param config Settings; defaults are filled in.
 * @param options How to open it.
 * @throws {TypeError} If the settings are wrong.
 */
export function plannedShardSet<C extends SetConfig>(
  cache: string,
  format: ShardFormat<C>,
  config: unknown,
  options: ShardSetOptions = {},
): ShardSet<C> {
  const resolved = format.parse(config);
  return new ShardSet(join(cache, format.kind, configFolder(resolved)), format, resolved, options);
}

/**
 * Opens a complete set for reading.
 *
 * @param folder The set's folder.
 * @param format Kind of shards.
 * @param options How to open it.
 * @throws {ShardError} If the folder is no set of this kind or a shard is missing or damaged.
 */
export function openShardSet<C extends SetConfig>(
  folder: string,
  format: ShardFormat<C>,
  options: ShardSetOptions = {},
): ShardSet<C> {
  const set = new ShardSet(folder, format, format.parse(readSetConfig(folder, format.schema)), options);
  for (let shard = 0; shard < set.shards; shard++) set.reader(shard);
  return set;
}

/**
 * Reads a folder's `config.json`.
 *
 * @param folder The set's folder.
 * @param schema Schema that it must have, if given.
 * @returns The settings, as yet unchecked but for their schema name.
 * @throws {ShardError} If there are none, they were edited, or they have another schema.
 */
export function readSetConfig(folder: string, schema?: string): { readonly schema: string } {
  const path = join(folder, CONFIG_FILE);
  let text: string, config: unknown;
  try {
    text = fs.readFileSync(path, "utf8");
    config = JSON.parse(text);
  } catch (cause) {
    const missing = errorCode(cause) === "ENOENT";
    const reason = missing ? "does not exist: the folder is no shard set" : `cannot be read: ${cause}`;
    throw new ShardError(reason, { path }, { cause });
  }
  if (canonicalJson(config) !== text) throw new ShardError("is not canonical JSON: it was edited", { path });
  const found = config !== null && typeof config === "object" && "schema" in config ? config.schema : undefined;
  if (typeof found !== "string" || (schema !== undefined && found !== schema)) {
    throw new ShardError(`has schema ${found}, expected ${schema ?? "a name"}`, { path });
  }
  return config as { readonly schema: string };
}
