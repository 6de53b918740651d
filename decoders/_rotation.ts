/**
 * The turn that a display matrix asks for. Phones store portrait clips lying down with such a matrix; the ffmpeg command
 * turns pictures by it before anything else, in-process decoding does not. Only quarter turns and mirrors are followed;
 * other angles, which no camera writes, are ignored.
 */

/** A turn as libav filters, and whether it swaps width and height. */
export interface Turn {
  /** Filter chain, or "" for none. */
  filter: "" | "hflip" | "vflip" | "hflip,vflip" | `transpose=${"clock" | "cclock" | "clock_flip" | "cclock_flip"}`;
  swaps: boolean;
}

const NONE: Turn = { filter: "", swaps: false };

/**
 * @param matrix The 3x3 display matrix, nine little-endian int32 (36 bytes), or null.
 * @returns The turn to apply to stored pictures, the one that the ffmpeg command applies.
 */
export function turnOf(matrix: Uint8Array | null): Turn {
  if (matrix === null || matrix.length < 36) return NONE;
  const view = new DataView(matrix.buffer, matrix.byteOffset, 36);
  // x' = a x + c y, y' = b x + d y, all 16.16 fixed point
  const [a, b, c, d] = [
    view.getInt32(0, true),
    view.getInt32(4, true),
    view.getInt32(12, true),
    view.getInt32(16, true),
  ];
  const degrees = Math.round(
    Math.atan2(b / (Math.hypot(b, d) || 1), a / (Math.hypot(a, c) || 1)) * 180 / Math.PI,
  );
  switch ((degrees + 360) % 360) {
    case 90:
      return { filter: `transpose=${c > 0 ? "cclock_flip" : "clock"}`, swaps: true };
    case 270:
      return { filter: `transpose=${c < 0 ? "clock_flip" : "cclock"}`, swaps: true };
    case 180:
      if (a < 0) return { filter: d < 0 ? "hflip,vflip" : "hflip", swaps: false };
      return { filter: d < 0 ? "vflip" : "", swaps: false };
    case 0:
      return d < 0 ? { filter: "vflip", swaps: false } : NONE;
    default:
      return NONE;
  }
}
