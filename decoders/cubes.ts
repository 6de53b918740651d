/**
 * Cube patches in token order: the stored form of a view. A clip [T, H, W, 3] becomes `tokens` rows; token
 * (t * gridHeight + y) * gridWidth + x holds the `tubelet` x `patch` x `patch` pixels of one cube ordered (dt, dy, dx,
 * channel), channel fastest (VideoMAE's order), so that picking tokens is a copy of contiguous bytes. Pixels are moved
 * in runs by `TypedArray.set`; no loop here touches a single pixel.
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

/**
 * Places one column of patches of all frames. In a strip of `patch` columns the rows of a patch are contiguous, so that
 * a whole (dy, dx, channel) block moves in one copy: the form that a scaler can write directly.
 *
 * @param strip Pixels of patch column `x`, [T, rows, patch, 3], uint8.
 * @param rows Rows of each frame in the strip, at least `top + height`.
 * @param top First row of the view in each frame.
 * @param layout Sizes.
 * @param x Which patch column, 0 to `gridWidth - 1`.
 * @param cubes Receives the blocks, [tokens, bytesPerToken].
 */
export function placeStrip(
  strip: Uint8Array,
  rows: number,
  top: number,
  layout: CubeLayout,
  x: number,
  cubes: Uint8Array,
): void {
  const { frames, gridHeight, patch } = layout;
  const row = patch * 3;
  const block = patch * row;
  for (let frame = 0; frame < frames; frame++) {
    let from = (frame * rows + top) * row;
    for (let y = 0; y < gridHeight; y++) {
      cubes.set(strip.subarray(from, from + block), cubeOffset(layout, frame, y, x));
      from += block;
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
