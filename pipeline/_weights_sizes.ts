/** The sizes of an encoder as the shapes of its tensors tell them. */
import type { WeightsSource } from "../models/checkpoints/open_weights.ts";
import type { CubeSize } from "../models/shapes.ts";

/** Heads of the published widths, which no tensor tells: ViT-S, B, L and H. */
export const PUBLISHED_HEADS: Readonly<Record<number, number>> = { 384: 6, 768: 12, 1024: 16, 1280: 16 };

/** Width, depth and cube; undefined if it is no network for clips. */
export function encoderSizes(
  { tensors }: WeightsSource,
): { readonly width: number; readonly depth: number; readonly cube: CubeSize } | undefined {
  const embedding = [...tensors.values()].find(({ name }) =>
    /(?:patch_embed\.proj|patch_embeddings\.projection)\.weight$/.test(name)
  );
  if (embedding?.shape.length !== 5) return undefined;
  const [width, , tubelet, patch] = embedding.shape as readonly [number, number, number, number, number];
  const block = /^(?:module\.)?(?:encoder\.|backbone\.|videomae\.encoder\.)?(?:blocks|layer)\.(\d+)\./;
  const numbers = Array.from(tensors.keys(), (name) => Number(block.exec(name)?.[1] ?? -1));
  return { width, depth: Math.max(...numbers) + 1, cube: { tubelet, patch } };
}
