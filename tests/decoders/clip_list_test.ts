import { assertEquals, assertNotEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { ListError, readClipList } from "../../decoders/lists/clip_list.ts";
import { LibavDecoder } from "../../decoders/libav.ts";
import { CorruptClipError } from "../../decoders/decoder.ts";
import { makeDigits } from "../../decoders/lists/digits.ts";
import { uniforms } from "../../pipeline/random.ts";
import { brief, inFolder, read, refusal, write } from "./_lists.ts";

Deno.test("a list of VideoMAE has paths and labels, with or without numbers of frames", async () => {
  await inFolder(async (folder) => {
    const plain = await read(folder, "a/x.mp4 3\na/y.webm 0\n");
    assertEquals(brief(folder, plain), [["a/x.mp4", "a/x.mp4", 3], ["a/y.webm", "a/y.webm", 0]]);
    assertEquals([plain.format, plain.classes], ["videomae", null]);
    assertEquals(brief(folder, await read(folder, "x.mp4 48 3\ny.mp4 50 2\n")).map(([, , label]) => label), [3, 2]);
    assertEquals(brief(folder, await read(folder, "x.mp4\nmy clip.mp4")).at(-1), ["my clip.mp4", "my clip.mp4", null]);
  });
});

Deno.test("byte order mark, line ends of Windows, blank lines, tabs, commas and quotes are all understood", async () => {
  await inFolder(async (folder) => {
    const expected = [["a b.mp4", "a b.mp4", 1], ["c.mp4", "c.mp4", 2]];
    for (
      const text of [
        '\ufeff"a b.mp4" 1\r\n\r\nc.mp4   2\r\n',
        "a b.mp4\t1\nc.mp4\t2",
        '"a b.mp4",1\nc.mp4, 2\n',
        "\n  a b.mp4,1  \n\nc.mp4,2\n",
      ]
    ) {
      assertEquals(brief(folder, await read(folder, text)), expected, text);
    }
    const quoted = await read(folder, '"say ""hi"", now.mp4",4\n');
    assertEquals(quoted.clips[0]!.name, 'say "hi", now.mp4');
  });
});

Deno.test("classes.txt beside a list names its labels", async () => {
  await inFolder(async (folder) => {
    await write(folder, { "classes.txt": "up\r\ndown\r\n" });
    assertEquals((await read(folder, "a.mp4 1\n")).classes, ["up", "down"]);
    assertEquals(
      await refusal(folder, "a.mp4 1\nb.mp4 2\n"),
      ", line 2: unknown label 2; there are 2 classes, 0 to 1",
    );
  });
});

Deno.test("a line that is not like the others is refused with its number and what to do", async () => {
  await inFolder(async (folder) => {
    const expected =
      'lines are "path label" or "path frames label", without a header, paths with blanks in double quotes';
    assertEquals(
      await refusal(folder, "path label\na.mp4 0\n"),
      `, line 1: the label must be a whole number of at least 0, found "label"; ${expected}`,
    );
    assertEquals(await refusal(folder, "a.mp4 0\n\nb.mp4\n"), `, line 3: has 1 fields where line 1 has 2; ${expected}`);
    assertEquals(await refusal(folder, "my fine clip.mp4 0\n"), `, line 1: has 4 fields; ${expected}`);
    assertStringIncludes(await refusal(folder, "a.mp4 0\nb.mp4 -1\n"), ", line 2: the label must be a whole number");
    assertStringIncludes(await refusal(folder, "a.mp4 x 1\n"), ", line 1: the number of frames must be");
    assertEquals(
      await refusal(folder, 'a.mp4 0\n"b.mp4 1\n'),
      ", line 2: a double quote is not closed, or not followed by a separator",
    );
  });
});

Deno.test("lists that are empty, missing or no text are refused", async () => {
  await inFolder(async (folder) => {
    assertStringIncludes(await refusal(folder, "\ufeff\r\n \n"), ": holds no clips");
    assertStringIncludes(await refusal(folder, "[]"), 'holds no clips (format "ssv2")');
    const gone = { list: `${folder}/none.txt`, root: folder, format: "auto" } as const;
    await assertRejects(() => readClipList(gone), ListError, "there is no such list");
    await Deno.writeFile(`${folder}/list.bin`, new Uint8Array([0xff, 0xfe, 0x61, 0x00]));
    await assertRejects(() => readClipList({ ...gone, list: `${folder}/list.bin` }), ListError, "save it as UTF-8");
    assertStringIncludes(await refusal(folder, "a.mp4 0", { root: `${folder}/videos` }), "name it with --videos");
    assertStringIncludes(await refusal(folder, "a.mp4 0", { format: "folder" }), "try --format auto");
  });
});

Deno.test("a clip that is listed twice is refused, however its path is written", async () => {
  await inFolder(async (folder) => {
    for (const again of ["a/x.mp4", "./a/x.mp4", "a/../a/x.mp4", `${folder}/a/x.mp4`]) {
      assertEquals(
        await refusal(folder, `a/x.mp4 0\nb.mp4 0\n${again} 1\n`),
        `, line 3: the clip ${again} was listed before on line 1; remove one of the two`,
      );
    }
  });
});

Deno.test("no path leaves the folder of videos: not by dots, not absolute, not through a link", async () => {
  await inFolder(async (folder) => {
    const root = `${folder}/videos`;
    await write(folder, { "videos/a.mp4": "", "secret/b.mp4": "", "videos2/c.mp4": "" });
    await Deno.symlink("../secret/b.mp4", `${root}/link.mp4`);
    await Deno.symlink("../secret", `${root}/linked`);
    await Deno.symlink("a.mp4", `${root}/fine.mp4`);
    await Deno.symlink(root, `${folder}/other_name`);
    for (
      const [path, what] of [
        ["../secret/b.mp4", "leads out of"],
        ["x/../../secret/b.mp4", "leads out of"],
        [`${folder}/secret/b.mp4`, "leads out of"],
        [`${folder}/videos2/c.mp4`, "leads out of"],
        ["/etc/passwd", "leads out of"],
        [".", "leads out of"],
        ["link.mp4", "is a link that leads out of"],
        ["linked/b.mp4", "is a link that leads out of"],
      ]
    ) {
      const message = await refusal(folder, `a.mp4 0\n${path} 0\n`, { root });
      assertStringIncludes(message, `, line 2: ${JSON.stringify(path)} ${what} the folder of videos ${root}`);
    }
    // Links that stay inside, absolute paths below the root, and a root that is a link itself are fine.
    const fine = await read(folder, `fine.mp4 0\n${root}/a.mp4 1\n${root}/gone.mp4 1\n`, { root });
    assertEquals(fine.clips.map(({ path }) => path), ["fine", "a", "gone"].map((name) => `${root}/${name}.mp4`));
    const other = `${folder}/other_name`;
    const linked = await read(folder, `${other}/a.mp4 1\n`, { root: other });
    assertEquals(linked.clips[0]!.path, `${root}/a.mp4`);
  });
});

Deno.test("a file that is not there is no error of the list but a missing clip", async () => {
  await inFolder(async (folder) => {
    await write(folder, { "file.mp4": "" });
    await Deno.symlink("loop.mp4", `${folder}/loop.mp4`);
    const { clips } = await read(folder, "none.mp4 0\nfile.mp4/below.mp4 0\nloop.mp4 0\nno/folder.mp4 0\n");
    assertEquals(clips.length, 4);
    using decoder = new LibavDecoder();
    const request = {
      path: clips[0]!.path,
      sampling: { kind: "uniform", frames: 2 },
      crop: { kind: "centre" },
      size: 16,
      tubelet: 2,
      patch: 16,
      draws: [],
    } as const;
    const error = await assertRejects(() => decoder.decode(request), CorruptClipError);
    assertEquals(error.reason, "missing");
  });
});

const KINETICS = [
  "label,youtube_id,time_start,time_end,split",
  "tai chi,-3DRHdTTQuw,2,12,train",
  '"passing ball, slowly",abcdefghijk,10,20,train',
  "tai chi,lmnopqrstuv,0,10,train",
].join("\n");

Deno.test("a list of Kinetics names clips by id and seconds, flat or in folders of splits and classes", async () => {
  await inFolder(async (folder) => {
    const names = ["-3DRHdTTQuw_000002_000012", "abcdefghijk_000010_000020", "lmnopqrstuv_000000_000010"];
    const flat = await read(folder, KINETICS);
    assertEquals(flat.format, "kinetics");
    assertEquals(flat.classes, ["passing ball, slowly", "tai chi"]);
    assertEquals(brief(folder, flat), names.map((name, i) => [name, `${name}.mp4`, i === 1 ? 0 : 1]));
    await write(folder, {
      [`train/tai_chi/${names[0]}.mkv`]: "",
      [`train/passing ball, slowly/${names[1]}.mp4`]: "",
      [`train/boxing/${names[2]}.mp4`]: "",
      [`train/tai chi/${names[2]}.mp4`]: "",
    });
    const nested = await read(folder, KINETICS);
    assertEquals(nested.clips.map(({ path }) => path.replace(`${folder}/`, "")), [
      `train/tai_chi/${names[0]}.mkv`,
      `train/passing ball, slowly/${names[1]}.mp4`,
      `train/tai chi/${names[2]}.mp4`,
    ]);
    assertEquals(nested.sha256, flat.sha256);
  });
});

Deno.test("a list of Kinetics may lack labels, and wrong fields are refused with their line", async () => {
  await inFolder(async (folder) => {
    const test = await read(folder, "youtube_id,time_start,time_end,split\nabc,0,10,test\n");
    assertEquals([test.clips[0]!.label, test.classes], [null, null]);
    const header = "label,youtube_id,time_start,time_end\n";
    assertStringIncludes(await refusal(folder, `${header}a,../x,0,10\n`), ', line 2: "../x" is no youtube_id');
    assertStringIncludes(
      await refusal(folder, `${header}a,x,0,10\na,y,0.5,10\n`),
      ", line 3: time_start must be whole",
    );
    assertStringIncludes(
      await refusal(folder, `${header}a, b,x,0,10\n`),
      ", line 2: has 5 fields where the header has 4",
    );
    assertEquals(
      await refusal(folder, "label,youtube_id,time_start\na,x,0\n"),
      ", line 1: the header has no column time_end; it has label, youtube_id, time_start",
    );
    assertStringIncludes(
      await refusal(folder, KINETICS, { classes: ["tai chi"] }),
      ', line 3: unknown label "passing ball, slowly"; it is none of the 1 classes',
    );
    const given = await read(folder, KINETICS, { classes: ["tai chi", "boxing", "passing ball, slowly"] });
    assertEquals(given.clips.map(({ label }) => label), [0, 2, 0]);
  });
});

const SSV2 = JSON.stringify(
  [
    { id: "74225", label: "spinning cube", template: "Spinning [something] quickly", placeholders: ["cube"] },
    { id: "116154", label: '{odd} \\"text', template: "Pushing [something] with [something]", placeholders: [] },
  ],
  null,
  1,
);
const SSV2_LABELS = JSON.stringify({ "Pushing something with something": "0", "Spinning something quickly": "1" });

Deno.test("a list of Something-Something finds numbers in labels.json and files by their id", async () => {
  await inFolder(async (folder) => {
    await write(folder, { "labels.json": SSV2_LABELS, "videos/116154.mp4": "" });
    const root = `${folder}/videos`;
    const list = await read(folder, SSV2, { root });
    assertEquals(list.format, "ssv2");
    assertEquals(list.classes, ["Pushing something with something", "Spinning something quickly"]);
    assertEquals(brief(root, list), [["74225", "74225.webm", 1], ["116154", "116154.mp4", 0]]);
    assertEquals((await read(folder, '[{"id": "7"}]', { root })).clips[0]!.label, null);
  });
});

Deno.test("a list of Something-Something that is wrong is refused with its line", async () => {
  await inFolder(async (folder) => {
    assertStringIncludes(await refusal(folder, SSV2), ": has labelled clips but no labels.json beside it");
    await write(folder, { "labels.json": SSV2_LABELS });
    assertEquals(
      await refusal(folder, SSV2.replace("Pushing [", "Pulling [")),
      `, line 10: unknown label "Pulling something with something"; it is not in ${folder}/labels.json`,
    );
    assertStringIncludes(await refusal(folder, SSV2.replace("116154", "../etc")), ', line 10: a clip needs an "id"');
    assertStringIncludes(
      await refusal(folder, SSV2.replace("116154", "74225")),
      ", line 10: the clip 74225 was listed",
    );
    assertStringIncludes(await refusal(folder, SSV2.replace(/\]$/, "")), ": is not JSON: ");
    assertStringIncludes(await refusal(folder, SSV2_LABELS), "must be a JSON array of clips");
    await write(folder, { "labels.json": '{"a": "0", "b": "2"}' });
    await assertRejects(() => read(folder, SSV2), ListError, "labels.json: the numbers of its labels must be 0 to 1");
  });
});

