/**
 * The ten operations of RandAugment that leave every pixel in its place, as Pillow computes them on 8-bit levels. Each clip
 * has its own operation: all are computed and one is chosen, since a compiled program has no branches.
 */
import { CHANNELS } from "../shapes.ts";
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
  matmul,
  max,
  maximum,
  minimum,
  multiply,
  negate,
  pad,
  reshape,
  scatterRows,
  select,
  slice,
  subtract,
  sum,
  type Tensor,
} from "../tensor/mod.ts";
import { clamped, column, WHITE, wholePart } from "./arithmetic.ts";

/**
 * Operations by number; 0 is none. Their arguments: the size of a step for `Posterize` (256 / 2^bits), the threshold for
 * `Solarize`, what is added for `SolarizeAdd`, the factor for the last four; the first three have none.
 */
export const COLOUR_OPERATIONS = [
  "None",
  "AutoContrast",
  "Equalize",
  "Invert",
  "Posterize",
  "Solarize",
  "SolarizeAdd",
  "Color",
  "Contrast",
  "Brightness",
  "Sharpness",
] as const;
export type ColourOperation = typeof COLOUR_OPERATIONS[number];

const LEVELS = 256;
/** ITU-R 601 luma in units of 2^-16, as Pillow rounds it. */
const LUMA = [19595, 38470, 7471] as const;
const LUMA_ONE = 65536;
/**
 * Added before the whole part is taken, so that whole numbers stay what they are however a compiler rounds. Less than the
 * distance of any quotient of AutoContrast that is not whole from the next whole number.
 */
const ROUNDING = 2 ** -12;

/**
 * One operation on each clip.
 *
 * @param pixels levels, f32 `[B, H, W, T * 3]`
 * @param operation number in {@linkcode COLOUR_OPERATIONS} and argument, f32 `[B, 2]`
 * @returns levels, f32 `[B, H, W, T * 3]`
 */
export function colourOperation(pixels: Tensor, operation: Tensor): Tensor {
  const [batch, height, width, values] = pixels.shape as [number, number, number, number];
  const frames = values / CHANNELS;
  // One axis for frames and one for channels where they matter.
  const x = reshape(pixels, [batch, height, width, frames, CHANNELS]);
  const which = column(operation, 0, 5), argument = column(operation, 1, 5);
  const is = (name: ColourOperation) => compare(which, "equal", COLOUR_OPERATIONS.indexOf(name));

  const inverted = subtract(WHITE, x);
  const posterized = multiply(wholePart(divide(x, maximum(argument, 1))), argument);
  const solarized = select(compare(x, "less", argument), x, inverted);
  const added = select(compare(x, "less", LEVELS / 2), minimum(add(x, argument), WHITE), x);

  // The enhancements go from a picture without the quality in question to the picture, and beyond.
  const grey = luma(x);
  const mean = wholePart(add(divide(sum(grey, [1, 2], { keepAxes: true }), height * width), 0.5));
  const smooth = reshape(smoothed(pixels), x.shape);
  const without = select(
    is("Color"),
    grey,
    select(is("Contrast"), mean, select(is("Sharpness"), smooth, constant(0, x.shape))),
  );
  const enhanced = wholePart(add(clamped(add(without, multiply(argument, subtract(x, without)))), ROUNDING));

  const choices: [ColourOperation, Tensor][] = [
    ["AutoContrast", autoContrast(x)],
    ["Equalize", reshape(equalized(pixels), x.shape)],
    ["Invert", inverted],
    ["Posterize", posterized],
    ["Solarize", solarized],
    ["SolarizeAdd", added],
    ["Color", enhanced],
    ["Contrast", enhanced],
    ["Brightness", enhanced],
    ["Sharpness", enhanced],
  ];
  return reshape(choices.reduce((rest, [name, result]) => select(is(name), result, rest), x), pixels.shape);
}

/** `[..., 3] -> [..., 1]`; products and sums of whole numbers below 2^24, exact in f32. */
function luma(x: Tensor): Tensor {
  const weights = concatenate(LUMA.map((weight) => constant(weight, [1])), 0);
  const total = sum(multiply(x, weights), [x.rank - 1], { keepAxes: true });
  return wholePart(divide(add(total, LUMA_ONE / 2), LUMA_ONE));
}

/** Each channel of each frame stretched to all levels; one of one level stays as it is. `[B, H, W, T, 3]` */
function autoContrast(x: Tensor): Tensor {
  const high = max(x, [1, 2], { keepAxes: true });
  const low = negate(max(negate(x), [1, 2], { keepAxes: true }));
  const range = subtract(high, low);
  const stretched = divide(multiply(subtract(x, low), WHITE), maximum(range, 1));
  // Clamped, since a compiler may have computed the range and the levels apart, and rounded them differently.
  return select(compare(range, "greater", 0), wholePart(add(clamped(stretched), ROUNDING)), x);
}

/** Each channel of each frame with its histogram made even, by Pillow's table of levels. `[B, H, W, T * 3]` */
function equalized(pixels: Tensor): Tensor {
  const [batch, height, width, values] = pixels.shape as [number, number, number, number];
  const size = height * width * values;
  // A bin for each level of each channel of each frame.
  const bin = add(multiply(convert(pixels, "i32"), values), iota(pixels.shape, 3));
  const index = reshape(bin, [batch, size]);
  const ones = constant(1, [batch, size, 1]);
  const counts = reshape(scatterRows(ones, index, LEVELS * values), [batch, LEVELS, values]);
  const below = convert(compare(iota([LEVELS, LEVELS], 1), "less", iota([LEVELS, LEVELS], 0)), "f32");
  const darker = matmul(broadcast(below, [batch, LEVELS, LEVELS]), counts);
  // The brightest level that occurs is not shared out.
  const level = iota([batch, LEVELS, values], 1, "f32");
  const highest = max(select(compare(counts, "greater", 0), level, 0), [1], { keepAxes: true });
  const last = sum(select(compare(level, "equal", highest), counts, 0), [1], { keepAxes: true });
  const step = divide(convert(subtract(height * width, last), "i32"), LEVELS - 1);
  const table = divide(add(convert(darker, "i32"), divide(step, 2)), maximum(step, 1));
  const levels = select(compare(step, "greater", 0), minimum(convert(table, "f32"), WHITE), level);
  return reshape(gatherRows(reshape(levels, [batch, LEVELS * values, 1]), index), pixels.shape);
}

/** Pillow's filter `SMOOTH`: the neighbours once, the pixel five times, of 13; the outermost pixels stay. `[B, H, W, D]` */
function smoothed(pixels: Tensor): Tensor {
  const [, height, width] = pixels.shape as [number, number, number, number];
  const along = (x: Tensor, axis: number) => {
    const size = x.shape[axis]!, wide = pad(x, axis, 1, 1);
    return add(add(slice(wide, axis, 0, size), slice(wide, axis, 2, size + 2)), x);
  };
  const total = add(along(along(pixels, 1), 2), multiply(pixels, 4));
  const filtered = wholePart(add(divide(total, 13), 0.5));
  const inside = (axis: number, size: number) => {
    const place = iota([1, height, width, 1], axis);
    return multiply(compare(place, "greater", 0), compare(place, "less", size - 1));
  };
  return select(multiply(inside(1, height), inside(2, width)), filtered, pixels);
}
