/** The frozen teacher of a run: a file of the user's, or what the run trained itself. */
import { join } from "node:path";
import type { ParameterSpec } from "../../models/parameters.ts";
import { type Settings, SettingsError } from "../settings.ts";
import { sha256Hex, sha256OfFile } from "../shards/config_hash.ts";
import type { HostParameters } from "../training/weights.ts";
import type { TrainedResult } from "./run_training.ts";

/** A teacher that is ready to teach. */
export interface Teacher {
  /** For people and for the shards' attributes. */
  readonly name: string;
  /** Of the file or files of its weights. */
  readonly sha256: string;
  /**
   * Its encoder's parameters, read from the file.
   *
   * @throws {TypeError} if one is missing or has another shape; all of them are named
   */
  readonly parameters: (specs: readonly ParameterSpec[]) => Promise<HostParameters>;
}

/** What a teacher is called. */
export function teacherName({ width, depth, weights }: Settings["teacher"]): string {
  return `ViT ${width}x${depth}, ${weights === null ? "VideoMAE on these clips" : "given weights"}`;
}

/**
 * Finds the teacher.
 *
 * @param trained The run's own teacher, if it trained one.
 * @throws {SettingsError} if the file cannot be read or holds no weights
 */
export async function resolveTeacher({ teacher }: Settings, trained: TrainedResult | undefined): Promise<Teacher> {
  const path = trained ? join(trained.checkpoint, "model.safetensors") : teacher.weights!;
  const sha256 = trained?.sha256 ?? await sha256OfWeights(path).catch((cause) => {
    throw new SettingsError([`--teacher ${path} cannot be read: ${cause instanceof Error ? cause.message : cause}`]);
  });
  return {
    name: teacherName(teacher),
    sha256,
    parameters: async (specs) => {
      const { readParameters } = await import("../training/weights.ts");
      return await readParameters(path, specs);
    },
  };
}

/** Of the file, or of all files that a list names. */
async function sha256OfWeights(path: string): Promise<string> {
  const { openWeights } = await import("../../models/checkpoints/open_weights.ts");
  await using weights = await openWeights(path);
  const [first, ...others] = await Promise.all(weights.files.map(sha256OfFile));
  return others.length > 0 ? sha256Hex([first, ...others].join("\n")) : first!;
}
