/**
 * What is done to boxes of clips: random erasing, on pixels, and the mixing of clips (mixup and cutmix), on cubes. A box spans
 * all frames of a clip.
 */
import { PIXEL_DEVIATION, PIXEL_MEAN } from "../patch_embed.ts";
import { CHANNELS, cubeValues, tokensOf } from "../shapes.ts";
import {
  add,
  broadcast,
  compare,
  concatenate,
  constant,
  convert,
  divide,
  gatherRows,
  iota,
  maximum,
  multiply,
  reshape,
  scatterRows,
  select,
  slice,
  subtract,
  type Tensor,
  transpose,
} from "../tensor/mod.ts";
import { column, WHITE, wholePart } from "./arithmetic.ts";
import { normal } from "./noise.ts";
import { type ClipLayout, clipSize } from "./pixels.ts";

/** Largest share of a picture that is erased. */
const LARGEST_ERASED = 0.35;

/**
 * Which values lie in a box of their clip.
 *
 * @param box top, left, height, width in pixels, f32 `[B, 4]`; no height, no box
 * @returns bool `[B, N, P]`
 */
export function insideBox(box: Tensor, layout: ClipLayout): Tensor {
  const { grid: { slots, rows, columns }, cube: { tubelet, patch } } = layout;
  const { height, width } = clipSize(layout), batch = box.shape[0]!;
  const inside = reshape(pixelsInBox(box, height, width), [batch, rows, patch, columns, patch]);
  const byCube = reshape(transpose(inside, [0, 1, 3, 2, 4]), [batch, 1, rows, columns, 1, patch, patch, 1]);
  const all = broadcast(byCube, [batch, slots, rows, columns, tubelet, patch, patch, CHANNELS]);
  return reshape(all, [batch, tokensOf(layout.grid), cubeValues(layout.cube)]);
}

/** The same as bool `[B, H, W, 1]`. */
function pixelsInBox(box: Tensor, height: number, width: number): Tensor {
  const along = (axis: 1 | 2) => {
    const place = iota([1, height, width, 1], axis, "f32"), start = column(box, axis - 1, 4);
    const below = compare(place, "less", add(start, column(box, axis + 1, 4)));
    return multiply(compare(place, "greater", subtract(start, 0.5)), below);
  };
  return multiply(along(1), along(2));
}

/**
 * Random erasing, mode "pixel" (Zhong et al. 2020, as in timm): a box of noise, normal after the pixels are normalised, its
 * own in every frame.
 *
 * Noise is drawn for the largest box there may be and laid into the box row by row: drawing is what costs.
 *
 * @param pixels levels, f32 `[B, H, W, T * 3]`
 * @param box as of {@linkcode insideBox}, of a third of the picture at most
 * @param keys what the noise of each clip follows from, u32 `[B, 2]`
 * @returns f32 `[B, H, W, T * 3]`; noise has no levels
 */
export function erased(pixels: Tensor, box: Tensor, keys: Tensor): Tensor {
  const [batch, height, width, values] = pixels.shape as [number, number, number, number];
  const places = height * width, most = Math.ceil(places * LARGEST_ERASED);
  const [top, left, rows, columns] = [0, 1, 2, 3].map((i) => column(box, i, 2)) as [Tensor, Tensor, Tensor, Tensor];
  // Where number k of the box's pixels lies; those that it does not have go behind the picture, each to a place of its own.
  const k = iota([batch, most], 1, "f32");
  const down = wholePart(divide(add(k, 0.5), maximum(columns, 1)));
  const place = add(multiply(add(top, down), width), add(left, subtract(k, multiply(down, columns))));
  const index = select(compare(k, "less", multiply(rows, columns)), place, add(k, places));
  const perChannel = (of: readonly number[]) =>
    concatenate(Array.from({ length: values }, (_, i) => constant(WHITE * of[i % CHANNELS]!, [1])), 0);
  const drawn = reshape(normal(keys, most * values), [batch, most, values]);
  const noise = add(multiply(drawn, perChannel(PIXEL_DEVIATION)), perChannel(PIXEL_MEAN));
  const laid = slice(scatterRows(noise, convert(index, "i32"), places + most), 1, 0, places);
  return select(pixelsInBox(box, height, width), reshape(laid, pixels.shape), pixels);
}

/** Values of each clip's partner: the clip at the same place from the end of the batch, `[B, ...] -> [B, ...]`. */
export function ofPartners(x: Tensor): Tensor {
  const [batch] = x.shape as [number];
  const rows = reshape(x, [1, batch, x.size / batch]);
  return reshape(gatherRows(rows, subtract(batch - 1, iota([1, batch], 1))), x.shape);
}

/**
 * `share * clip + (1 - share) * partner`; inside the box, if there is one, the partner alone.
 *
 * @param clips levels, f32 `[B, N, P]`
 * @param partners the same of their partners
 * @param share f32 `[B]`, 1 leaves a clip alone
 * @param box as of {@linkcode insideBox}; none where nothing is cut
 */
export function mixed(clips: Tensor, partners: Tensor, share: Tensor, box?: Tensor, layout?: ClipLayout): Tensor {
  const own = reshape(share, [share.size, 1, 1]);
  const blend = add(multiply(clips, own), multiply(partners, subtract(1, own)));
  return box && layout ? select(insideBox(box, layout), partners, blend) : blend;
}
