/**
 * Where a view looks in the picture, as pure geometry: the multi-scale crop of VideoMAE/AMD pre-training (a box of the
 * source, resized to a square), and the centre and three-crop of evaluation (the whole picture resized so that its short
 * side fits, then a window of it). Numbers follow AMD `dataset/transforms.py` and `datasets.py` exactly, except that a
 * box is kept inside a picture smaller than the output, where the official code would reach past the edge.
 *
 * For pictures there are MAE's two: the random resized crop of training, mirrored half of the time, and the centre of a
 * picture somewhat larger than the output. Area and shape of a random box are drawn as torchvision draws them; a box that does not fit is cut to the
 * picture, where torchvision draws up to ten times and then takes the middle. Resizing is bilinear, MAE's bicubic.
 */
import { checkDraw, drawInteger } from "./sampling.ts";

/** How a view is cut out of the picture. One choice holds for all its frames. */
export type CropRule =
  /** One of 10 size pairs at one of 13 fixed places; two draws. */
  | { kind: "multi-scale" }
  /** Short side to the output size, middle square. */
  | { kind: "centre" }
  /** Short side to the output size, then the first (0), middle (1) or last (2) square along the long side. */
  | { kind: "three-crop"; position: 0 | 1 | 2 }
  /** A box of 20 to 100 % of the area, 3:4 to 4:3, anywhere; four draws. */
  | { kind: "random-resized" }
  /** The same, and mirrored half of the time; five draws. */
  | { kind: "random-resized-flip" }
  /** Short side to 8/7 of the output size (256 for 224), middle square. */
  | { kind: "inner-centre" };

/** A rectangle of the picture as shown (after rotation), in source pixels; evaluation crops may fall between pixels. */
export interface CropBox {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** The picture operation behind a crop: cut `box`, resize it to `scaledWidth` x `scaledHeight`, take a square window. */
export interface CropPlan {
  /** Source rectangle to resize, whole pixels. */
  box: CropBox;
  /** Size of the resized rectangle, pixels. */
  scaledWidth: number;
  scaledHeight: number;
  /** Place of the output square in the resized rectangle, pixels. */
  left: number;
  top: number;
  /** Edge of the output square, pixels. */
  size: number;
  /** Whether left and right change places in the end. */
  mirrored: boolean;
}

/** The 13 places of the multi-scale crop, in quarters of the free width and height, official order. */
const PLACES: readonly (readonly [number, number])[] = [
  [0, 0],
  [4, 0],
  [0, 4],
  [4, 4],
  [2, 2],
  [0, 2],
  [4, 2],
  [2, 4],
  [2, 0],
  [1, 1],
  [3, 1],
  [1, 3],
  [3, 3],
];

const SCALES = [1, 0.875, 0.75, 0.66] as const;

/** Smallest share of the area and longest side ratio of a random resized crop. */
const LEAST_AREA = 0.2;
const MOST_RATIO = 4 / 3;

const DRAWS: Partial<Record<CropRule["kind"], number>> = {
  "multi-scale": 2,
  "random-resized": 4,
  "random-resized-flip": 5,
};

/** How many uniform draws a crop consumes: 2 (size pair, place), 4 (area, ratio, x, y), 5 (and mirrored) or none. */
export function cropDraws(rule: CropRule): number {
  return DRAWS[rule.kind] ?? 0;
}

/**
 * The crop of one view.
 *
 * @param rule How to cut.
 * @param width Width of the picture as shown, pixels.
 * @param height Height of the picture as shown, pixels.
 * @param size Edge of the output square, pixels.
 * @param draws Uniform numbers in [0, 1); the first `cropDraws(rule)` are used.
 * @returns What to cut and how to resize it.
 * @throws {RangeError} A size is not a whole number of at least 1, or a draw is missing or outside [0, 1).
 *
 * @example
 * ```ts
 * import { planCrop } from "./crops.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const plan = planCrop({ kind: "multi-scale" }, 340, 256, 224, [0, 0.99]);
 * assertEquals(plan.box, { x: 63, y: 0, width: 256, height: 256 });
 * ```
 */
export function planCrop(
  rule: CropRule,
  width: number,
  height: number,
  size: number,
  draws: readonly number[],
): CropPlan {
  for (const [name, value] of Object.entries({ width, height, size })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(`Cannot crop: ${name} must be a whole number of at least 1, got ${value}`);
    }
  }
  const needed = cropDraws(rule);
  if (draws.length < needed) {
    throw new RangeError(`The ${rule.kind} crop needs ${needed} draws, got ${draws.length}`);
  }
  for (let i = 0; i < needed; i++) checkDraw(draws[i]!);
  switch (rule.kind) {
    case "multi-scale": {
      const box = multiScaleBox(width, height, size, draws[0]!, draws[1]!);
      return { box, scaledWidth: size, scaledHeight: size, left: 0, top: 0, size, mirrored: false };
    }
    case "random-resized":
    case "random-resized-flip": {
      const box = randomBox(width, height, draws as [number, number, number, number]);
      const mirrored = rule.kind === "random-resized-flip" && draws[4]! < 0.5;
      return { box, scaledWidth: size, scaledHeight: size, left: 0, top: 0, size, mirrored };
    }
    case "centre":
      return shortSidePlan(width, height, size, size, 1);
    case "inner-centre":
      return shortSidePlan(width, height, Math.floor(size * 8 / 7), size, 1);
    case "three-crop":
      if (![0, 1, 2].includes(rule.position)) {
        throw new RangeError(`The three-crop position must be 0, 1 or 2, got ${rule.position}`);
      }
      return shortSidePlan(width, height, size, size, rule.position);
    default:
      throw new RangeError(
        `Unknown crop "${
          (rule as { kind: string }).kind
        }": expected multi-scale, random-resized, random-resized-flip, centre, inner-centre or three-crop`,
      );
  }
}

