/** What an exported network is asked to compute, so that two sides can be compared. */
import { classifierForward } from "../models/classifier.ts";
import { clipEncoder } from "../models/clip_encoder.ts";
import type { ClipForm } from "../models/clip_input.ts";
import type { Engine, HostArray } from "../models/runtime/engine.ts";
import { tokensOf } from "../models/shapes.ts";
import type { ForwardProgram } from "../models/train_step.ts";
import { reconstruction } from "../models/videomae.ts";
import type { NetworkSizes } from "./_export_network.ts";
import { permutation } from "./random.ts";
import { Network } from "./training/network.ts";
import { readParameters } from "./training/weights.ts";

/** Outputs of a network for one clip, by name, f32. */
export type Outputs = ReadonlyMap<string, Float32Array>;

/** The program of a network for other programs: a classifier's logits, or a student's features. */
export function servingProgram(sizes: NetworkSizes, batch: number, clips: ClipForm): ForwardProgram {
  const compute = "f32";
  return sizes.classes > 0
    ? classifierForward({ ...sizes, batch, compute }, clips)
    : clipEncoder({ ...sizes, batch, compute, clips, finalNorm: true });
}

/** The pixel decoder's part of a student; none of a classifier. */
function decodingProgram({ form, grid, cube, encoder, decoder, classes, visible }: NetworkSizes): ForwardProgram[] {
  if (classes > 0) return [];
  return [reconstruction({ shape: { form, grid, cube, encoder, decoder }, visible, batch: 1, compute: "f32" })];
}

/** All of a network that other programs know: parameters, and frozen tables of positions. */
export function knownParts(sizes: NetworkSizes): Pick<ForwardProgram, "parameters" | "frozen"> {
  const [decoding] = decodingProgram(sizes);
  return decoding ?? servingProgram(sizes, 1, "cubes");
}

/** Which tokens a student does not see in a comparison, ascending. */
export function hiddenTokens({ grid, visible }: NetworkSizes): Int32Array {
  return Int32Array.from(permutation(tokensOf(grid), 1, "tokens of an export").slice(visible)).sort();
}

/**
 * Computes what other programs can be compared by: `logits` of a classifier; `last_hidden_state` and `features` of a
 * student, and its `prediction` of the hidden cubes.
 *
 * @param weights File of the weights, under any names.
 * @param clips Cubes of each clip.
 * @returns Outputs of each clip.
 */
export async function computeOutputs(
  engine: Engine,
  sizes: NetworkSizes,
  weights: string,
  clips: readonly Uint8Array[],
): Promise<Outputs[]> {
  const hidden = hiddenTokens(sizes), isHidden = new Set(hidden);
  const visible = Int32Array.from({ length: tokensOf(sizes.grid) }, (_, i) => i).filter((i) => !isHidden.has(i));
  const found = clips.map(() => new Map<string, Float32Array>());
  for (const forward of [servingProgram(sizes, 1, "cubes"), ...decodingProgram(sizes)]) {
    using network = await Network.load(engine, forward, await readParameters(weights, forward.parameters));
    for (const [i, cubes] of clips.entries()) {
      const data = new Map<string, HostArray>([
        ["cubes", cubes],
        ["visible_tokens", visible],
        ["hidden_tokens", hidden],
      ]);
      for (const [name, values] of await network.run(data)) {
        if (name !== "target") found[i]!.set(name, values as Float32Array);
      }
    }
  }
  return found;
}
