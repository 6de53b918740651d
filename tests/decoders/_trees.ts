/** Small data sets in the shapes of the public ones, with clips that the tests make: every clip has a length of its own. */
import { dirname } from "node:path";
import { makeClip } from "./_clips.ts";
import { makeFrameFolder } from "./_frame_folders.ts";

/** A clip that a list names: what it should be called, its class, its pictures; null where its file is left out. */
export interface TreeClip {
  name: string;
  label: number;
  frames: number | null;
}

/** A data set on disk. */
export interface Tree {
  /** The training list. */
  list: string;
  /** The folder of videos. */
  videos: string;
  classes: string[];
  train: TreeClip[];
  val: TreeClip[];
}

async function write(path: string, text: string): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  await Deno.writeTextFile(path, text);
}

function clip(path: string, frames: number): void {
  Deno.mkdirSync(dirname(path), { recursive: true });
  makeClip(path, frames);
}

/** Something-Something V2: `train.json`, `validation.json`, `labels.json`, a folder of `ID.webm`. */
export async function makeSsv2Tree(folder: string): Promise<Tree> {
  const templates = ["Holding [something]", "Moving [something] up", "Pushing [something] with [something]"];
  const classes = templates.map((template) => template.replaceAll(/[\[\]]/g, ""));
  const clips = (first: number, lengths: readonly number[]): TreeClip[] =>
    lengths.map((frames, i) => ({ name: String(first + i), label: (i + 1) % 3, frames }));
  const [train, val] = [clips(100_001, [8, 9, 10, 11, 12]), clips(200_001, [13, 14])];
  for (const [name, part] of [["train", train], ["validation", val]] as const) {
    const items = part.map(({ name, label }) => ({
      id: name,
      label: classes[label]!.toLowerCase().replace("something", 'a "thing"'),
      template: templates[label],
      placeholders: ['a "thing"'],
    }));
    await write(`${folder}/labels/${name}.json`, JSON.stringify(items, null, name === "train" ? 0 : 2));
    for (const { name, frames } of part) clip(`${folder}/videos/${name}.webm`, frames!);
  }
  const numbers = Object.fromEntries(classes.map((name, i) => [name, String(i)]));
  await write(`${folder}/labels/labels.json`, JSON.stringify(numbers));
  return { list: `${folder}/labels/train.json`, videos: `${folder}/videos`, classes, train, val };
}

/**
 * Kinetics: `train.csv` and `validate.csv`; training clips in folders of classes with underscores, validation clips in
 * folders with blanks and flat; one training clip is missing, as is common.
 */
export async function makeKineticsTree(folder: string): Promise<Tree> {
  const classes = ["air drumming", "catching fish, slowly", "tai chi"];
  const clips = (letter: string, lengths: readonly (number | null)[]): TreeClip[] =>
    lengths.map((frames, i) => ({ name: `${letter}-${i}_xyzabcd_000${i}10_000${i}20`, label: (i + 2) % 3, frames }));
  const [train, val] = [clips("t", [8, 9, null, 11, 12, 13]), clips("v", [14, 15, 16])];
  const header = "label,youtube_id,time_start,time_end,split";
  for (const [name, part] of [["train", train], ["validate", val]] as const) {
    const lines = part.map(({ name: clip, label }) => {
      const [id, start, end] = [clip.slice(0, 11), Number(clip.slice(12, 18)), Number(clip.slice(19))];
      return `"${classes[label]}",${id},${start},${end},${name}`;
    });
    await write(`${folder}/${name}.csv`, [header, ...lines].join("\r\n") + "\r\n");
  }
  train.forEach(({ name, label, frames }) => {
    if (frames !== null) clip(`${folder}/videos/train/${classes[label]!.replaceAll(" ", "_")}/${name}.mp4`, frames);
  });
  clip(`${folder}/videos/val/${classes[val[0]!.label]}/${val[0]!.name}.mp4`, val[0]!.frames!);
  clip(`${folder}/videos/${val[1]!.name.slice(0, 11)}.mp4`, val[1]!.frames!);
  clip(`${folder}/videos/${val[2]!.name}.webm`, val[2]!.frames!);
  return { list: `${folder}/train.csv`, videos: `${folder}/videos`, classes, train, val };
}

/** UCF101: `trainlist01.txt`, `testlist01.txt`, `classInd.txt`, AVI files without times in folders of classes. */
export async function makeUcf101Tree(folder: string): Promise<Tree> {
  const classes = ["ApplyEyeMakeup", "Archery"];
  const clips = (group: string, lengths: readonly number[]): TreeClip[] =>
    lengths.map((frames, i) => {
      const label = i % 2;
      return { name: `${classes[label]}/v_${classes[label]}_${group}_c0${i}.avi`, label, frames };
    });
  const [train, val] = [clips("g08", [8, 9, 10, 11]), clips("g01", [12, 13])];
  const lists = `${folder}/ucfTrainTestlist`;
  await write(`${lists}/classInd.txt`, classes.map((name, i) => `${i + 1} ${name}\r\n`).join(""));
  await write(`${lists}/trainlist01.txt`, train.map(({ name, label }) => `${name} ${label + 1}\r\n`).join(""));
  await write(`${lists}/testlist01.txt`, val.map(({ name }) => `${name}\r\n`).join(""));
  for (const { name, frames } of [...train, ...val]) clip(`${folder}/UCF-101/${name}`, frames!);
  return { list: `${lists}/trainlist01.txt`, videos: `${folder}/UCF-101`, classes, train, val };
}

/** AMD's raw frames: `train.csv` and `val.csv` with lines `folder frames label`. */
export async function makeRawFramesTree(folder: string): Promise<Tree> {
  const clips = (first: number, lengths: readonly number[]): TreeClip[] =>
    lengths.map((frames, i) => ({ name: `frames/${first + i}`, label: i % 2, frames }));
  const [train, val] = [clips(1, [8, 9, 10]), clips(50, [11, 12])];
  for (const [name, part] of [["train", train], ["val", val]] as const) {
    await write(
      `${folder}/${name}.csv`,
      part.map(({ name, label, frames }) => `${name} ${frames} ${label}\n`).join(""),
    );
    for (const { name, frames } of part) makeFrameFolder(`${folder}/${name}`, frames!);
  }
  return { list: `${folder}/train.csv`, videos: folder, classes: ["0", "1"], train, val };
}