/**
 * The (width, height) pairs that the multi-scale crop chooses from: 4 scales of the short side, neighbours mixed.
 *
 * @param width Width of the picture, pixels.
 * @param height Height of the picture, pixels.
 * @param size Edge of the output square; a crop edge less than 3 pixels away becomes exactly this.
 * @returns 10 pairs, none larger than the picture.
 */
export function multiScalePairs(width: number, height: number, size: number): [number, number][] {
  const base = Math.min(width, height);
  const edges = SCALES.map((scale) => {
    const edge = Math.max(1, Math.floor(base * scale));
    return Math.min(Math.abs(edge - size) < 3 ? size : edge, base);
  });
  return edges.flatMap((h, i) => edges.flatMap((w, j): [number, number][] => Math.abs(i - j) <= 1 ? [[w, h]] : []));
}

/**
 * The source rectangle of the output square: equal to `plan.box` where the box itself becomes the square, else the
 * window mapped back through the resize, possibly between pixels.
 */
export function sourceBox(plan: CropPlan): CropBox {
  const { box, scaledWidth, scaledHeight, left, top, size } = plan;
  const stepX = box.width / scaledWidth;
  const stepY = box.height / scaledHeight;
  return { x: box.x + left * stepX, y: box.y + top * stepY, width: size * stepX, height: size * stepY };
}

function multiScaleBox(width: number, height: number, size: number, pairDraw: number, placeDraw: number): CropBox {
  const pairs = multiScalePairs(width, height, size);
  const [w, h] = pairs[drawInteger(pairDraw, pairs.length)]!;
  const [right, down] = PLACES[drawInteger(placeDraw, PLACES.length)]!;
  return {
    x: right * Math.floor((width - w) / 4),
    y: down * Math.floor((height - h) / 4),
    width: w,
    height: h,
  };
}

/** Area uniform, side ratio uniform in its logarithm, then the place among those that are left. */
function randomBox(width: number, height: number, draws: [number, number, number, number]): CropBox {
  const area = width * height * (LEAST_AREA + draws[0] * (1 - LEAST_AREA));
  const ratio = MOST_RATIO ** (2 * draws[1] - 1);
  const w = Math.min(width, Math.max(1, Math.round(Math.sqrt(area * ratio))));
  const h = Math.min(height, Math.max(1, Math.round(Math.sqrt(area / ratio))));
  return { x: drawInteger(draws[2], width - w + 1), y: drawInteger(draws[3], height - h + 1), width: w, height: h };
}

/** Short side to `short`, long side floored; the window sits at floor(position * free / 2) along both sides. */
function shortSidePlan(width: number, height: number, short: number, size: number, position: number): CropPlan {
  const wide = width >= height;
  const scaledWidth = wide ? Math.floor((short * width) / height) : short;
  const scaledHeight = wide ? short : Math.floor((short * height) / width);
  return {
    box: { x: 0, y: 0, width, height },
    scaledWidth,
    scaledHeight,
    left: Math.floor((position * (scaledWidth - size)) / 2),
    top: Math.floor((position * (scaledHeight - size)) / 2),
    size,
    mirrored: false,
  };
}
