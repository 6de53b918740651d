/** The sizes of an encoder as the shapes of its tensors tell them. */
import type { WeightsSource } from "../models/checkpoints/open_weights.ts";
import type { CubeSize, Form } from "../models/shapes.ts";

/** Heads of the published widths, which no tensor tells: ViT-S, B, L and H. */
export const PUBLISHED_HEADS: Readonly<Record<number, number>> = { 384: 6, 768: 12, 1024: 16, 1280: 16 };

/** What tensors tell of an encoder. */
export interface EncoderSizes {
  /** That of MAE has a class token. */
  readonly form: Form;
  readonly width: number;
  readonly depth: number;
  readonly cube: CubeSize;
}

/** Form, width, depth and cube; undefined if it is no network for clips or pictures. */
export function encoderSizes({ tensors }: WeightsSource): EncoderSizes | undefined {
  const embedding = [...tensors.values()].find(({ name }) =>
    /(?:patch_embed\.proj|patch_embeddings\.projection)\.weight$/.test(name)
  );
  if (embedding === undefined) return undefined;
  const [width, , ...kernel] = embedding.shape;
  // A convolution over pictures has no axis of time.
  const [tubelet, patch] = kernel.length === 2 ? [1, ...kernel] : kernel;
  const isPicture = tubelet === 1 && tensors.keys().some((name) => /(?:^|\.)cls_token$/.test(name));
  if (width === undefined || tubelet === undefined || patch === undefined) return undefined;
  if (kernel.length !== 3 && !isPicture) return undefined;
  const block = /^(?:module\.)?(?:encoder\.|backbone\.|(?:videomae|vit)\.encoder\.)?(?:blocks|layer)\.(\d+)\./;
  const numbers = Array.from(tensors.keys(), (name) => Number(block.exec(name)?.[1] ?? -1));
  return {
    form: isPicture ? "mae" : "videomae",
    width,
    depth: Math.max(...numbers) + 1,
    cube: { tubelet, patch },
  };
}
