/**
 * The sidecar: a JSON file beside each shard that says what the shard is, where its datasets lie, and its SHA-256. It
 * is written after the shard, so a shard counts as present when its sidecar does. Sidecars are untrusted input: every
 * field is checked before a byte of the shard is read.
 */
import fs from "node:fs";
import * as z from "zod";
import { errorCode, writeFileAtomically } from "./_publish.ts";
import { datasetBytes, STORED_BYTES, type StoredDtype } from "./dtypes.ts";
import { ShardError } from "./shard_error.ts";

/** Schema name of sidecars. */
export const SIDECAR_SCHEMA = "tubelet-sidecar/1";
const MOST_BYTES = 64 * 2 ** 20;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "expected 64 hexadecimal digits");
const count = z.int().min(0);

const datasetEntry = z.strictObject({
  dtype: z.enum(Object.keys(STORED_BYTES) as [StoredDtype, ...StoredDtype[]]),
  shape: z.array(count),
  offset: count,
  bytes: count,
  crc32: z.int().min(0).max(0xffffffff).optional().describe(
    "CRC-32 of the whole dataset; absent where rows have theirs",
  ),
}).refine((entry) => entry.bytes === datasetBytes(entry.dtype, entry.shape), "bytes do not fit dtype and shape");

const sidecarSchema = z.strictObject({
  schema: z.literal(SIDECAR_SCHEMA),
  content: z.string().describe("Schema of the shard, such as tubelet-frames/1"),
  file: z.string(),
  bytes: count,
  sha256,
  config_sha256: sha256,
  shard: count,
  shards: count,
  row0: count.describe("Row of the whole set that is row 0 here"),
  rows: z.int().min(1),
  status: z.strictObject({ good: count, failed: count }),
  failed_rows: z.array(count).describe("Rows within the shard whose clip was not decoded, ascending"),
  parents: z.record(z.string(), sha256).describe("SHA-256 of the shard files that this one was computed from"),
  datasets: z.record(z.string().startsWith("/"), datasetEntry),
}).superRefine((sidecar, context) => {
  const refuse = (message: string) => context.addIssue({ code: "custom", message });
  const { failed_rows: failed, status, rows } = sidecar;
  if (status.good + status.failed !== rows) refuse("status counts do not add up to rows");
  if (failed.length !== status.failed) refuse("failed_rows and status.failed differ");
  if (failed.some((row, i) => row >= rows || row <= (failed[i - 1] ?? -1))) refuse("failed_rows is not ascending");
  for (const [path, entry] of Object.entries(sidecar.datasets)) {
    if (entry.offset + entry.bytes > sidecar.bytes) refuse(`dataset ${path} ends beyond the file`);
  }
});

/** What a sidecar says. */
export type Sidecar = z.infer<typeof sidecarSchema>;

/** The sidecar's path: `shard-00007.json` beside `shard-00007.h5`. */
export function sidecarPath(shardPath: string): string {
  return shardPath.replace(/\.h5$/, ".json");
}

/**
 * Reads and checks a sidecar.
 *
 * @param path The JSON file.
 * @returns Its content.
 * @throws {ShardError} If it is missing, no JSON, or a field is wrong; the message names the field.
 */
export function readSidecar(path: string): Sidecar {
  let json: unknown;
  try {
    if (fs.statSync(path).size > MOST_BYTES) throw new RangeError(`it is larger than ${MOST_BYTES} bytes`);
    json = JSON.parse(fs.readFileSync(path, "utf8"));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const missing = errorCode(cause) === "ENOENT";
    const problem = missing ? "does not exist: the shard has yet to be made" : `cannot be read as a sidecar: ${reason}`;
    throw new ShardError(problem, { path }, { cause });
  }
  const result = sidecarSchema.safeParse(json);
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) => [path.map(String).join("."), message].join(": "));
  throw new ShardError(`is no valid sidecar: ${issues.join("; ")}`, { path });
}

/** Writes a sidecar atomically. */
export function writeSidecar(path: string, sidecar: Sidecar): void {
  writeFileAtomically(path, JSON.stringify(sidecarSchema.parse(sidecar), null, 2) + "\n");
}
