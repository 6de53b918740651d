/** The frozen teacher of a run: a file of the user's, or what the run trained itself. */
import { join } from "node:path";
import type { ParameterSpec } from "../../models/parameters.ts";
import { uniforms } from "../random.ts";
import { type Settings, SettingsError } from "../settings.ts";
import { sha256Hex } from "../shards/config_hash.ts";
import { sha256OfFile } from "../shards/file_hash.ts";
import type { HostParameters } from "../training/weights.ts";
import type { TrainedResult } from "./run_training.ts";
import { tokenGrid } from "./stage_context.ts";

/** A teacher that is ready to teach. */
export interface Teacher {
  /** For people and for the shards' attributes. */
  readonly name: string;
  /** Of the file or files of its weights. */
  readonly sha256: string;
  /**
   * Its encoder's parameters, read from the file; with its own position table, if the file keeps one, as
   * `positions.WIDTH`.
   *
   * @throws {TypeError} if tensors are missing, unexpected or of another shape, unless --no-strict allows that
   */
  readonly parameters: (specs: readonly ParameterSpec[]) => Promise<HostParameters>;
}

/** What a teacher is called. */
export function teacherName({ clip: { form }, teacher: { width, depth, weights } }: Settings): string {
  const own = form === "mae" ? "MAE on these pictures" : "VideoMAE on these clips";
  return `ViT ${width}x${depth}, ${weights === null ? own : "given weights"}`;
}

/**
 * Finds the teacher.
 *
 * @param trained The run's own teacher, if it trained one.
 * @param warn Receives a sentence about a file that does not fit and need not.
 * @throws {SettingsError} if the file cannot be read or holds no weights
 */
export async function resolveTeacher(
  settings: Settings,
  trained: TrainedResult | undefined,
  warn: (message: string) => void = () => {},
): Promise<Teacher> {
  const { teacher, run: { seed } } = settings;
  const path = trained ? join(trained.checkpoint, "model.safetensors") : teacher.weights!;
  const sha256 = trained?.sha256 ?? await sha256OfWeights(path).catch((cause) => {
    throw new SettingsError([`--teacher ${path} cannot be read: ${cause instanceof Error ? cause.message : cause}`]);
  });
  return {
    name: teacherName(settings),
    sha256,
    parameters: async (specs) => {
      const { readEncoder } = await import("../training/encoder_weights.ts");
      return await readEncoder(path, {
        specs,
        depth: teacher.depth,
        grid: tokenGrid(settings),
        strict: teacher.strict,
        uniforms: (count, name) => uniforms(count, seed, "teacher start", name),
        warn,
      });
    },
  };
}

/** Of the file, or of all files that a list names. */
async function sha256OfWeights(path: string): Promise<string> {
  const { openWeights } = await import("../../models/checkpoints/open_weights.ts");
  await using weights = await openWeights(path);
  const [first, ...others] = await Promise.all(weights.files.map((file) => sha256OfFile(file)));
  return others.length > 0 ? sha256Hex([first, ...others].join("\n")) : first!;
}