Deno.test("a folder of folders is a list whose classes are the folders' names", async () => {
  await inFolder(async (folder) => {
    await write(folder, {
      "videos/walk/b.mp4": "",
      "videos/walk/a.webm": "",
      "videos/walk/notes.txt": "",
      "videos/walk/.hidden.mp4": "",
      "videos/run/c.AVI": "",
      "videos/empty/readme.md": "",
    });
    const options = { list: `${folder}/videos`, root: "/none", format: "auto" } as const;
    const list = await readClipList(options);
    assertEquals(list.classes, ["run", "walk"]);
    assertEquals(brief(`${folder}/videos`, list), [
      ["run/c.AVI", "run/c.AVI", 0],
      ["walk/a.webm", "walk/a.webm", 1],
      ["walk/b.mp4", "walk/b.mp4", 1],
    ]);
    const given = await readClipList({ ...options, classes: ["walk", "run"] });
    assertEquals(given.clips.map(({ label }) => label), [1, 0, 0]);
    await assertRejects(() => readClipList({ ...options, classes: ["run"] }), ListError, 'unknown label "walk"');

    await write(folder, { "videos/loose.mp4": "" });
    await assertRejects(() => readClipList(options), ListError, "also loose.mp4; put it into one of them");
    await Deno.remove(`${folder}/videos/loose.mp4`);
    await Deno.symlink("../../secret", `${folder}/videos/walk/deep`);
    await write(folder, { "secret/x.mp4": "" });
    await assertRejects(() => readClipList(options), ListError, "walk/deep is a folder");
    await Deno.rename(`${folder}/videos/walk/deep`, `${folder}/videos/linked`);
    await Deno.remove(`${folder}/videos/linked`);
    await Deno.symlink("../secret", `${folder}/videos/linked`);
    await assertRejects(() => readClipList(options), ListError, "is a link that leads out of");
  });
});

