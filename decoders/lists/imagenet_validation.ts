/**
 * Labels of ImageNet's validation pictures (ILSVRC 2012), which lie flat in one folder as `ILSVRC2012_val_00000001.JPEG`.
 * They are looked for in the folder and up to three folders above it, in the forms that people have:
 *
 * - `LOC_val_solution.csv`, Kaggle: a header, then `ILSVRC2012_val_00048981,n03995372 85 1 499 272`;
 * - `imagenet_2012_validation_synset_labels.txt`, TensorFlow: line i is the synset of picture i;
 * - `val.txt`, Caffe: lines `ILSVRC2012_val_00000001.JPEG 65`, numbers in the order of the synsets;
 * - `ILSVRC2012_validation_ground_truth.txt`, the development kit: line i is the kit's own number of picture i's class,
 *   which `map_clsloc.txt` beside it translates (`n02119789 1 kit_fox`). The kit's `meta.mat` is not read.
 */
import { basename, dirname, join, resolve } from "node:path";
import { linesOf, type ListSource, readBeside } from "./_list_source.ts";
import { ListError } from "./list_error.ts";

/** Folders above the pictures that are looked through: Kaggle's file lies three above `Data/CLS-LOC/val`. */
const LEVELS = 3;

/** Places of files below one of these folders. */
const PLACES = ["", "devkit/data", "ILSVRC2012_devkit_t12/data"];

const PICTURE = /^ILSVRC2012_val_(\d{8})(?:\.jpe?g)?$/i;
const SYNSET = /^n\d{8}$/;
const KIT_NUMBERS = "ILSVRC2012_validation_ground_truth.txt";
const KIT_MAP = "map_clsloc.txt";

/** Labels by the number of the picture. */
export interface ValidationLabels {
  /** The file that they stand in. */
  path: string;
  /** Pictures that it names. */
  count: number;
  /** @throws {ListError} It does not name the picture. */
  find(name: string): string | number;
}

/** Whether a picture is called as those of ImageNet's validation. */
export function isImageNetValidation(name: string | undefined): boolean {
  return name !== undefined && PICTURE.test(name);
}

type Labels = Map<number, string | number>;

/** Takes the label of a picture, which must not come twice. */
type Add = (line: number, picture: number, label: string | number) => void;

/** Reads the labels of a file. */
type Reader = (path: string, text: string, source: ListSource, add: Add) => void | Promise<void>;

const READERS: Readonly<Record<string, Reader>> = {
  "LOC_val_solution.csv": readSolution,
  "imagenet_2012_validation_synset_labels.txt": readSynsets,
  "val.txt": readNumbers,
  [KIT_NUMBERS]: readKitNumbers,
};

/**
 * @param source The folder of pictures.
 * @returns Their labels: synsets, or numbers of classes; null where no file was found and no classes are asked for.
 * @throws {ListError} There is none though the pictures are to have classes, or it cannot be read.
 */
export async function validationLabels(source: ListSource): Promise<ValidationLabels | null> {
  const found = await findLabels(source.path);
  if (found === null) {
    if (source.classes === null) return null;
    const names = Object.keys(READERS).join(", ");
    const mend = `put one of ${names} into it or above it, or sort the pictures into folders of classes`;
    throw new ListError(source.path, null, `has ImageNet's validation pictures without their classes; ${mend}`);
  }
  const { path, text } = found;
  const labels: Labels = new Map();
  await READERS[basename(path)]!(path, text, source, (line, picture, label) => {
    if (labels.has(picture)) {
      throw new ListError(path, line, `names the picture ${picture} again; remove one of the two`);
    }
    if (typeof label === "number" && source.classes !== null && label >= source.classes.length) {
      const range = `there are ${source.classes.length} classes, 0 to ${source.classes.length - 1}`;
      throw new ListError(path, line, `unknown label ${label}; ${range}`);
    }
    labels.set(picture, label);
  });
  return {
    path,
    count: labels.size,
    find: (name) => {
      const label = labels.get(Number(PICTURE.exec(name)?.[1] ?? NaN));
      if (label !== undefined) return label;
      throw new ListError(path, null, `has no class for ${name}; take the whole file, or move the picture elsewhere`);
    },
  };
}

async function findLabels(folder: string): Promise<{ path: string; text: string } | null> {
  for (let at = resolve(folder), level = 0; level <= LEVELS; at = dirname(at), level++) {
    for (const place of PLACES) {
      for (const name of Object.keys(READERS)) {
        const path = join(at, place, name);
        const text = await readBeside(path);
        if (text !== null) return { path, text };
      }
    }
  }
  return null;
}

function readSolution(path: string, text: string, _source: ListSource, add: Add): void {
  for (const { line, text: found } of linesOf(path, text)) {
    if (line === 1 && /^ImageId,/i.test(found)) continue;
    const [, picture, synset] = /^"?([^,"]+)"?,"?(n\d{8})[ "]/.exec(`${found} `) ?? [];
    add(line, pictureNumber(path, line, picture, found, "ILSVRC2012_val_00048981,n03995372 85 1 499 272"), synset!);
  }
}

function readSynsets(path: string, text: string, _source: ListSource, add: Add): void {
  let picture = 0;
  for (const { line, text: synset } of linesOf(path, text)) {
    if (!SYNSET.test(synset)) throw wrongLine(path, line, synset, "n01751748");
    add(line, ++picture, synset);
  }
}

function readNumbers(path: string, text: string, _source: ListSource, add: Add): void {
  for (const { line, text: found } of linesOf(path, text)) {
    const [, picture, label] = /^(?:val\/)?(\S+)\s+(n\d{8}|\d{1,6})$/.exec(found) ?? [];
    const number = pictureNumber(path, line, picture, found, "ILSVRC2012_val_00000001.JPEG 65");
    add(line, number, SYNSET.test(label!) ? label! : Number(label));
  }
}

async function readKitNumbers(path: string, text: string, source: ListSource, add: Add): Promise<void> {
  const mapPath = join(dirname(path), KIT_MAP);
  const map = await readBeside(mapPath);
  if (map === null) {
    const mend = `put ${KIT_MAP} (lines "n02119789 1 kit_fox") beside it, or LOC_val_solution.csv into ${source.path}`;
    throw new ListError(path, null, `has the development kit's own numbers of classes; ${mend}`);
  }
  const synsets = new Map<string, string>();
  for (const { line, text: found } of linesOf(mapPath, map)) {
    const [, synset, number] = /^(n\d{8})\s+(\d+)(?:\s|$)/.exec(found) ?? [];
    if (synset === undefined) throw wrongLine(mapPath, line, found, "n02119789 1 kit_fox");
    synsets.set(number!, synset);
  }
  let picture = 0;
  for (const { line, text: number } of linesOf(path, text)) {
    const synset = synsets.get(number);
    if (synset === undefined) {
      throw new ListError(path, line, `unknown label ${quoted(number)}; it is not in ${mapPath}`);
    }
    add(line, ++picture, synset);
  }
}

function pictureNumber(path: string, line: number, name: string | undefined, found: string, example: string): number {
  const number = PICTURE.exec(name ?? "")?.[1];
  if (number === undefined) throw wrongLine(path, line, found, example);
  return Number(number);
}

function wrongLine(path: string, line: number, found: string, example: string): ListError {
  return new ListError(path, line, `lines are as ${quoted(example)}, found ${quoted(found)}`);
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}
