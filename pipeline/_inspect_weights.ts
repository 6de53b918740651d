/** Looks at files of weights, and at one checkpoint: its files against sizes and SHA-256, each with what is wrong. */
import fs from "node:fs";
import { basename, join } from "node:path";
import * as z from "zod";
import { openWeights, type WeightsSource } from "../models/checkpoints/open_weights.ts";
import { SafetensorsFile } from "../models/checkpoints/safetensors.ts";
import { sizeOf } from "../models/tensor/mod.ts";
import { type Facts, type Inspection, reasonOf } from "./inspection.ts";
import { sha256OfFile } from "./shards/file_hash.ts";

const stateFile = z.object({
  step: z.int().min(0),
  score: z.number().nullable(),
  files: z.record(z.string(), z.object({ bytes: z.int(), sha256: z.string() })),
  state: z.json(),
});

/** Names of files of weights. */
export const WEIGHTS_FILE = /\.(?:safetensors|pth|pt|bin)$|\.index\.json$/;

/** Checks that a file of weights is one, and that its tensors lie in it; the formats have no checksum. */
export async function inspectWeights(path: string): Promise<Inspection> {
  const kind = path.endsWith(".safetensors")
    ? "safetensors file"
    : path.endsWith(".json")
    ? "list of weight files"
    : "PyTorch file";
  try {
    await using weights = await openWeights(path);
    const bytes = weights.files.reduce((sum, file) => sum + fs.statSync(file).size, 0);
    const texts = weights instanceof SafetensorsFile ? weights.metadata : new Map();
    const metadata = texts.size > 0 ? { metadata: Object.fromEntries(texts) } : {};
    return { path, kind, facts: { bytes, ...tensorFacts(weights), ...metadata }, problems: [] };
  } catch (error) {
    return { path, kind, facts: {}, problems: [reasonOf(error)] };
  }
}

/** Checks every file that a checkpoint lists. */
export async function inspectCheckpoint(path: string): Promise<Inspection> {
  const mend = "Remove the checkpoint: its training goes on from the one before";
  const content = readState(join(path, "state.json"));
  if (typeof content === "string") return { path, kind: "checkpoint", facts: {}, problems: [`${content}. ${mend}`] };
  const problems: string[] = [], files: Facts[] = [];
  for (const [name, expected] of Object.entries(content.files)) {
    const checked = await checkFile(path, name, expected);
    if (typeof checked === "string") problems.push(`${checked}. ${mend}`);
    files.push(typeof checked === "string" ? { file: name, ...expected } : checked);
  }
  const { step, score, state } = content;
  return { path, kind: "checkpoint", facts: { step, score, files, state }, problems };
}

function readState(path: string): z.infer<typeof stateFile> | string {
  try {
    const read = stateFile.safeParse(JSON.parse(fs.readFileSync(path, "utf8")));
    if (read.success) return read.data;
    const issues = read.error.issues.map(({ path, message }) => [path.map(String).join("."), message].join(": "));
    return `${path} is no state of a checkpoint: ${issues.join("; ")}`;
  } catch (error) {
    return `${path} cannot be read: ${reasonOf(error)}`;
  }
}

/** Facts of a file that is whole, or what is wrong with it. */
async function checkFile(
  folder: string,
  name: string,
  { bytes, sha256 }: { bytes: number; sha256: string },
): Promise<Facts | string> {
  const path = join(folder, name);
  // Names come from a file that may have been edited.
  if (name !== basename(name) || name === ".." || name.includes("\\")) return `${path} lies outside of the checkpoint`;
  const found = fs.statSync(path, { throwIfNoEntry: false });
  if (!found?.isFile()) return `${path} is missing`;
  if (found.size !== bytes) return `${path} has ${found.size} bytes, was written with ${bytes}`;
  const hash = await sha256OfFile(path);
  if (hash !== sha256) return `${path} has SHA-256 ${hash}, was written with ${sha256}`;
  if (!name.endsWith(".safetensors")) return { file: name, bytes, sha256 };
  const { facts, problems } = await inspectWeights(path);
  return problems[0] ?? { file: name, ...facts, sha256 };
}

function tensorFacts({ tensors }: WeightsSource): Facts {
  const all = [...tensors.values()];
  const types = [...Map.groupBy(all, ({ dtype }) => dtype)].map(([dtype, of]) => `${of.length} ${dtype}`);
  return {
    tensors: all.length,
    parameters: all.reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    dtypes: types.join(", "),
  };
}
