/** Every format of lists: how it is recognised, what its clips are called, where they are found, how they are parted. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { ListError, type ListFormat, readClipList, readClipLists } from "../../decoders/lists/clip_list.ts";
import { brief, inFolder, read, refusal, write } from "./_lists.ts";

/** Reads both lists of a folder. */
async function readBoth(folder: string, list: string, more: { val?: string | null; root?: string } = {}) {
  const options = { root: folder, val: "auto", format: "auto", ...more } as const;
  return await readClipLists({ ...options, list: `${folder}/${list}` });
}

const UCF101 = {
  "classInd.txt": "1 ApplyEyeMakeup\r\n2 Archery\r\n",
  "trainlist01.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\nArchery/v_Archery_g08_c01.avi 2\n",
  "testlist01.txt": "Archery/v_Archery_g01_c01.avi\n",
};

const HMDB51 = {
  "brush_hair_test_split1.txt": "a brush (1).avi 1 \nb.avi 2 \nunused.avi 0 \n",
  "wave_test_split1.txt": "c.avi 2 \nd.avi 1 \n",
  "brush_hair_test_split2.txt": "b.avi 1 \n",
  "wave_test_split2.txt": "c.avi 1 \n",
};

Deno.test("a format is recognised by the list's name and first lines", async () => {
  await inFolder(async (folder) => {
    await write(folder, { ...UCF101, ...HMDB51, "videos/walk/a.mp4": "", "labels.json": '{"Up": "0"}' });
    const lists: Record<string, [ListFormat, string]> = {
      "a.txt": ["videomae", "a.mp4 0\n"],
      "b.csv": ["videomae", "path_of/a.mp4,0\n"],
      "c.csv": ["kinetics", "label,youtube_id,time_start,time_end,split\nx,abc,0,10,train\n"],
      "d.json": ["ssv2", '\n[\n{"id": "7", "template": "Up"}]'],
      "e.csv": ["csv", '"Path","label"\na.mp4,0\n'],
      "f.tsv": ["csv", "video\tclass\na.mp4\twalk\n"],
      "g.csv": ["csv", "split;file;label\ntrain;a.mp4;walk\n"],
      "h.jsonl": ["jsonl", '{"path": "a.mp4", "label": "walk"}\n'],
      "i.json": ["jsonl", '[{"label": 0, "path": "a.mp4"}]'],
      "j.txt": ["videomae", "video\nother.mp4\n"],
      "trainlist01.txt": ["ucf101", UCF101["trainlist01.txt"]],
      "wave_test_split1.txt": ["hmdb51", HMDB51["wave_test_split1.txt"]],
    };
    for (const [name, [format, text]] of Object.entries(lists)) {
      await write(folder, { [name]: text });
      const found = await readClipList({ list: `${folder}/${name}`, root: folder, format: "auto" });
      assertEquals(found.format, format, name);
      const named = await readClipList({ list: `${folder}/${name}`, root: folder, format });
      assertEquals(named, found, name);
    }
    const options = { root: folder, format: "auto" } as const;
    assertEquals((await readClipList({ list: `${folder}/videos`, ...options })).format, "folder");
    assertEquals((await readClipList({ list: folder, ...options })).format, "hmdb51");
  });
});

Deno.test("the splits of UCF101 number their classes from classInd.txt, and the test list is found", async () => {
  await inFolder(async (folder) => {
    await write(folder, { ...UCF101, "videos/Archery/v_Archery_g08_c01.mp4": "", "videos/v_Archery_g01_c01.avi": "" });
    const { train, val, valOrigin } = await readBoth(folder, "trainlist01.txt", { root: `${folder}/videos` });
    assertEquals([train.format, train.classes, train.missing], ["ucf101", ["ApplyEyeMakeup", "Archery"], 1]);
    const makeup = "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi";
    assertEquals(brief(`${folder}/videos`, train), [
      [makeup, makeup, 0],
      ["Archery/v_Archery_g08_c01.avi", "Archery/v_Archery_g08_c01.mp4", 1],
    ]);
    assertEquals(valOrigin, "found");
    assertEquals(brief(`${folder}/videos`, val!), [["Archery/v_Archery_g01_c01.avi", "v_Archery_g01_c01.avi", 1]]);
  });
});

