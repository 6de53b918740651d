/**
 * Cube patches in token order: the stored form of a view. A clip [T, H, W, 3] becomes `tokens` rows; token
 * (t * gridHeight + y) * gridWidth + x holds the `tubelet` x `patch` x `patch` pixels of one cube ordered (dt, dy, dx,
 * channel), channel fastest (VideoMAE's order), so that picking tokens is a copy of contiguous bytes. Little-endian
 * machines only, as all are that this runs on.
 */

/** Sizes of a view in cubes. */
export interface CubeLayout {
  /** Frames, T. */
  frames: number;
  /** Picture size, pixels. */
  width: number;
  height: number;
  /** Frames and pixels of a cube. */
  tubelet: number;
  patch: number;
  /** Cubes along time, height and width. */
  gridFrames: number;
  gridHeight: number;
  gridWidth: number;
  /** Cubes of the view. */
  tokens: number;
  /** Bytes of one cube: tubelet * patch * patch * 3. */
  bytesPerToken: number;
  /** Bytes of the view. */
  bytes: number;
}

/**
 * @param frames Frames of a view, a multiple of `tubelet`.
 * @param height Picture height, a multiple of `patch`, pixels.
 * @param width Picture width, a multiple of `patch`, pixels.
 * @param tubelet Frames of a cube.
 * @param patch Edge of a cube in the picture, pixels.
 * @returns All sizes that follow.
 * @throws {RangeError} A size is not a whole number of at least 1, or is not a multiple.
 *
 * @example
 * ```ts
 * import { cubeLayout } from "./cubes.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const layout = cubeLayout(16, 224, 224, 2, 16);
 * assertEquals([layout.tokens, layout.bytesPerToken], [1568, 1536]);
 * ```
 */
export function cubeLayout(
  frames: number,
  height: number,
  width: number,
  tubelet: number,
  patch: number,
): CubeLayout {
  for (const [name, value] of Object.entries({ frames, height, width, tubelet, patch })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(`Cannot cut cubes: ${name} must be a whole number of at least 1, got ${value}`);
    }
  }
  if (frames % tubelet !== 0) {
    throw new RangeError(`Cannot cut cubes: ${frames} frames are not a multiple of the tubelet size ${tubelet}`);
  }
  if (height % patch !== 0 || width % patch !== 0) {
    throw new RangeError(`Cannot cut cubes: ${width}x${height} pixels are not multiples of the patch size ${patch}`);
  }
  const gridFrames = frames / tubelet;
  const gridHeight = height / patch;
  const gridWidth = width / patch;
  const tokens = gridFrames * gridHeight * gridWidth;
  const bytesPerToken = tubelet * patch * patch * 3;
  return {
    frames,
    width,
    height,
    tubelet,
    patch,
    gridFrames,
    gridHeight,
    gridWidth,
    tokens,
    bytesPerToken,
    bytes: tokens * bytesPerToken,
  };
}

/**
 * Cuts an interleaved RGB clip into cubes, one copy per row of a patch.
 *
 * @param clip Pixels, [T, H, W, 3], uint8.
 * @param layout Sizes.
 * @param cubes Receives [tokens, bytesPerToken].
 * @throws {RangeError} A buffer does not have the size of the layout.
 */
export function cutCubes(clip: Uint8Array, layout: CubeLayout, cubes: Uint8Array): void {
  checkBytes("clip", clip, layout.bytes);
  checkBytes("cubes", cubes, layout.bytes);
  const { frames, gridHeight, gridWidth, patch } = layout;
  const run = patch * 3;
  let from = 0;
  for (let frame = 0; frame < frames; frame++) {
    for (let y = 0; y < gridHeight; y++) {
      for (let dy = 0; dy < patch; dy++) {
        for (let x = 0; x < gridWidth; x++) {
          cubes.set(clip.subarray(from, from + run), cubeOffset(layout, frame, y, x) + dy * run);
          from += run;
        }
      }
    }
  }
}

/** Pictures as one plane a colour, the form in which a scaler gives them: [T * rows, stride] each, uint8. */
export interface PlanarClip {
  red: Uint8Array;
  green: Uint8Array;
  blue: Uint8Array;
  /** Bytes from one row of a plane to the next. */
  stride: number;
  /** Rows of each frame, at least `top + height`. */
  rows: number;
  /** Place of the view in each frame, pixels. */
  left: number;
  top: number;
}

/**
 * Cuts planes into cubes. The one loop over pixels: four at a time where the buffers begin at multiples of four bytes,
 * which takes half the time that libav needs for packing alone.
 *
 * @param clip The planes.
 * @param layout Sizes.
 * @param cubes Receives [tokens, bytesPerToken].
 */
