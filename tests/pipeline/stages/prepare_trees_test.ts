/** Data sets in the shapes of the public ones, from their lists through the stage `prepare` to frame shards. */
import { assertEquals } from "@std/assert";
import { sampleFrames } from "../../../decoders/sampling.ts";
import { runChain } from "../../../pipeline/chain.ts";
import { silentProgress } from "../../../pipeline/progress.ts";
import { resolveSettings } from "../../../pipeline/settings.ts";
import { openFramesSet } from "../../../pipeline/shards/frame_shards.ts";
import { readViewRecords } from "../../../pipeline/shards/view_records.ts";
import { inTempDir } from "../../decoders/_clips.ts";
import {
  makeKineticsTree,
  makeRawFramesTree,
  makeSsv2Tree,
  makeUcf101Tree,
  type Tree,
  type TreeClip,
} from "../../decoders/_trees.ts";
import { tinyFlags } from "../_tiny_run.ts";

/** Prepares a tree. @returns What was said of its lists. */
async function prepare(folder: string, tree: Tree, more: Record<string, string> = {}): Promise<string[]> {
  const lines: string[] = [];
  const flags = { data: tree.list, videos: tree.videos, sampling: "uniform", until: "prepare", ...more };
  await runChain({
    resolved: resolveSettings({ preset: "demo", flags: { ...tinyFlags(folder), ...flags } }),
    command: ["prepare"],
    signal: new AbortController().signal,
    progress: silentProgress,
    print: (line) => lines.push(line.replaceAll(`${folder}/`, "")),
    warn: () => {},
  });
  return lines.slice(0, 2);
}

/** What a frame set should say of a clip: frames of a view of 4 tell its length. */
function expected({ name, label, frames }: TreeClip) {
  return {
    name,
    label,
    frames: frames === null ? null : [...sampleFrames({ kind: "uniform", frames: 4 }, frames, [])],
  };
}

/** The same from the shards of both parts. */
function prepared(folder: string): Record<string, ReturnType<typeof expected>[]> {
  const parts: Record<string, ReturnType<typeof expected>[]> = {};
  for (const { name } of Deno.readDirSync(`${folder}/cache/frames`)) {
    using set = openFramesSet(`${folder}/cache/frames/${name}`);
    parts[set.config.split] = Array.from({ length: set.shards }, (_, shard) => readViewRecords(set, shard)).flat()
      .map(({ name, label, frames, good }) => ({ name, label: label!, frames: good ? [...frames] : null }));
  }
  return parts;
}

Deno.test("a tree of Something-Something is prepared with its validation list", () =>
  inTempDir(async (folder) => {
    const tree = await makeSsv2Tree(folder);
    assertEquals(await prepare(folder, tree), [
      "list       labels/train.json (ssv2): 5 clips, 3 classes",
      "validation labels/validation.json, found beside it (ssv2): 2 clips, 3 classes",
    ]);
    assertEquals(prepared(folder), { train: tree.train.map(expected), val: tree.val.map(expected) });
  }));

Deno.test("a tree of Kinetics is prepared wherever its clips lie, and the one that is missing is counted, not replaced", () =>
  inTempDir(async (folder) => {
    const tree = await makeKineticsTree(folder);
    assertEquals(await prepare(folder, tree, { "max-bad": "1" }), [
      'list       train.csv (kinetics): 6 clips, 3 classes, split "train"; 1 file of the list not there',
      'validation validate.csv, found beside it (kinetics): 3 clips, 3 classes, split "val"',
    ]);
    assertEquals(prepared(folder), { train: tree.train.map(expected), val: tree.val.map(expected) });
  }));

Deno.test("a tree of UCF101 is prepared with its test list", () =>
  inTempDir(async (folder) => {
    const tree = await makeUcf101Tree(folder);
    assertEquals(await prepare(folder, tree), [
      "list       ucfTrainTestlist/trainlist01.txt (ucf101): 4 clips, 2 classes",
      "validation ucfTrainTestlist/testlist01.txt, found beside it (ucf101): 2 clips, 2 classes",
    ]);
    assertEquals(prepared(folder), { train: tree.train.map(expected), val: tree.val.map(expected) });
  }));

Deno.test("a tree of raw frames is prepared from its folders of pictures", () =>
  inTempDir(async (folder) => {
    const tree = await makeRawFramesTree(folder);
    assertEquals(await prepare(folder, tree), [
      "list       train.csv (videomae): 3 clips",
      "validation val.csv, found beside it (videomae): 2 clips",
    ]);
    assertEquals(prepared(folder), { train: tree.train.map(expected), val: tree.val.map(expected) });
  }));

Deno.test("parts of one video are clips of their own, down to the shards", () =>
  inTempDir(async (folder) => {
    const tree = await makeUcf101Tree(folder);
    const { name } = tree.train[3]!; // 11 pictures, 10 a second
    const rows = [
      `path,label,start,end,split`,
      `${name},wave,0,0.4,train`,
      `${name},run,0.4,,train`,
      `${name},run,,,val`,
    ];
    await Deno.writeTextFile(`${folder}/parts.csv`, rows.join("\n"));
    const lines = await prepare(folder, { ...tree, list: `${folder}/parts.csv` });
    assertEquals(lines, [
      'list       parts.csv (csv): 2 clips, 2 classes, split "train"',
      'validation parts.csv, the same list (csv): 1 clip, 2 classes, split "val"',
    ]);
    assertEquals(prepared(folder), {
      train: [
        { name: `${name}@0-0.4`, label: 1, frames: [0, 1, 2, 3] },
        { name: `${name}@0.4-`, label: 0, frames: [4, 6, 8, 10] },
      ],
      val: [{ name, label: 0, frames: [1, 4, 6, 9] }],
    });
  }));
