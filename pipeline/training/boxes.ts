/** Boxes of random crops, random erasing and cutmix, by the official rules, from draws in [0, 1). */

/** A box in pixels. */
export interface Box {
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
}

/** Height and width of a picture, pixels. */
export type Size = Pick<Box, "height" | "width">;

/** Draws that one try takes: area, ratio, top, left. */
export const DRAWS_PER_TRY = 4;
/** Tries for a crop before it is the centre. */
export const CROP_TRIES = 10;
/** Tries for a box to erase before nothing is erased. */
export const ERASE_TRIES = 100;

const CROP_AREA = [0.08, 1] as const;
const CROP_RATIO = [0.75, 1.3333] as const;
const ERASE_AREA = [0.02, 1 / 3] as const;
const ERASE_RATIO = [0.3, 1 / 0.3] as const;

/**
 * Random resized crop (Szegedy et al. 2015, as in SlowFast): 8 to 100 % of the area, width over height 3:4 to 4:3.
 *
 * @param draws the draws of a try by its number from 0
 */
export function cropBox(size: Size, draws: (attempt: number) => ArrayLike<number>): Box {
  const { height, width } = size;
  for (let attempt = 0; attempt < CROP_TRIES; attempt++) {
    const { area, ratio, place } = drawn(size, draws(attempt), CROP_AREA, CROP_RATIO);
    const box = { height: roundEven(Math.sqrt(area / ratio)), width: roundEven(Math.sqrt(area * ratio)) };
    if (box.width > 0 && box.width <= width && box.height > 0 && box.height <= height) return place(box);
  }
  const [least, most] = CROP_RATIO, ratio = width / height;
  const box = ratio < least
    ? { height: roundEven(width / least), width }
    : ratio > most
    ? { height, width: roundEven(height * most) }
    : size;
  return {
    ...box,
    top: Math.floor((height - box.height) / 2),
    left: Math.floor((width - box.width) / 2),
  };
}

/**
 * The box of random erasing: 2 to 33 % of the area, height over width 0.3 to 3.33.
 *
 * @param draws the draws of a try by its number from 0
 * @returns undefined if no try fits, which a square picture is hardly ever up to
 */
export function eraseBox(size: Size, draws: (attempt: number) => ArrayLike<number>): Box | undefined {
  for (let attempt = 0; attempt < ERASE_TRIES; attempt++) {
    const { area, ratio, place } = drawn(size, draws(attempt), ERASE_AREA, ERASE_RATIO);
    const box = { height: roundEven(Math.sqrt(area * ratio)), width: roundEven(Math.sqrt(area / ratio)) };
    if (box.width < size.width && box.height < size.height) return place(box);
  }
  return undefined;
}

/**
 * The box of cutmix (Yun et al. 2019): a share `1 - share` of the picture about a centre, cut at the borders.
 *
 * @param share of the clip that is kept
 * @param x draw for the centre
 * @param y draw for the centre
 */
export function cutBox({ height, width }: Size, share: number, x: number, y: number): Box {
  const side = Math.sqrt(1 - share);
  const along = (length: number, draw: number) => {
    // An odd length loses a pixel.
    const half = Math.floor(Math.floor(length * side) / 2), centre = Math.floor(draw * length);
    return [Math.max(centre - half, 0), Math.min(centre + half, length)] as const;
  };
  const [top, bottom] = along(height, y), [left, right] = along(width, x);
  return { top, left, height: bottom - top, width: right - left };
}

/** Area in pixels, a ratio even on the logarithmic scale, and how a box is placed. */
function drawn(
  { height, width }: Size,
  draws: ArrayLike<number>,
  [leastArea, mostArea]: readonly [number, number],
  [leastRatio, mostRatio]: readonly [number, number],
) {
  const [area, ratio, top, left] = [draws[0]!, draws[1]!, draws[2]!, draws[3]!];
  const logarithm = Math.log(leastRatio) + ratio * (Math.log(mostRatio) - Math.log(leastRatio));
  return {
    area: (leastArea + area * (mostArea - leastArea)) * height * width,
    ratio: Math.exp(logarithm),
    place: (box: Size): Box => ({
      ...box,
      top: Math.floor(top * (height - box.height + 1)),
      left: Math.floor(left * (width - box.width + 1)),
    }),
  };
}

/** To the nearest whole number, halves to the even one, as Python rounds. */
function roundEven(x: number): number {
  const low = Math.floor(x), rest = x - low;
  return rest < 0.5 || (rest === 0.5 && low % 2 === 0) ? low : low + 1;
}
