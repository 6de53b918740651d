/**
 * One picture as a clip of one frame: JPEG, PNG, WebP or BMP, told by its first bytes, since names lie (ImageNet has a PNG
 * called `.JPEG`). What the header says is checked before anything is decoded: the size against the limit, and that the file
 * reaches its end, which decoders pass over.
 *
 * As PIL and the pipelines on top of it do: tags that ask for a turn (EXIF) are ignored, transparency is dropped, CMYK and
 * grey become RGB. Of an animation the first picture counts where libav knows it.
 */
import { CorruptClipError, type DecodeRequest, MAX_PIXELS } from "./decoder.ts";
import { checkFile } from "./_extent.ts";

/** What kind of picture a file is. */
export type PictureKind = "jpeg" | "png" | "webp" | "bmp";

/** A picture's file. */
export interface PictureFile {
  bytes: Uint8Array<ArrayBuffer>;
  /** As stored, pixels. */
  width: number;
  height: number;
}

/** Bytes of the largest file that is read: more than a picture of the most pixels has in any of these formats. */
const MAX_BYTES = 2 ** 28;

/** Bytes that tell the kind. */
const HEAD = 18;

/** Sizes of the second header of a BMP. */
const BMP_HEADERS = [12, 40, 52, 56, 64, 108, 124];

/** The kind of a file by its first bytes, null where it is no picture; what cannot be read is left to whoever opens it. */
export function pictureKind(path: string): PictureKind | null {
  try {
    if (!Deno.statSync(path).isFile) return null; // a pipe without a writer would wait for ever
    using file = Deno.openSync(path);
    const head = new Uint8Array(HEAD);
    return kindOf(head.subarray(0, file.readSync(head) ?? 0));
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return null;
  }
}

function kindOf(head: Uint8Array): PictureKind | null {
  if (head.length < 4) return null;
  const text = String.fromCharCode(...head);
  if (text.startsWith("\xff\xd8\xff")) return "jpeg";
  if (text.startsWith("\x89PNG\r\n\x1a\n")) return "png";
  if (text.startsWith("RIFF") && text.slice(8, 12) === "WEBP") return "webp";
  return text.startsWith("BM") && head.length === HEAD && BMP_HEADERS.includes(viewOf(head).getUint32(14, true))
    ? "bmp"
    : null;
}

/**
 * Reads a picture whole.
 *
 * @param request What is to be decoded.
 * @param kind As {@linkcode pictureKind} told.
 * @throws {CorruptClipError} Views take more than one frame, the file is cut short, or its picture is beyond the limit.
 */
export function readPicture({ path, sampling, span }: DecodeRequest, kind: PictureKind): PictureFile {
  if (sampling.frames > 1) {
    throw new CorruptClipError(
      path,
      "not-a-video",
      `it is a picture (${kind}), and views take ${sampling.frames} frames`,
    );
  }
  if (span) throw new CorruptClipError(path, "not-a-video", `it is a picture (${kind}), which has no part in time`);
  const { size: found } = checkFile(path);
  if (found > MAX_BYTES) {
    throw new CorruptClipError(path, "unsupported-codec", `a picture of ${found} bytes, ${MAX_BYTES} are the limit`);
  }
  const bytes = Deno.readFileSync(path);
  const { size, end } = PARSERS[kind](bytes, viewOf(bytes));
  if (size === null) throw new CorruptClipError(path, "truncated", "it ends before its picture", bytes.length);
  const [width, height] = size;
  if (width * height > MAX_PIXELS) {
    const limit = `${MAX_PIXELS} pixels are the limit`;
    throw new CorruptClipError(path, "unsupported-codec", `a picture of ${width}x${height} pixels, ${limit}`);
  }
  if (!end) throw new CorruptClipError(path, "truncated", "it ends in the middle of its picture", bytes.length);
  return { bytes, width, height };
}

/** What a header says: width and height where they were found, and whether the file reaches the end of its picture. */
interface Parsed {
  size: readonly [number, number] | null;
  end: boolean;
}

const PARSERS: Record<PictureKind, (bytes: Uint8Array, view: DataView) => Parsed> = {
  jpeg: parseJpeg,
  png: parsePng,
  // That a RIFF file is whole was checked with its container's size.
  webp: (bytes, view) => ({ size: webpSize(bytes, view), end: true }),
  bmp: (bytes, view) => ({
    size: bmpSize(bytes, view),
    end: bytes.length >= 6 && view.getUint32(2, true) <= bytes.length,
  }),
};

/** Goes from marker to marker: the size stands in the frame header, and nothing of a picture comes after its end marker. */
function parseJpeg(bytes: Uint8Array, view: DataView): Parsed {
  let size: Parsed["size"] = null;
  for (let at = 2;;) {
    at = bytes.indexOf(0xff, at);
    while (at >= 0 && bytes[at + 1] === 0xff) at++; // fill bytes
    const marker = at < 0 ? undefined : bytes[at + 1];
    if (marker === undefined) return { size, end: false };
    at += 2;
    if (marker === 0xd9) return { size, end: size !== null };
    if (marker <= 0x01 || (marker >= 0xd0 && marker <= 0xd8)) continue; // inside coded data
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (at + (isFrame ? 7 : 2) > bytes.length) return { size, end: false };
    if (isFrame) size ??= [view.getUint16(at + 5), view.getUint16(at + 3)];
    at += view.getUint16(at); // of a scan only its header has a length; coded data follows up to the next marker
  }
}

function parsePng(bytes: Uint8Array, view: DataView): Parsed {
  if (bytes.length < 33) return { size: null, end: false };
  const size = [view.getUint32(16), view.getUint32(20)] as const;
  for (let at = 8; at + 12 <= bytes.length;) {
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    at += 12 + view.getUint32(at);
    if (type === "IEND") return { size, end: at <= bytes.length };
  }
  return { size, end: false };
}

/** Of the canvas, the lossless or the lossy bitstream, whichever comes first. */
function webpSize(bytes: Uint8Array, view: DataView): Parsed["size"] {
  if (bytes.length < 30) return null;
  const at24 = (at: number) => view.getUint16(at, true) | bytes[at + 2]! << 16;
  switch (String.fromCharCode(...bytes.subarray(12, 16))) {
    case "VP8X":
      return [at24(24) + 1, at24(27) + 1];
    case "VP8L": {
      const bits = view.getUint32(21, true);
      return [(bits & 0x3fff) + 1, (bits >>> 14 & 0x3fff) + 1];
    }
    case "VP8 ":
      return [view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff];
    default:
      return null;
  }
}

function bmpSize(bytes: Uint8Array, view: DataView): Parsed["size"] {
  if (bytes.length < 26) return null;
  return view.getUint32(14, true) === 12
    ? [view.getUint16(18, true), view.getUint16(20, true)]
    : [Math.abs(view.getInt32(18, true)), Math.abs(view.getInt32(22, true))];
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
