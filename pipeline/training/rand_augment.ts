/**
 * RandAugment as the official fine-tuning draws it (Cubuk et al. 2020, in timm's "increasing" form; section 1.3 of the
 * method): operations drawn with replacement from fifteen, each applied at even odds, its strength normally distributed, one
 * and the same for all frames of a clip. What comes out are the numbers that the step's program takes.
 */
import { COLOUR_OPERATIONS, type ColourOperation } from "../../models/augmentation/colour.ts";
import type { RandAugmentPolicy } from "./rand_augment_policy.ts";

/** Operations, in the order of timm's table. */
export const RAND_AUGMENT_OPERATIONS = [
  "AutoContrast",
  "Equalize",
  "Invert",
  "Rotate",
  "PosterizeIncreasing",
  "SolarizeIncreasing",
  "SolarizeAdd",
  "ColorIncreasing",
  "ContrastIncreasing",
  "BrightnessIncreasing",
  "SharpnessIncreasing",
  "ShearX",
  "ShearY",
  "TranslateXRel",
  "TranslateYRel",
] as const;
export type RandAugmentOperation = typeof RAND_AUGMENT_OPERATIONS[number];

/** An affine map from places of the result to places of the source: `x' = a x + b y + c`, `y' = d x + e y + f`, pixels. */
export type AffineMap = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

export const IDENTITY: AffineMap = [1, 0, 0, 0, 1, 0];

/** What an operation is to the program: a colour operation and its argument, or a map. */
export type DrawnOperation = { readonly colour: readonly [ColourOperation, number] } | { readonly map: AffineMap };

/** The strongest magnitude. */
const MOST = 10;
const GREATEST = { degrees: 30, enhance: 0.9, shear: 0.3, translate: 0.45, bits: 4, solarize: 256, add: 110 };

/**
 * An operation at a strength.
 *
 * @param magnitude 0 to 10
 * @param negative whether its argument is negated, where it has a sign
 * @param width of the clip, pixels
 * @param height of the clip, pixels
 */
export function drawnOperation(
  name: RandAugmentOperation,
  magnitude: number,
  negative: boolean,
  { width, height }: { readonly width: number; readonly height: number },
): DrawnOperation {
  const level = magnitude / MOST, signed = negative ? -level : level;
  const enhanced = (colour: ColourOperation): DrawnOperation => ({ colour: [colour, 1 + GREATEST.enhance * signed] });
  switch (name) {
    case "AutoContrast":
    case "Equalize":
    case "Invert":
      return { colour: [name, 0] };
    case "PosterizeIncreasing":
      return { colour: ["Posterize", 2 ** (8 - (GREATEST.bits - Math.trunc(GREATEST.bits * level)))] };
    case "SolarizeIncreasing":
      return { colour: ["Solarize", GREATEST.solarize - Math.trunc(GREATEST.solarize * level)] };
    case "SolarizeAdd":
      return { colour: ["SolarizeAdd", Math.trunc(GREATEST.add * level)] };
    case "ColorIncreasing":
      return enhanced("Color");
    case "ContrastIncreasing":
      return enhanced("Contrast");
    case "BrightnessIncreasing":
      return enhanced("Brightness");
    case "SharpnessIncreasing":
      return enhanced("Sharpness");
    case "Rotate":
      return { map: rotation(GREATEST.degrees * signed, width / 2, height / 2) };
    case "ShearX":
      return { map: [1, GREATEST.shear * signed, 0, 0, 1, 0] };
    case "ShearY":
      return { map: [1, 0, 0, GREATEST.shear * signed, 1, 0] };
    case "TranslateXRel":
      return { map: [1, 0, GREATEST.translate * signed * width, 0, 1, 0] };
    case "TranslateYRel":
      return { map: [1, 0, 0, 0, 1, GREATEST.translate * signed * height] };
  }
}

/** Turns counter-clockwise about a point. */
function rotation(degrees: number, x: number, y: number): AffineMap {
  const angle = -degrees * Math.PI / 180, cos = Math.cos(angle), sin = Math.sin(angle);
  return [cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y];
}

/** First `second`, then `first`: where an operation follows another, the map of the later one is gone through first. */
export function composed(first: AffineMap, second: AffineMap): AffineMap {
  const [a, b, c, d, e, f] = first, [g, h, i, j, k, l] = second;
  return [a * g + b * j, a * h + b * k, a * i + b * l + c, d * g + e * j, d * h + e * k, d * i + e * l + f];
}

/** Draws that {@linkcode drawRandAugment} needs for one operation. */
export const DRAWS_PER_OPERATION = 5;

/** What a policy does to one clip. */
export interface DrawnPolicy {
  /** Number and argument of a colour operation in each slot, 0 for none, `[n * 2]`. */
  readonly colour: readonly number[];
  readonly map: AffineMap;
}

/**
 * Draws for a clip.
 *
 * @param draws numbers in [0, 1), {@linkcode DRAWS_PER_OPERATION} for each operation
 */
export function drawRandAugment(
  { magnitude, operations, deviation }: RandAugmentPolicy,
  draws: ArrayLike<number>,
  size: { readonly width: number; readonly height: number },
): DrawnPolicy {
  const colour: number[] = [];
  let map = IDENTITY;
  for (let i = 0; i < operations; i++) {
    const [which, apply, radius, angle, sign] = Array.from({ length: DRAWS_PER_OPERATION }, (_, k) => {
      return draws[i * DRAWS_PER_OPERATION + k]!;
    }) as [number, number, number, number, number];
    const name = RAND_AUGMENT_OPERATIONS[Math.floor(which * RAND_AUGMENT_OPERATIONS.length)]!;
    // Box and Muller's normal number.
    const normal = Math.sqrt(-2 * Math.log(1 - radius)) * Math.cos(2 * Math.PI * angle);
    const strength = Math.min(MOST, Math.max(0, magnitude + deviation * normal));
    const drawn = apply < 0.5 ? drawnOperation(name, strength, sign > 0.5, size) : undefined;
    if (drawn && "map" in drawn) map = composed(map, drawn.map);
    colour.push(...drawn && "colour" in drawn ? [COLOUR_OPERATIONS.indexOf(drawn.colour[0]), drawn.colour[1]] : [0, 0]);
  }
  return { colour, map };
}
