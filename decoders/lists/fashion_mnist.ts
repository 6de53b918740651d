/**
 * The embedded demo of pictures: Fashion-MNIST as real PNG files, 28 x 28 pixels, grey, in lists as those of the moving
 * digits (`digits.ts`). Classes take turns, so that every beginning of a list is balanced. Which pictures of a class are
 * taken, and in which order, depends on the seed.
 *
 * The same settings give the same bytes. A folder that was left half made is finished; `fashion-mnist.json`, which holds
 * the settings, marks it complete. One process at a time may make a folder.
 */
import { encode } from "fast-png";
import { type DemoLists, fillDemoFolder, isWritten } from "./_demo_folder.ts";
import {
  FASHION_CLASSES,
  FASHION_EDGE,
  FASHION_FILES,
  FASHION_MOST,
  type FashionPictures,
  readFashion,
} from "./_fashion_pictures.ts";

/** Version of the files: another one chooses or writes differently. */
const VERSION = 1;

export { FASHION_CLASSES, FASHION_MOST } from "./_fashion_pictures.ts";

/** Pictures between two looks at the signal. */
const BATCH = 64;

type Part = keyof FashionPictures;

/** What to make. */
export interface FashionOptions {
  /** Where; made if absent. */
  folder: string;
  /** Training pictures, up to 59,870. */
  trainClips: number;
  /** Validation pictures, up to 10,000. */
  valClips: number;
  /** Seed of the choice of pictures, 0 to 2^53 - 1. */
  seed: number;
  /** Gives `count` numbers in [0, 1) that depend on the other arguments only. */
  uniforms: (count: number, seed: number, purpose: string, ...key: (number | string)[]) => ArrayLike<number>;
  /** Stops between pictures; what is there stays. */
  signal?: AbortSignal;
  /** Called as pictures are written, those found already written included. */
  onProgress?: (done: number, total: number) => void;
}

/**
 * Makes the demo's pictures and lists, or what is missing of them.
 *
 * @param options How many, seed, place.
 * @returns Where the lists are.
 * @throws {RangeError} There are not as many pictures.
 * @throws {ListError} The folder holds pictures of other settings.
 * @throws The signal's reason, if it aborts.
 */
export async function makeFashionMnist(options: FashionOptions): Promise<DemoLists> {
  const { folder, trainClips, valClips, seed } = options;
  const parts: [Part, number][] = [["train", trainClips], ["val", valClips]];
  for (const [part, count] of parts) {
    if (Number.isSafeInteger(count) && count >= 1 && count <= FASHION_MOST[part]) continue;
    throw new RangeError(
      `Cannot make the picture demo: ${part}Clips must be a whole number of 1 to ${FASHION_MOST[part]}, got ${count}`,
    );
  }
  const settings = { version: VERSION, trainClips, valClips, seed, pictures: FASHION_FILES };
  const lists = { train: listText("train", trainClips), val: listText("val", valClips) };
  const demo = { folder, kind: "fashion-mnist", settings, lists, classes: FASHION_CLASSES };
  return await fillDemoFolder(demo, trainClips + valClips, () => writeMissing(options, parts));
}

/** Path of a picture from the demo's folder. */
export function fashionPictureName(part: Part, index: number): string {
  return `${part}/${String(index).padStart(6, "0")}.png`;
}

function listText(part: Part, count: number): string {
  return Array.from({ length: count }, (_, i) => `${fashionPictureName(part, i)} ${i % FASHION_CLASSES.length}\n`).join(
    "",
  );
}

/** Writes the pictures that are not there, class after class: a class is 15 MB of text. */
async function writeMissing(options: FashionOptions, parts: readonly [Part, number][]): Promise<void> {
  const { folder, seed, uniforms, signal, onProgress } = options;
  const missing = parts.flatMap(([part, count]) =>
    Array.from({ length: count }, (_, index) => ({ part, index, label: index % FASHION_CLASSES.length }))
      .filter(({ index }) => !isWritten(`${folder}/${fashionPictureName(part, index)}`))
  );
  const total = options.trainClips + options.valClips;
  let done = total - missing.length;
  onProgress?.(done, total);
  for (const label of FASHION_CLASSES.keys()) {
    const wanted = missing.filter((picture) => picture.label === label);
    if (wanted.length === 0) continue;
    const pictures = await readFashion(label);
    const order = {
      train: shuffled(uniforms(pictures.train.length, seed, "fashion picture", "train", label)),
      val: shuffled(uniforms(pictures.val.length, seed, "fashion picture", "val", label)),
    };
    for (const [i, { part, index }] of wanted.entries()) {
      if (i % BATCH === 0) {
        await Promise.resolve();
        signal?.throwIfAborted();
      }
      const data = pictures[part][order[part][Math.floor(index / FASHION_CLASSES.length)]!]!;
      const path = `${folder}/${fashionPictureName(part, index)}`;
      await Deno.writeFile(`${path}.partial`, encode({ width: FASHION_EDGE, height: FASHION_EDGE, data, channels: 1 }));
      await Deno.rename(`${path}.partial`, path);
      onProgress?.(++done, total);
    }
  }
}

/** The numbers from 0 on, in the order of some draws. */
function shuffled(draws: ArrayLike<number>): number[] {
  return Array.from({ length: draws.length }, (_, i) => i).sort((a, b) => draws[a]! - draws[b]! || a - b);
}
