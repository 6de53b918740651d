/**
 * Augmentation of fine-tuning inside the step (section 1.3 of the method): RandAugment, crop and flip, random erasing, mixup
 * and cutmix, in the official order, on the stored levels. What is drawn comes in as a few numbers a clip; the host touches no
 * pixel, and a step is the same after a restart.
 *
 * Where it differs from the official code, which goes through Pillow operation by operation: the geometric operations of a
 * clip are one map, applied after its colour operations, so that pixels are interpolated once and not once for each; the
 * crop is taken from the stored view and rounded to levels, since that is how views are stored.
 */
import type { Compute } from "../shapes.ts";
import {
  add,
  barrier,
  concatenate,
  convert,
  type DType,
  input,
  reshape,
  type Shape,
  slice,
  type Tensor,
} from "../tensor/mod.ts";
import { clamped } from "./arithmetic.ts";
import { erased, mixed, ofPartners } from "./boxes.ts";
import { colourOperation } from "./colour.ts";
import { type ClipLayout, cubesOfPixels, pixelsOfCubes } from "./pixels.ts";
import { cropped, warped } from "./warp.ts";

/** What is done to clips; nothing by default. */
export interface Augmentation {
  /**
   * Operations of RandAugment a clip, 0 for none. Adds the inputs `colour_operations` f32 `[B, n, 2]` (see `colour.ts`) and
   * `warp` f32 `[B, 6]` (see `warp.ts`). @default 0
   */
  readonly randAugment?: number;
  /** Crop, resize and mirror. Adds the input `crop` f32 `[B, 5]`: top, left, height, width, 1 to mirror. @default false */
  readonly crop?: boolean;
  /** Adds `erase_box` f32 `[B, 4]`: top, left, height, width, and `erase_keys` u32 `[B, 2]`. @default false */
  readonly erase?: boolean;
  /**
   * Mix each clip with its partner, the clip at the same place from the end of the batch. Adds the input `mix` f32 `[B]`, the
   * share of the clip itself (1 leaves it alone). @default false
   */
  readonly mixup?: boolean;
  /** Cut a box out of the partner as well. Adds the input `cut_box` f32 `[B, 4]`; goes with `mixup` only. @default false */
  readonly cutmix?: boolean;
}

/** A batch under augmentation. */
export interface AugmentedBatch {
  /** The inputs that were added. */
  readonly inputs: readonly Tensor[];
  /** Clips as the network gets them, levels `[b, N, P]`, of the part of the batch that `rows` takes. */
  readonly seen: (rows: (batch: Tensor) => Tensor) => Tensor;
}

/**
 * Declares what is drawn, and augments.
 *
 * @param cubes u8 `[B, N, P]`
 * @param parts How many parts the views are made in one after the other, for less memory; divides the batch.
 */
export function augment(
  cubes: Tensor,
  what: Augmentation,
  layout: ClipLayout,
  compute: Compute,
  parts = 1,
): AugmentedBatch {
  const batch = cubes.shape[0]!;
  const inputs = new Map<string, Tensor>();
  const drawn = (name: string, shape: Shape, dtype: DType = "f32") => {
    const tensor = input(name, [batch, ...shape], dtype);
    inputs.set(name, tensor);
    return tensor;
  };
  const { randAugment = 0, crop = false } = what;
  const operations = randAugment > 0 ? drawn("colour_operations", [randAugment, 2]) : undefined;
  const map = randAugment > 0 ? drawn("warp", [6]) : undefined;
  const box = crop ? drawn("crop", [5]) : undefined;
  const eraseBox = what.erase ? drawn("erase_box", [4]) : undefined;
  const eraseKeys = what.erase ? drawn("erase_keys", [2], "u32") : undefined;
  const share = what.mixup ? drawn("mix", []) : undefined;
  const cutBox = what.mixup && what.cutmix ? drawn("cut_box", [4]) : undefined;

  const viewsOf = (rows: (batch: Tensor) => Tensor) => {
    let pixels = convert(pixelsOfCubes(rows(cubes), layout), "f32");
    if (operations && map) {
      const clips = rows(operations), [count] = clips.shape as [number];
      for (let i = 0; i < randAugment; i++) {
        pixels = colourOperation(pixels, reshape(slice(clips, 1, i, i + 1), [count, 2]));
      }
      pixels = warped(pixels, rows(map));
    }
    if (box) pixels = cropped(pixels, rows(box), compute);
    const levels = convert(add(clamped(pixels), 0.5), "u8");
    if (!eraseBox || !eraseKeys) return cubesOfPixels(levels, layout);
    // All levels are numbers of bf16, and noise may well be rounded.
    const views = erased(convert(levels, "f32"), rows(eraseBox), rows(eraseKeys));
    return cubesOfPixels(convert(views, "bf16"), layout);
  };
  // The barrier keeps compilers from making a view twice, once as a clip and once as a partner.
  const views = operations || box || eraseBox ? barrier(inParts(viewsOf, batch, parts)) : cubes;

  const partners = share && ofPartners(views);
  const seen = (rows: (batch: Tensor) => Tensor) => {
    if (!share || !partners) return rows(views);
    const [clips, others] = [views, partners].map((x) => convert(rows(x), "f32")) as [Tensor, Tensor];
    return mixed(clips, others, rows(share), cutBox && rows(cutBox), layout);
  };
  return { inputs: [...inputs.values()], seen };
}

/** Makes `[B, ...]` of clips `first`, `first + n`, ... at a time, one part after the other. */
function inParts(make: (rows: (batch: Tensor) => Tensor) => Tensor, batch: number, parts: number): Tensor {
  if (parts === 1) return make((tensor) => tensor);
  const each = batch / parts, made: Tensor[] = [];
  for (let i = 0; i < parts; i++) {
    const before = made.slice(-1);
    made.push(make((tensor) => {
      const [, ...rest] = tensor.shape;
      const columns = reshape(tensor, [each, parts, ...rest]);
      return barrier(reshape(slice(columns, 1, i, i + 1), [each, ...rest]), ...before);
    }));
  }
  const [, ...rest] = made[0]!.shape;
  return reshape(concatenate(made.map((part) => reshape(part, [each, 1, ...rest])), 1), [batch, ...rest]);
}
