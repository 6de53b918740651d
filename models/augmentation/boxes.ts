/**
 * What is done to boxes of clips in cube form: random erasing and the mixing of clips (mixup and cutmix). A box spans all
 * frames of a clip. Sums of products with masks; nothing is moved but each clip's partner.
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
  gatherRows,
  iota,
  multiply,
  reshape,
  select,
  subtract,
  type Tensor,
  transpose,
} from "../tensor/mod.ts";
import { column, WHITE } from "./arithmetic.ts";
import { normal } from "./noise.ts";
import { type ClipLayout, clipSize } from "./pixels.ts";

/**
 * Which values lie in a box of their clip.
 *
 * @param box top, left, height, width in pixels, f32 `[B, 4]`; no height, no box
 * @returns bool `[B, N, P]`
 */
export function insideBox(box: Tensor, layout: ClipLayout): Tensor {
  const { grid: { slots, rows, columns }, cube: { tubelet, patch } } = layout;
  const { height, width } = clipSize(layout), batch = box.shape[0]!;
  const along = (axis: 1 | 2) => {
    const place = iota([1, height, width], axis, "f32"), start = column(box, axis - 1, 3);
    const below = compare(place, "less", add(start, column(box, axis + 1, 3)));
    return multiply(compare(place, "greater", subtract(start, 0.5)), below);
  };
  const inside = reshape(multiply(along(1), along(2)), [batch, rows, patch, columns, patch]);
  const byCube = reshape(transpose(inside, [0, 1, 3, 2, 4]), [batch, 1, rows, columns, 1, patch, patch, 1]);
  const all = broadcast(byCube, [batch, slots, rows, columns, tubelet, patch, patch, CHANNELS]);
  return reshape(all, [batch, tokensOf(layout.grid), cubeValues(layout.cube)]);
}

/**
 * Random erasing, mode "pixel" (Zhong et al. 2020, as in timm): a box of noise, normal after the pixels are normalised, its
 * own in every frame.
 *
 * @param cubes levels, `[B, N, P]`
 * @param box as of {@linkcode insideBox}
 * @param keys what the noise of each clip follows from, u32 `[B, 2]`
 * @returns f32 `[B, N, P]`
 */
export function erased(cubes: Tensor, box: Tensor, keys: Tensor, layout: ClipLayout): Tensor {
  const [batch, tokens, values] = cubes.shape as [number, number, number];
  const perChannel = (of: readonly number[]) =>
    broadcast(concatenate(of.map((value) => constant(WHITE * value, [1])), 0), [
      batch,
      tokens,
      values / CHANNELS,
      CHANNELS,
    ]);
  const drawn = reshape(normal(keys, tokens * values), [batch, tokens, values / CHANNELS, CHANNELS]);
  const noise = reshape(add(multiply(drawn, perChannel(PIXEL_DEVIATION)), perChannel(PIXEL_MEAN)), cubes.shape);
  return select(insideBox(box, layout), noise, convert(cubes, "f32"));
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