Deno.test("wrong splits of UCF101 are refused with their line", async () => {
  await inFolder(async (folder) => {
    const problem = async (files: Partial<typeof UCF101>) => {
      await write(folder, { ...UCF101, ...files });
      const error = await assertRejects(() => readBoth(folder, "trainlist01.txt"), ListError);
      return error.message.replace(`${folder}/`, "");
    };
    assertEquals(
      await problem({ "trainlist01.txt": "Archery/a.avi 2\nArchery/b.avi 1\n" }),
      "trainlist01.txt, line 2: has number 1 for the class Archery, which is 2 in classInd.txt",
    );
    assertEquals(
      await problem({ "trainlist01.txt": "Archery/a.avi 2\nBowling/b.avi 1\n" }),
      'trainlist01.txt, line 2: unknown label "Bowling"; it is not in classInd.txt',
    );
    assertStringIncludes(await problem({ "trainlist01.txt": "a.avi 2\n" }), ', line 1: lines are "Class/clip.avi"');
    assertStringIncludes(
      await problem({ "classInd.txt": "1 ApplyEyeMakeup\n3 Archery\n" }),
      'classInd.txt, line 2: expected "2 Class" with a class of its own, found "3 Archery"',
    );
    await Deno.remove(`${folder}/classInd.txt`);
    const error = await assertRejects(() => readBoth(folder, "trainlist01.txt"), ListError);
    assertStringIncludes(error.message, "needs classInd.txt beside it; put it into");
  });
});

Deno.test("a split of HMDB51 is all files of its number, trains on 1, tests on 2 and leaves 0 out", async () => {
  await inFolder(async (folder) => {
    await write(folder, { ...HMDB51, "videos/brush_hair/a brush (1).avi": "", "videos/d.mp4": "" });
    const root = `${folder}/videos`;
    for (const list of ["wave_test_split1.txt", "brush_hair_test_split1.txt", "."]) {
      const { train, val, valOrigin } = await readBoth(folder, list, { root });
      assertEquals([train.format, train.classes, train.split], ["hmdb51", ["brush_hair", "wave"], "train"]);
      assertEquals(brief(root, train), [
        ["brush_hair/a brush (1).avi", "brush_hair/a brush (1).avi", 0],
        ["wave/d.avi", "d.mp4", 1],
      ]);
      assertEquals(valOrigin, "same-list");
      assertEquals(brief(root, val!), [["brush_hair/b.avi", "brush_hair/b.avi", 0], ["wave/c.avi", "wave/c.avi", 1]]);
      assertEquals(train.missing, 2);
    }
    const second = await readBoth(folder, "wave_test_split2.txt", { root });
    assertEquals([second.train.clips.map(({ name }) => name), second.val], [["brush_hair/b.avi", "wave/c.avi"], null]);
    await write(folder, { "wave_test_split1.txt": "c.avi 2\nd.avi 3\n" });
    const error = await assertRejects(() => readBoth(folder, ".", { root }), ListError);
    assertEquals(
      error.message,
      `${folder}/wave_test_split1.txt, line 2: lines are "clip.avi" and 0 (unused), 1 (training) or 2 (test), ` +
        'found "d.avi 3"',
    );
  });
});

Deno.test("columns may come in any order, with names or numbers of classes, parts of clips and pictures of folders", async () => {
  await inFolder(async (folder) => {
    const csv = await read(
      folder,
      'note,label,path,start,end\r\n"a, b",run,x.mp4,,\r\n,"walk, slowly",y.mp4,1.5,4\r\n,run,y.mp4,4,\r\n',
    );
    assertEquals([csv.format, csv.classes], ["csv", ["run", "walk, slowly"]]);
    assertEquals(csv.clips, [
      { name: "x.mp4", path: `${folder}/x.mp4`, label: 0 },
      { name: "y.mp4@1.5-4", path: `${folder}/y.mp4`, label: 1, span: { start: 1.5, end: 4 } },
      { name: "y.mp4@4-", path: `${folder}/y.mp4`, label: 0, span: { start: 4, end: null } },
    ]);
    const json = await read(
      folder,
      [
        '{"path": "x.mp4", "label": "run", "start": null}',
        '{"path": "y.mp4", "label": "walk, slowly", "start": 1.5, "end": "4", "other": [1]}',
        '{"path": "y.mp4", "label": "run", "start": 4}',
      ].join("\n"),
    );
    assertEquals({ ...json, format: "csv" }, csv);
    const numbers = await read(folder, "path,frames,label\nclips/a,48,10\nclips/b,50,2\n");
    assertEquals([numbers.classes, numbers.clips.map(({ label, frames }) => [label, frames])], [null, [[10, 48], [
      2,
      50,
    ]]]);
    await write(folder, { "classes.txt": "zero\none\ntwo\n" });
    assertStringIncludes(
      await refusal(folder, "path,label\na,2\nb,10\n"),
      ', line 3: unknown label "10"; it is none of the 3 classes',
    );
    assertEquals(
      await refusal(folder, "path,label\na,one\nb,2\n"),
      ', line 3: the label 2 is a number where line 2 has the name "one"; ' +
        "write names everywhere, or numbers and their names in classes.txt",
    );
    assertEquals((await read(folder, "path,label\na,one\nb,two\n")).clips.map(({ label }) => label), [1, 2]);
  });
});

