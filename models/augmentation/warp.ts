/**
 * Geometry: an affine map with Pillow's bicubic filter (its coefficient is -1), and the crop of a box, resized and perhaps
 * mirrored, as `torch.nn.functional.interpolate` does it (bilinear, half-pixel centres, no antialias).
 */
import type { Compute } from "../shapes.ts";
import {
  abs,
  add,
  compare,
  convert,
  gatherRows,
  iota,
  matmul,
  maximum,
  minimum,
  multiply,
  reshape,
  select,
  subtract,
  type Tensor,
  transpose,
} from "../tensor/mod.ts";
import { clamped, column, wholePart } from "./arithmetic.ts";

/** The level that comes in from outside of a picture. */
const GREY = 128;
const TAPS = [0, 1, 2, 3] as const;
/** Nearer to 0 than any place that is not 0: what is above minus this is not below 0. */
const SMALL = 1e-30;

/**
 * Every clip under an affine map of its own, from places of the result to places of the source, in pixels from the upper
 * left corner: `x' = a x + b y + c`, `y' = d x + e y + f`.
 *
 * @param pixels levels, f32 `[B, H, W, D]`
 * @param map a to f, f32 `[B, 6]`
 * @returns levels, f32 `[B, H, W, D]`; 128 where the source has nothing
 */
export function warped(pixels: Tensor, map: Tensor): Tensor {
  const [batch, height, width, values] = pixels.shape as [number, number, number, number];
  const number = (i: number) => column(map, i, 3);
  const centre = (axis: number) => add(iota([1, height, width], axis, "f32"), 0.5);
  const [x, y] = [centre(2), centre(1)];
  const placed = (i: number) => add(add(multiply(number(i), x), multiply(number(i + 1), y)), number(i + 2));
  const across = taps(placed(0), width), down = taps(placed(3), height);
  // Levels fit a byte: a quarter of what is moved.
  const rows = convert(reshape(pixels, [batch, height * width, values]), "u8");
  const places = height * width;
  const line = TAPS.map((j) =>
    TAPS.map((i) => {
      const index = add(multiply(down.places[j], width), across.places[i]);
      const found = convert(gatherRows(rows, reshape(index, [batch, places])), "f32");
      return multiply(found, reshape(across.weights[i], [batch, places, 1]));
    }).reduce((a, b) => add(a, b))
  ).map((row, j) => multiply(row, reshape(down.weights[j as 0], [batch, places, 1])));
  const filtered = wholePart(clamped(line.reduce((a, b) => add(a, b))));
  const inside = reshape(multiply(across.inside, down.inside), [batch, places, 1]);
  return reshape(select(inside, filtered, GREY), pixels.shape);
}

/** What one axis has to do with a place on it: four neighbours, i32, and their weights. */
interface Taps {
  readonly places: Four;
  readonly weights: Four;
  readonly inside: Tensor;
}
type Four = readonly [Tensor, Tensor, Tensor, Tensor];

function taps(place: Tensor, size: number): Taps {
  const inside = multiply(compare(place, "greater", -SMALL), compare(place, "less", size));
  // Below -0.5 nothing is looked at; adding 1 makes the whole part the next number below.
  const shifted = add(minimum(maximum(subtract(place, 0.5), -1), size), 1);
  const whole = wholePart(shifted);
  const d = subtract(shifted, whole), d2 = multiply(d, d), d3 = multiply(d2, d);
  const first = convert(whole, "i32");
  const at = (i: number) => minimum(maximum(add(first, i - 2), 0), size - 1);
  return {
    inside,
    places: [at(0), at(1), at(2), at(3)],
    weights: [
      subtract(multiply(d2, 2), add(d, d3)),
      add(subtract(1, multiply(d2, 2)), d3),
      subtract(add(d, d2), d3),
      subtract(d3, d2),
    ],
  };
}

/**
 * A box of every clip, resized to the clip's size, mirrored where it says so.
 *
 * Rows and columns are resized one after the other, each by a matrix product: weights of a box are 0 but for two in a row,
 * yet products are what devices are quick at, and no number is fetched from anywhere.
 *
 * @param pixels levels, f32 `[B, H, W, D]`
 * @param box top, left, height, width in whole pixels, and 1 to mirror it or 0, f32 `[B, 5]`
 * @returns f32 `[B, H, W, D]`, not rounded
 */
export function cropped(pixels: Tensor, box: Tensor, compute: Compute): Tensor {
  const [batch, height, width, values] = pixels.shape as [number, number, number, number];
  const number = (i: number) => column(box, i, 3);
  const down = resizing(height, number(0), number(2));
  const across = resizing(width, number(1), number(3), number(4));
  const product = (weights: Tensor, x: Tensor) =>
    matmul(convert(weights, compute), convert(x, compute), { output: compute });
  const rows = product(down, reshape(pixels, [batch, height, width * values]));
  const turned = transpose(reshape(rows, [batch, height, width, values]), [0, 2, 1, 3]);
  const columns = product(across, reshape(turned, [batch, width, height * values]));
  return convert(transpose(reshape(columns, [batch, width, height, values]), [0, 2, 1, 3]), "f32");
}

/** What each place of the source gives to each of the result, `[B, size, size]`. */
function resizing(size: number, start: Tensor, length: Tensor, mirror?: Tensor): Tensor {
  const row = iota([1, size, size], 1, "f32"), source = iota([1, size, size], 2, "f32");
  const place = mirror ? add(row, multiply(mirror, subtract(size - 1, multiply(row, 2)))) : row;
  const inBox = subtract(multiply(add(place, 0.5), multiply(length, 1 / size)), 0.5);
  const kept = minimum(maximum(inBox, 0), subtract(length, 1));
  return maximum(subtract(1, abs(subtract(add(kept, start), source))), 0);
}
