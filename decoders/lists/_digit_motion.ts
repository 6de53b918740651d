/**
 * Draws a handwritten digit that moves in one of eight ways before a soft gradient: the pictures of a demo clip. The
 * digit fills about two thirds of the frame. Place, size, angle, colours and speed are random and independent of the
 * motion, and every motion passes through the same middle pose, so that no frame tells a motion from its reverse.
 */
import { DIGIT_EDGE } from "./_mnist.ts";

/** The classes of the demo, in the order of their labels. */
export const MOTIONS = [
  "to the left",
  "to the right",
  "up",
  "down",
  "growing",
  "shrinking",
  "turning clockwise",
  "turning counterclockwise",
] as const;

/** How many uniform draws a clip consumes besides the choice of its digit. */
export const MOTION_DRAWS = 17;

/** Speed of a clip of this many frames is 1; longer clips move as far, more slowly. */
const REFERENCE_FRAMES = 16;

/** Picture size that speeds are given for, pixels. */
const REFERENCE_SIZE = 64;

/** Digit height of a third to two thirds and more of the frame: 28 of 64 pixels, one and a half times that. */
const DIGIT_SCALE = 1.5;

/** Growth and turn (radians) of a step of speed 1. */
const GROWTH = 1.05;
const TURN = 0.09;

/** Where a digit is in one frame. */
interface Pose {
  /** Middle of the digit, pixels. */
  x: number;
  y: number;
  /** Size of a digit's pixel in the picture. */
  scale: number;
  /** Clockwise turn, radians. */
  angle: number;
}

/** What to draw. */
export interface DigitScene {
  /** Ink, [28, 28], uint8. */
  digit: Uint8Array;
  /** Number of the motion in `MOTIONS`. */
  motion: number;
  /** Uniform numbers in [0, 1), `MOTION_DRAWS` of them. */
  draws: ArrayLike<number>;
  /** Pictures of the clip. */
  frames: number;
  /** Width and height of a picture, pixels. */
  size: number;
}

/**
 * @param scene What to draw.
 * @returns The pictures, interleaved RGB, each [size, size, 3], uint8.
 */
export function* drawClip({ digit, motion, draws, frames, size }: DigitScene): Generator<Uint8Array> {
  let used = 0;
  const between = (least: number, most: number) => least + draws[used++]! * (most - least);
  const triple = (least: number, most: number) => Array.from({ length: 3 }, () => between(least, most));
  const unit = size / REFERENCE_SIZE;
  const speed = between(0.8, 1.6) * REFERENCE_FRAMES / frames;
  const middle: Pose = {
    x: between(0.35, 0.65) * size,
    y: between(0.35, 0.65) * size,
    scale: between(0.7, 1.1) * unit * DIGIT_SCALE,
    angle: between(-0.4, 0.4),
  };
  const colour = triple(0.6, 1);
  const ground = gradient(triple(20, 80), triple(-40, 40), triple(-40, 40), size);
  for (let frame = 0; frame < frames; frame++) {
    const picture = ground.slice();
    const step = (frame - (frames - 1) / 2) * speed;
    drawDigit(picture, size, digit, poseAt(middle, motion, step, unit), colour);
    yield picture;
  }
}

/** The pose after `step` units of movement from the middle one. */
function poseAt(middle: Pose, motion: number, step: number, unit: number): Pose {
  const { x, y, scale, angle } = middle;
  switch (motion) {
    case 0:
      return { ...middle, x: x - step * unit };
    case 1:
      return { ...middle, x: x + step * unit };
    case 2:
      return { ...middle, y: y - step * unit };
    case 3:
      return { ...middle, y: y + step * unit };
    case 4:
      return { ...middle, scale: scale * GROWTH ** step };
    case 5:
      return { ...middle, scale: scale * GROWTH ** -step };
    case 6:
      return { ...middle, angle: angle + TURN * step };
    case 7:
      return { ...middle, angle: angle - TURN * step };
    default:
      throw new RangeError(`Motions are 0 to ${MOTIONS.length - 1}, got ${motion}`);
  }
}

/** A plane of colour that changes by `across` from left to right and by `down` from top to bottom. */
function gradient(base: number[], across: number[], down: number[], size: number): Uint8Array {
  const picture = new Uint8ClampedArray(size * size * 3);
  for (let y = 0, at = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      for (let c = 0; c < 3; c++) {
        picture[at++] = base[c]! + (x / size - 0.5) * across[c]! + (y / size - 0.5) * down[c]!;
      }
    }
  }
  return new Uint8Array(picture.buffer);
}

/** Lays a turned and scaled digit over a picture, bilinear, keeping the lighter of the two. */
function drawDigit(picture: Uint8Array, size: number, digit: Uint8Array, pose: Pose, colour: number[]): void {
  const cos = Math.cos(pose.angle) / pose.scale;
  const sin = Math.sin(pose.angle) / pose.scale;
  const centre = (DIGIT_EDGE - 1) / 2;
  // Ink reaches half a diagonal of the digit, and one pixel more by interpolation.
  const reach = Math.ceil((centre + 1) * Math.SQRT2 * pose.scale);
  const [left, right] = [Math.max(0, Math.floor(pose.x) - reach), Math.min(size - 1, Math.ceil(pose.x) + reach)];
  const [top, bottom] = [Math.max(0, Math.floor(pose.y) - reach), Math.min(size - 1, Math.ceil(pose.y) + reach)];
  for (let y = top; y <= bottom; y++) {
    for (let x = left; x <= right; x++) {
      const u = cos * (x - pose.x) + sin * (y - pose.y) + centre;
      const v = -sin * (x - pose.x) + cos * (y - pose.y) + centre;
      const ink = inkAt(digit, u, v);
      if (ink <= 0) continue;
      const at = (y * size + x) * 3;
      for (let c = 0; c < 3; c++) picture[at + c] = Math.max(picture[at + c]!, ink * colour[c]!);
    }
  }
}

/** Ink between the pixels of a digit; there is none outside. */
function inkAt(digit: Uint8Array, u: number, v: number): number {
  const column = Math.floor(u);
  const row = Math.floor(v);
  if (column < -1 || row < -1 || column >= DIGIT_EDGE || row >= DIGIT_EDGE) return 0;
  const right = u - column;
  const below = v - row;
  return (1 - below) * ((1 - right) * pixel(digit, column, row) + right * pixel(digit, column + 1, row)) +
    below * ((1 - right) * pixel(digit, column, row + 1) + right * pixel(digit, column + 1, row + 1));
}

function pixel(digit: Uint8Array, column: number, row: number): number {
  const inside = column >= 0 && column < DIGIT_EDGE && row >= 0 && row < DIGIT_EDGE;
  return inside ? digit[row * DIGIT_EDGE + column]! : 0;
}