Deno.test("folders of pictures keep the number of pictures that a list of VideoMAE names, videos do not", async () => {
  await inFolder(async (folder) => {
    const { clips, sha256 } = await read(folder, "frames/1 48 3\nvideo.mp4 50 2\n");
    assertEquals(clips.map(({ name, label, frames }) => [name, label, frames]), [
      ["frames/1", 3, 48],
      ["video.mp4", 2, undefined],
    ]);
    const hash = async (text: string) => (await read(folder, text)).sha256 === sha256;
    assertEquals([await hash("frames/1 48 3\nvideo.mp4 9 2\n"), await hash("frames/1 47 3\nvideo.mp4 50 2\n")], [
      true,
      false,
    ]);
  });
});

Deno.test("a column of splits parts a list; one whose clips are all of one split is taken whole", async () => {
  await inFolder(async (folder) => {
    const list = "path,label,split\na.mp4,x,train\nb.mp4,y,validation\nc.mp4,x,Test\nd.mp4,y,training\n";
    await write(folder, { "all.csv": list, "only.csv": "path,label,split\na.mp4,x,val\n" });
    const { train, val, valOrigin } = await readBoth(folder, "all.csv");
    assertEquals(brief(folder, train), [["a.mp4", "a.mp4", 0], ["d.mp4", "d.mp4", 1]]);
    assertEquals(brief(folder, val!), [["b.mp4", "b.mp4", 1]]);
    assertEquals([train.split, val!.split, valOrigin, train.classes, val!.classes], [
      "train",
      "val",
      "same-list",
      ["x", "y"],
      ["x", "y"],
    ]);
    const only = await readBoth(folder, "only.csv");
    assertEquals([only.train.split, only.train.clips.length, only.val], ["val", 1, null]);
    const none = await readBoth(folder, "all.csv", { val: null });
    assertEquals([none.train.clips.length, none.val], [2, null]);
    assertEquals(
      await refusal(folder, "path,split\na,val\nb,test\n"),
      ": names no clips for train, only for val and test",
    );
    assertStringIncludes(
      await refusal(folder, "path,split\na,train\nb,dev\n"),
      ', line 3: unknown split "dev"; expected',
    );
    // Test clips are validated on where there are no others, if they have labels.
    await write(folder, {
      "t.csv": "path,label,split\na,x,train\nb,x,test\n",
      "u.csv": "path,label,split\na,x,train\nb,,test\n",
    });
    assertEquals((await readBoth(folder, "t.csv")).val?.split, "test");
    assertEquals((await readBoth(folder, "u.csv")).val, null);
  });
});