Deno.test("a flat folder of videos has no labels, and one without videos is refused", async () => {
  await inFolder(async (folder) => {
    await write(folder, { "videos/b.mp4": "", "videos/a.mp4": "" });
    const options = { list: `${folder}/videos`, root: ".", format: "folder" } as const;
    const list = await readClipList(options);
    assertEquals([list.clips.map(({ name, label }) => [name, label]), list.classes], [[["a.mp4", null], [
      "b.mp4",
      null,
    ]], null]);
    await Deno.mkdir(`${folder}/nothing`);
    await assertRejects(() => readClipList({ ...options, list: `${folder}/nothing` }), ListError, "holds no clips");
  });
});

Deno.test("the hash of a list follows its names, labels and classes, not its place or line ends", async () => {
  await inFolder(async (folder) => {
    const hash = async (text: string) => (await read(folder, text)).sha256;
    const one = await hash("a.mp4 0\nb.mp4 1\n");
    assertEquals(await hash("\ufeffa.mp4 9 0\r\nb.mp4 9 1"), one);
    assertNotEquals(await hash("a.mp4 1\nb.mp4 1\n"), one);
    assertNotEquals(await hash("b.mp4 1\na.mp4 0\n"), one);
    await write(folder, { "classes.txt": "x\ny\n" });
    assertNotEquals(await hash("a.mp4 0\nb.mp4 1\n"), one);
  });
});

Deno.test("the demo's lists are lists like any other", async () => {
  await inFolder(async (folder) => {
    const made = await makeDigits({
      folder,
      trainClips: 16,
      valClips: 2,
      frames: 4,
      size: 32,
      seed: 0,
      uniforms,
      lanes: 1,
    });
    const { clips, classes, format } = await readClipList({ list: made.train, root: made.root, format: "auto" });
    assertEquals([clips.length, format, classes], [16, "videomae", [...made.classes]]);
    assertEquals(clips[15], { name: "train/000015.mp4", path: `${folder}/train/000015.mp4`, label: 7 });
  });
});
