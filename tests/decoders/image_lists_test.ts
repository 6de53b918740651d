/** Data sets of pictures: folders of classes, ImageNet with its flat validation pictures, and lists that name pictures. */
import { assertEquals, assertRejects } from "@std/assert";
import { dirname } from "node:path";
import { type ClipListsOptions, readClipList, readClipLists } from "../../decoders/lists/clip_list.ts";
import { ListError } from "../../decoders/lists/list_error.ts";
import { inTempDir } from "./_clips.ts";

/** Synsets in another order than the development kit's numbers. */
const SYNSETS = ["n01440764", "n01443537", "n02119789"];

async function write(path: string, text = ""): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  await Deno.writeTextFile(path, text);
}

function valName(number: number): string {
  return `ILSVRC2012_val_0000000${number}.JPEG`;
}

/** `train/SYNSET/*.JPEG` and the flat `val` of four pictures, of the classes 2, 0, 1, 0. */
async function makeImageNet(folder: string): Promise<ClipListsOptions> {
  for (const synset of SYNSETS) {
    for (const number of [10, 9]) await write(`${folder}/train/${synset}/${synset}_${number}.JPEG`);
  }
  for (const number of [1, 2, 3, 4]) await write(`${folder}/val/${valName(number)}`);
  return { list: `${folder}/train`, root: folder, format: "auto", val: "auto" };
}

const LABELS: Record<string, [text: string, more?: Record<string, string>]> = {
  "LOC_val_solution.csv": [[
    "ImageId,PredictionString",
    "ILSVRC2012_val_00000002,n01440764 85 1 499 272 ",
    "ILSVRC2012_val_00000001,n02119789 1 2 3 4 n02119789 5 6 7 8 ",
    "ILSVRC2012_val_00000003,n01443537 1 2 3 4",
    "ILSVRC2012_val_00000004,n01440764 1 2 3 4",
  ].join("\n")],
  "imagenet_2012_validation_synset_labels.txt": ["n02119789\nn01440764\nn01443537\nn01440764\n"],
  "val.txt": [[1, 2, 3, 4].map((number, i) => `${valName(number)} ${[2, 0, 1, 0][i]}\r\n`).join("")],
  "ILSVRC2012_validation_ground_truth.txt": ["1\n2\n3\n2\n", {
    "map_clsloc.txt": "n02119789 1 kit_fox\nn01440764 2 tench\nn01443537 3 goldfish\n",
  }],
};

Deno.test("ImageNet's flat validation pictures find their classes in each of the files that people have", async () => {
  for (const [name, [text, more = {}]] of Object.entries(LABELS)) {
    for (const place of ["val", ".", "ILSVRC2012_devkit_t12/data"]) {
      await inTempDir(async (folder) => {
        const options = await makeImageNet(folder);
        await write(`${folder}/${place}/${name}`, text);
        for (const [file, beside] of Object.entries(more)) await write(`${folder}/${place}/${file}`, beside);
        const { train, val, valOrigin } = await readClipLists(options);
        assertEquals([train.format, train.classes, valOrigin], ["folder", SYNSETS, "found"]);
        assertEquals(train.clips.map(({ name, label }) => [name.slice(10), label]), [
          ["n01440764_10.JPEG", 0],
          ["n01440764_9.JPEG", 0],
          ["n01443537_10.JPEG", 1],
          ["n01443537_9.JPEG", 1],
          ["n02119789_10.JPEG", 2],
          ["n02119789_9.JPEG", 2],
        ]);
        assertEquals(val?.clips.map(({ label }) => label), [2, 0, 1, 0], `${place}/${name}`);
        assertEquals([val?.clips[0]?.name, val?.classes, val?.missing], [valName(1), SYNSETS, 0]);
      });
    }
  }
});

Deno.test("validation pictures in folders of classes have the training folder's numbers", async () => {
  await inTempDir(async (folder) => {
    const options = await makeImageNet(folder);
    await Deno.remove(`${folder}/val`, { recursive: true });
    await write(`${folder}/val/n02119789/${valName(1)}`);
    const { val } = await readClipLists(options);
    assertEquals(val?.clips.map(({ label }) => label), [2]);
    await write(`${folder}/val/n09999999/${valName(2)}`);
    await assertRejects(() => readClipLists(options), ListError, 'unknown label "n09999999"; it is none of the 3');
  });
});