Deno.test("the validation list is the one with the other name beside the training list, or the one that is named", async () => {
  await inFolder(async (folder) => {
    const beside: [string, string][] = [
      ["a/train.csv", "a/val.csv"],
      ["b/train.txt", "b/validation.txt"],
      ["c/kinetics_400_train.csv", "c/kinetics_400_validate.csv"],
      ["d/Something-train.txt", "d/Something-valid.txt"],
    ];
    for (const [list, other] of beside) {
      await write(folder, { [list]: "a.mp4 0\n", [other]: "b.mp4 0\n", "named.txt": "c.mp4 0\n" });
      const found = await readBoth(folder, list);
      assertEquals([found.val?.list, found.valOrigin], [`${folder}/${other}`, "found"]);
      const named = await readBoth(folder, list, { val: `${folder}/named.txt` });
      assertEquals([named.val?.list, named.valOrigin], [`${folder}/named.txt`, "named"]);
      assertEquals((await readBoth(folder, list, { val: null })).val, null);
    }
    await write(folder, { "e/trained.csv": "a.mp4 0\n", "e/valed.csv": "b.mp4 0\n", "e/val.csv": "b.mp4 0\n" });
    assertEquals((await readBoth(folder, "e/trained.csv")).val, null);
    await write(folder, { "f/train/x/a.mp4": "", "f/val/x/b.mp4": "", "f/val.csv": "" });
    assertEquals((await readBoth(folder, "f/train")).val?.list, `${folder}/f/val`);
    assertEquals(
      (await assertRejects(() => readBoth(folder, "f"), ListError)).message,
      `${folder}/f: train/x is a folder; expected videos or pictures in train; if train is a part of the data set, name ` +
        `${folder}/f/train`,
    );
  });
});

Deno.test("names of classes in the validation list alone are refused: nobody knows the training list's numbers", async () => {
  await inFolder(async (folder) => {
    await write(folder, { "train.csv": "path,label\na.mp4,0\n", "val.csv": "path,label\nb.mp4,walk\n" });
    const error = await assertRejects(() => readBoth(folder, "train.csv"), ListError);
    assertStringIncludes(error.message, "has names of classes where the training list has none");
    await write(folder, { "train.csv": "path,label\na.mp4,walk\n", "val.csv": "path,label\nb.mp4,run\n" });
    const unknown = await assertRejects(() => readBoth(folder, "train.csv"), ListError);
    assertStringIncludes(unknown.message, 'val.csv, line 2: unknown label "run"; it is none of the 1 classes');
  });
});

Deno.test("Kinetics as the mirrors have it: seconds without zeros, the id alone, blanks in folders, and what is missing", async () => {
  await inFolder(async (folder) => {
    const ids = ["aaaaaaaaaaa", "bbbbbbbbbbb", "ccccccccccc", "ddddddddddd"];
    const list = ["label,youtube_id,time_start,time_end,split"];
    for (const id of ids) list.push(`"tai chi",${id},2,12,train`);
    await write(folder, {
      "videos/train/tai chi/aaaaaaaaaaa_2_12.mp4": "",
      "videos/tai_chi/bbbbbbbbbbb.webm": "",
      "videos/ccccccccccc_000002_000012.mp4": "",
    });
    const root = `${folder}/videos`;
    const found = await read(folder, list.join("\n"), { root });
    assertEquals(brief(root, found).map(([name, path]) => [name, path]), [
      ["aaaaaaaaaaa_000002_000012", "train/tai chi/aaaaaaaaaaa_2_12.mp4"],
      ["bbbbbbbbbbb_000002_000012", "tai_chi/bbbbbbbbbbb.webm"],
      ["ccccccccccc_000002_000012", "ccccccccccc_000002_000012.mp4"],
      ["ddddddddddd_000002_000012", "ddddddddddd_000002_000012.mp4"],
    ]);
    assertEquals([found.missing, found.split], [1, "train"]);
    assertStringIncludes(
      await refusal(folder, [...list, list[2]].join("\n"), { root }),
      ", line 6: the clip bbbbbbbbbbb_000002_000012 was listed before on line 3",
    );
  });
});

Deno.test("a list of Something-Something finds folders of pictures by their ids, and counts what is missing", async () => {
  await inFolder(async (folder) => {
    await write(folder, {
      "labels.json": '{"Up": "0"}',
      "videos/1/img_00001.jpg": "",
      "videos/2.webm": "",
      "train.json": '[{"id": 1, "template": "Up"},{"id": "2", "template": "Up"},{"id": "3", "template": "Up"}]',
      "validation.json": '[{"id": "4", "template": "[Up]"}]',
    });
    const { train, val, valOrigin } = await readBoth(folder, "train.json", { root: `${folder}/videos` });
    assertEquals(brief(`${folder}/videos`, train), [["1", "1", 0], ["2", "2.webm", 0], ["3", "3.webm", 0]]);
    assertEquals([train.missing, val?.clips.length, val?.missing, valOrigin], [1, 1, 1, "found"]);
  });
});
