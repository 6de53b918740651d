/**
 * Film strips: frames side by side in one PNG inside the page. Large frames are made smaller by means over squares, and
 * of long clips one frame of a cube is shown, so that the page stays light.
 */
import { encode } from "fast-png";
import type { CubeLayout } from "../../decoders/cubes.ts";

/** How the frames of a strip are cut down. */
export interface StripSize {
  /** Every how many frames one is shown. */
  frameStep: number;
  /** Edge of the squares that become one pixel. */
  shrink: number;
  /** Frames shown. */
  frames: number;
  /** Size of a frame as shown, pixels. */
  width: number;
  height: number;
  /** Size of the picture: frames with one pixel between them. */
  stripWidth: number;
}

/**
 * The largest strip that keeps within a number of pixels: all frames if they fit, else one of every cube; then the
 * smallest shrinking.
 *
 * @param layout Sizes of the clip.
 * @param mostPixels Pixels of a strip at most; never less than one pixel a frame is used.
 */
export function stripSize(layout: CubeLayout, mostPixels: number): StripSize {
  const { frames, width, height, tubelet } = layout;
  const frameStep = frames * width * height <= mostPixels ? 1 : tubelet;
  const shown = Math.ceil(frames / frameStep);
  let shrink = 1;
  const smaller = (size: number) => Math.max(1, Math.floor(size / shrink));
  while (shown * smaller(width) * smaller(height) > mostPixels && shrink < Math.max(width, height)) shrink++;
  return {
    frameStep,
    shrink,
    frames: shown,
    width: smaller(width),
    height: smaller(height),
    stripWidth: shown * (smaller(width) + 1) - 1,
  };
}

/**
 * A strip as the address of a PNG.
 *
 * @param clip Frames, [T, H, W, 3], uint8.
 * @param layout Their sizes.
 * @param size How they are cut down.
 * @returns `data:image/png;base64,...`
 */
export function filmStrip(clip: Uint8Array, layout: CubeLayout, size: StripSize): string {
  const { frames, width, height, stripWidth, frameStep } = size;
  // Transparent between the frames, so that the page shows through in light and dark.
  const pixels = new Uint8Array(height * stripWidth * 4);
  for (let i = 0; i < frames; i++) {
    const frame = clip.subarray(i * frameStep * layout.height * layout.width * 3);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const to = (y * stripWidth + i * (width + 1) + x) * 4;
        for (let channel = 0; channel < 3; channel++) {
          pixels[to + channel] = squareMean(frame, layout, size.shrink, x, y, channel);
        }
        pixels[to + 3] = 255;
      }
    }
  }
  return pngAddress(pixels, stripWidth, height, 4);
}

function squareMean(
  frame: Uint8Array,
  layout: CubeLayout,
  edge: number,
  x: number,
  y: number,
  channel: number,
): number {
  let sum = 0;
  for (let dy = 0; dy < edge; dy++) {
    for (let dx = 0; dx < edge; dx++) {
      sum += frame[((y * edge + dy) * layout.width + x * edge + dx) * 3 + channel] ?? 0;
    }
  }
  return Math.round(sum / (edge * edge));
}

/**
 * A picture as an address that needs no file.
 *
 * @param pixels [height, width, channels], uint8.
 * @returns `data:image/png;base64,...`
 */
export function pngAddress(pixels: Uint8Array, width: number, height: number, channels: 3 | 4): string {
  const png = encode({ width, height, data: pixels, depth: 8, channels }, { zlib: { level: 9 } });
  return `data:image/png;base64,${png.toBase64()}`;
}