export function cutPlanes(clip: PlanarClip, layout: CubeLayout, cubes: Uint8Array): void {
  checkBytes("cubes", cubes, layout.bytes);
  const { frames, height, gridWidth, patch, bytesPerToken } = layout;
  const { rows, stride, left, top } = clip;
  const planes = [clip.red, clip.green, clip.blue].map((plane) => plane.subarray(left));
  const aligned = patch % 4 === 0 && stride % 4 === 0 &&
    [...planes, cubes].every((bytes) => bytes.byteOffset % 4 === 0);
  const [red, green, blue, packed] = aligned ? [...planes, cubes].map(words) : [...planes, cubes];
  const pack = aligned ? packWords : packBytes;
  const unit = aligned ? 4 : 1;
  for (let frame = 0; frame < frames; frame++) {
    for (let y = 0; y < height; y++) {
      const from = (frame * rows + top + y) * stride / unit;
      const to = (cubeOffset(layout, frame, Math.floor(y / patch), 0) + (y % patch) * patch * 3) / unit;
      pack(red!, green!, blue!, packed!, from, to, gridWidth, patch / unit, bytesPerToken / unit);
    }
  }
}

type Elements = Uint8Array | Uint32Array;

function words(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
}

/** Packs a row from `from` on: `length` elements of each plane to each of `count` places from `to` on, `step` apart. */
function packBytes(
  red: Elements,
  green: Elements,
  blue: Elements,
  packed: Elements,
  from: number,
  to: number,
  count: number,
  length: number,
  step: number,
): void {
  for (let x = 0; x < count; x++, to += step) {
    for (let i = 0, at = to; i < length; i++, from++, at += 3) {
      packed[at] = red[from]!;
      packed[at + 1] = green[from]!;
      packed[at + 2] = blue[from]!;
    }
  }
}

/** As {@linkcode packBytes}, four pixels an element: R3R2R1R0 and so on become R1B0G0R0, G2R2B1G1, B3G3R3B2. */
function packWords(
  red: Elements,
  green: Elements,
  blue: Elements,
  packed: Elements,
  from: number,
  to: number,
  count: number,
  length: number,
  step: number,
): void {
  for (let x = 0; x < count; x++, to += step) {
    for (let i = 0, at = to; i < length; i++, from++, at += 3) {
      const r = red[from]!, g = green[from]!, b = blue[from]!;
      packed[at] = (r & 0xff) | (g & 0xff) << 8 | (b & 0xff) << 16 | (r & 0xff00) << 16;
      packed[at + 1] = g >>> 8 & 0xff | b & 0xff00 | r & 0xff0000 | (g & 0xff0000) << 8;
      packed[at + 2] = b >>> 16 & 0xff | r >>> 16 & 0xff00 | g >>> 8 & 0xff0000 | b & 0xff000000;
    }
  }
}

/**
 * The inverse of {@linkcode cutCubes}, for pictures in reports and for tests.
 *
 * @param cubes [tokens, bytesPerToken], uint8.
 * @param layout Sizes.
 * @returns Pixels, [T, H, W, 3], uint8.
 * @throws {RangeError} The buffer does not have the size of the layout.
 */
export function joinCubes(cubes: Uint8Array, layout: CubeLayout): Uint8Array<ArrayBuffer> {
  checkBytes("cubes", cubes, layout.bytes);
  const { frames, gridHeight, gridWidth, patch } = layout;
  const clip = new Uint8Array(layout.bytes);
  const run = patch * 3;
  let to = 0;
  for (let frame = 0; frame < frames; frame++) {
    for (let y = 0; y < gridHeight; y++) {
      for (let dy = 0; dy < patch; dy++) {
        for (let x = 0; x < gridWidth; x++) {
          const from = cubeOffset(layout, frame, y, x) + dy * run;
          clip.set(cubes.subarray(from, from + run), to);
          to += run;
        }
      }
    }
  }
  return clip;
}

/** Where the (dy, dx, channel) block of one frame of one cube begins, bytes. */
function cubeOffset(layout: CubeLayout, frame: number, y: number, x: number): number {
  const { tubelet, gridHeight, gridWidth, bytesPerToken } = layout;
  const token = (Math.floor(frame / tubelet) * gridHeight + y) * gridWidth + x;
  return token * bytesPerToken + (frame % tubelet) * (bytesPerToken / tubelet);
}

function checkBytes(name: string, buffer: Uint8Array, expected: number): void {
  if (buffer.length !== expected) {
    throw new RangeError(`Cannot cut cubes: ${name} has ${buffer.length} bytes, expected ${expected}`);
  }
}
