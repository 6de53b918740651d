/** Weights on disk: parameters by the names of the network that takes them, whatever names the file has. */
import fs from "node:fs";
import { join } from "node:path";
import { loadParameters } from "../../models/checkpoints/official_names.ts";
import { openWeights } from "../../models/checkpoints/open_weights.ts";
import type { ParameterSpec } from "../../models/parameters.ts";

/** Parameter values on the host by name, f32, row-major. */
export type HostParameters = ReadonlyMap<string, Float32Array>;

/** Parameters of a checkpoint, under official names. */
export const MODEL_FILE = "model.safetensors";

/** Moving averages of them, in checkpoints of a training that keeps such. */
export const AVERAGE_FILE = "average.safetensors";

/** How many names a message lists. */
const SHOWN_NAMES = 5;

/**
 * Reads all parameters that a network has.
 *
 * @param path Safetensors, `.pth` or `.index.json`, with our, official or hub names.
 * @param specs What the network takes.
 * @throws {TypeError} if one is missing or has another shape
 * @throws {SyntaxError} if the file is not whole
 */
export async function readParameters(path: string, specs: readonly ParameterSpec[]): Promise<HostParameters> {
  await using file = await openWeights(path);
  const { values, missing } = await loadParameters(file, specs);
  if (missing.length > 0) {
    const shapes = new Map(specs.map(({ name, shape }) => [name, `${name} [${shape.join(", ")}]`]));
    const more = missing.length > SHOWN_NAMES ? ` and ${missing.length - SHOWN_NAMES} more` : "";
    throw new TypeError(
      `${path} lacks ${
        missing.slice(0, SHOWN_NAMES).map((name) => shapes.get(name)).join(", ")
      }${more} of ${specs.length} parameters: ` +
        "is it a network of this kind, as wide and as deep as the settings say?",
    );
  }
  return values;
}

/** {@linkcode readParameters} from the folder of a checkpoint. */
export async function checkpointParameters(folder: string, specs: readonly ParameterSpec[]): Promise<HostParameters> {
  return await readParameters(join(folder, MODEL_FILE), specs);
}

/** The weights of a checkpoint that are tested and given away: the moving average where there is one, else the newest. */
export function testedFile(folder: string): string {
  const average = join(folder, AVERAGE_FILE);
  return fs.existsSync(average) ? average : join(folder, MODEL_FILE);
}

/** Whether a classifier's parameter is its encoder's; the final norm is one where the class token is pooled. */
export function isEncoders({ name }: Pick<ParameterSpec, "name">): boolean {
  return /^(?:(?:patch_embed|blocks|norm)\.|cls_token$)/.test(name);
}

/**
 * The encoder's part of a classifier's parameters: patch embedding and blocks, and a class token where there is one. The
 * encoder's final norm is not used where tokens are averaged; `fc_norm` and `head` start fresh, as in the official code.
 *
 * @param folder Checkpoint of the pre-training.
 * @param specs Parameters of the classifier.
 */
export async function encoderParameters(folder: string, specs: readonly ParameterSpec[]): Promise<HostParameters> {
  return await checkpointParameters(folder, specs.filter(isEncoders));
}