Deno.test("validation labels that are missing or wrong are refused with their line and what mends them", async () => {
  const wrong: [name: string, text: string, problem: string][] = [
    ["none.txt", "", "without their classes; put one of LOC_val_solution.csv, "],
    [
      "val.txt",
      `${valName(1)} 2\n\n${valName(2)} 3\n`,
      "val.txt, line 3: unknown label 3; there are 3 classes, 0 to 2",
    ],
    ["val.txt", `${valName(1)} 2\n${valName(1)} 1\n`, "line 2: names the picture 1 again"],
    ["val.txt", `${valName(1)} 2\n`, `has no class for ${valName(2)}; take the whole file`],
    ["val.txt", "n0144/a.JPEG 0\n", 'line 1: lines are as "ILSVRC2012_val_00000001.JPEG 65", found "n0144/a.JPEG 0"'],
    ["LOC_val_solution.csv", "ImageId,PredictionString\nILSVRC2012_val_00000001,kit fox\n", "line 2: lines are as"],
    [
      "imagenet_2012_validation_synset_labels.txt",
      "n02119789\nn09999999\nn01443537\nn01440764",
      "none of the 3 classes",
    ],
    ["imagenet_2012_validation_synset_labels.txt", "n02119789\nkit fox\n", 'line 2: lines are as "n01751748", found'],
    ["ILSVRC2012_validation_ground_truth.txt", "1\n", "own numbers of classes; put map_clsloc.txt"],
  ];
  for (const [name, text, problem] of wrong) {
    await inTempDir(async (folder) => {
      const options = await makeImageNet(folder);
      await write(`${folder}/${name}`, text);
      await assertRejects(() => readClipLists(options), ListError, problem);
    });
  }
});

Deno.test("flat pictures without classes to find are pictures without labels", async () => {
  await inTempDir(async (folder) => {
    await makeImageNet(folder);
    const list = await readClipList({ list: `${folder}/val`, root: folder, format: "auto" });
    assertEquals([list.clips.length, list.clips[0]!.label, list.classes], [4, null, null]);
  });
});

Deno.test("a data set is of videos or of pictures: previews beside videos are passed over, other mixtures refused", async () => {
  await inTempDir(async (folder) => {
    const read = () => readClipList({ list: `${folder}/set`, root: folder, format: "auto" });
    await write(`${folder}/set/a/1.mp4`);
    await write(`${folder}/set/a/1.jpg`);
    await write(`${folder}/set/contents.png`);
    assertEquals((await read()).clips.map(({ name }) => name), ["a/1.mp4"]);
    await write(`${folder}/set/b/2.webp`);
    await assertRejects(read, ListError, "holds videos in a and pictures in b; move one kind elsewhere");
    await Deno.remove(`${folder}/set/a/1.mp4`);
    await assertRejects(read, ListError, "holds folders of classes and also contents.png; put it into one of them");
    await Deno.remove(`${folder}/set/contents.png`);
    await write(`${folder}/set/b/3.BMP`);
    await write(`${folder}/set/b/notes.txt`);
    assertEquals((await read()).clips.map(({ name }) => name), ["a/1.jpg", "b/2.webp", "b/3.BMP"]);
  });
});

Deno.test("lists name pictures as they name videos, and none outside of the root", async () => {
  await inTempDir(async (folder) => {
    const texts = {
      "caffe.txt": "train/a.JPEG 1\ntrain/b.png 0\n",
      "table.csv": "image,label\ntrain/a.JPEG,1\ntrain/b.png,0\n",
      "objects.jsonl": '{"image_path": "train/a.JPEG", "label": 1}\n{"image_path": "train/b.png", "label": 0}\n',
    };
    for (const [name, text] of Object.entries(texts)) {
      await write(`${folder}/${name}`, text);
      const { clips } = await readClipList({ list: `${folder}/${name}`, root: folder, format: "auto" });
      assertEquals(clips.map(({ name, label }) => [name, label]), [["train/a.JPEG", 1], ["train/b.png", 0]], name);
      await write(`${folder}/${name}`, text.replace("train/b.png", "../b.png"));
      const read = () => readClipList({ list: `${folder}/${name}`, root: folder, format: "auto" });
      await assertRejects(read, ListError, '"../b.png" leads out of');
    }
  });
});
