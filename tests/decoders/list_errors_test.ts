/** Wrong lists: every one is refused with the line that is wrong and what mends it, in every format. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { ListError, readClipList } from "../../decoders/lists/clip_list.ts";
import { inFolder, read, refusal, write } from "./_lists.ts";

const SSV2_LABELS = { "labels.json": '{"Up": "0"}' };

/** The same three clips in the formats with lines, and how many lines stand before the clips. */
const FORMATS: Record<string, { before: number; text: (paths: readonly string[]) => string }> = {
  videomae: { before: 0, text: (paths) => paths.map((path) => `"${path}" 0\n`).join("") },
  csv: { before: 1, text: (paths) => "path,label\n" + paths.map((path) => `"${path}",0\n`).join("") },
  jsonl: { before: 0, text: (paths) => paths.map((path) => JSON.stringify({ path, label: 0 }) + "\n").join("") },
  json: {
    before: 1,
    text: (paths) => `[\n${paths.map((path) => JSON.stringify({ path, label: 0 })).join(",\n")}\n]\n`,
  },
};

Deno.test("a byte order mark, line ends of Windows and blank lines change nothing in any format", async () => {
  await inFolder(async (folder) => {
    for (const [name, { text }] of Object.entries(FORMATS)) {
      const plain = await read(folder, text(["a b.mp4", "c,d.mp4", "é.mp4"]));
      assertEquals(plain.clips.map(({ name }) => name), ["a b.mp4", "c,d.mp4", "é.mp4"], name);
      const windows = "\ufeff\r\n" + text(["a b.mp4", "c,d.mp4", "é.mp4"]).replaceAll("\n", "\r\n\r\n");
      assertEquals((await read(folder, windows)).sha256, plain.sha256, name);
    }
  });
});

Deno.test("a path out of the root and a clip that comes twice are refused with their line in every format", async () => {
  await inFolder(async (folder) => {
    for (const [name, { before, text }] of Object.entries(FORMATS)) {
      for (const path of ["../secret.mp4", "/etc/passwd", "a/../../b.mp4"]) {
        assertStringIncludes(
          await refusal(folder, text(["a.mp4", path])),
          `, line ${before + 2}: ${JSON.stringify(path)} leads out of the folder of videos`,
          name,
        );
      }
      assertEquals(
        await refusal(folder, text(["a.mp4", "b.mp4", "./a.mp4"])),
        `, line ${before + 3}: the clip ./a.mp4 was listed before on line ${before + 1}; remove one of the two`,
        name,
      );
    }
  });
});

Deno.test("bytes that are not UTF-8 are refused with their line and the command that mends them", async () => {
  await inFolder(async (folder) => {
    const latin1 = Uint8Array.from("a.mp4 0\nb.mp4 1\ncaf\xe9.mp4 2\n", (char) => char.charCodeAt(0));
    await write(folder, { "list.csv": latin1, "clip.mp4": Uint8Array.from({ length: 300 }, (_, i) => i % 256) });
    const options = { root: folder, format: "auto" } as const;
    const error = await assertRejects(() => readClipList({ list: `${folder}/list.csv`, ...options }), ListError);
    assertEquals(
      error.message,
      `${folder}/list.csv, line 3: is not text in UTF-8; save it as UTF-8, for instance with: iconv -f LATIN1 -t UTF-8`,
    );
    const video = await assertRejects(() => readClipList({ list: `${folder}/clip.mp4`, ...options }), ListError);
    assertEquals(video.line, null);
  });
});

Deno.test("a file whose name is not UTF-8 is refused by name instead of being lost", async () => {
  await inFolder(async (folder) => {
    await write(folder, { "videos/x/a.mp4": "", "videos/x/\ufffd is a name too.mp4": "" });
    const options = { list: `${folder}/videos`, root: folder, format: "auto" } as const;
    assertEquals((await readClipList(options)).clips.length, 2);
    const script = `touch "${folder}/videos/x/$(printf 'caf\\351.mp4')"`;
    const { success } = await new Deno.Command("sh", { args: ["-c", script] }).output();
    if (!success) return console.log("(this file system refuses names that are not UTF-8)");
    const error = await assertRejects(() => readClipList(options), ListError);
    assertEquals(error.message, `${folder}/videos/x: holds "caf\ufffd.mp4", a name that is not UTF-8; rename it`);
  });
});

Deno.test("lines, records and items of any length are refused, not swallowed", async () => {
  await inFolder(async (folder) => {
    await write(folder, SSV2_LABELS);
    const long = "x".repeat(70_000);
    for (
      const text of [
        `a.mp4 0\n${long} 1\n`,
        `path,label\n${long},1\n`,
        `path,label\n"a.mp4,1\n${"b.mp4,1\n".repeat(10_000)}`,
        `{"path": "a.mp4"}\n{"path": "${long}"}\n`,
        `[{"id": "1", "template": "Up"},\n{"id": "${long}", "template": "Up"}]`,
        `[{"id": "1", "template": "Up"},\n{"id": "2", "template": "Up}, ${"\n".repeat(70_000)}]`,
      ]
    ) {
      const message = await refusal(folder, text);
      assertStringIncludes(message, "is longer than 65536 characters; look for a quote or bracket that is not closed");
      assertStringIncludes(message, ", line 2: ");
    }
    // All on one line is fine: it is the item that counts.
    const items = Array.from({ length: 5000 }, (_, i) => `{"id": "${i}", "template": "Up"}`);
    assertEquals((await read(folder, `[${items.join(",")}]`)).clips.length, 5000);
  });
});

Deno.test("wrong CSV is refused with its line", async () => {
  await inFolder(async (folder) => {
    const header = "path,label,start,end,split,frames\n";
    const rows: [string, string][] = [
      ["path,label\na.mp4,x\nb.mp4\n", ", line 3: has 1 fields where the header has 2; put a field with commas in"],
      ["path,label\na.mp4,x\nb,c.mp4,x\n", ", line 3: has 3 fields where the header has 2; put a field with commas in"],
      ['path,label\na.mp4,x\n"b.mp4,x\n', ", line 3: a double quote is not closed"],
      ['path,label\na.mp4,x\n"b"c.mp4,x\n', ", line 3: text follows a closing double quote; write a quote inside"],
      ['path,label\na.mp4,x\nb"c.mp4,x\n', ", line 3: a double quote stands inside a field; put the whole field into"],
      ["label,split\nx,train\n", ", line 1: the header has no column path; it has label, split"],
      ["path,video,label\na.mp4,b.mp4,x\n", ", line 1: the header names the path twice (path and video); remove one"],
      ["path,label\na.mp4,x\n,x\n", ", line 3: names no file; remove the line or fill in its path"],
      [
        `${header}a.mp4,x,,,,\nb.mp4,x,two,,,\n`,
        ', line 3: the start must be a number of seconds of at least 0, found "two"',
      ],
      [`${header}a.mp4,x,4,2,,\n`, ", line 2: ends at 2 s, which is not after its start at 4 s"],
      [`${header}a.mp4,x,,,dev,\n`, ', line 2: unknown split "dev"; expected one of train, training, val'],
      [`${header}a,x,,,,1.5\n`, ", line 2: the frames must be a whole number of at least 1, found 1.5"],
      [`${header}a,x,1,2,,\na,x,1,2,,\n`, ", line 3: the clip a@1-2 was listed before on line 2"],
      [header, 'holds no clips (format "csv")'],
    ];
    for (const [text, expected] of rows) assertStringIncludes(await refusal(folder, text), expected, text);
  });
});

Deno.test("wrong JSON is refused with its line", async () => {
  await inFolder(async (folder) => {
    await write(folder, SSV2_LABELS);
    const rows: [string, string][] = [
      ['{"path": "a.mp4"}\n{"label": 1}\n', ", line 2: the header has no column path; it has label"],
      [
        '{"path": "a.mp4"}\n["b.mp4"]\n',
        ', line 2: must be an object such as {"path": "a.mp4", "label": 0}, found ["b.mp4"]',
      ],
      ['{"path": "a.mp4"}\n{"path": "b.mp4"\n', ", line 2: is not JSON: "],
      ['{"path": "a.mp4"}\n{"path": {"b": 1}}\n', ', line 2: the path must be a text or a number, found {"b":1}'],
      ['[{"id": "1", "template": "Up"},\n{"id": "2" "template": "Up"}]', ", line 2: is not JSON: "],
      ['[{"id": "1", "template": "Up"}\n{"id": "2", "template": "Up"}]', ", line 1: is not JSON: "],
      ['[{"id": "1", "template": "Up"},\n{"id": "2", "template": "Up"}', "found the end of the file"],
      ['[{"id": "1", "template": "Up"}]\n[]', ", line 2: is not JSON: expected nothing after the array"],
      ['[{"id": "1", "template": "Up"},\n]', ", line 2: is not JSON: "],
      ['[{"id": "1", "template": "Up"},\n7]', ', line 2: a clip needs an "id"'],
    ];
    for (const [text, expected] of rows) assertStringIncludes(await refusal(folder, text), expected, text);
  });
});

Deno.test("what is no list at all is refused with what to name instead", async () => {
  await inFolder(async (folder) => {
    await write(folder, { "videos/a.mp4": "", "list.txt": "a.mp4 0\n" });
    const refused = async (list: string, format: Parameters<typeof readClipList>[0]["format"] = "auto") => {
      const error = await assertRejects(() => readClipList({ list: `${folder}/${list}`, root: folder, format }));
      assert(error instanceof ListError, String(error));
      return error.message.replace(`${folder}/`, "");
    };
    assertEquals(await refused("none.csv"), "none.csv: there is no such list");
    assertEquals(
      await refused("videos", "csv"),
      'videos: is a folder, which is no list of the format "csv"; try --format auto',
    );
    assertStringIncludes(await refused("list.txt", "folder"), "is a file, which is no list");
    assertStringIncludes(await refused("videos", "hmdb51"), "is no split of HMDB51; name one of the files CLASS_test");
    const { success } = await new Deno.Command("mkfifo", { args: [`${folder}/pipe`] }).output();
    assert(success);
    assertEquals(await refused("pipe"), "pipe: is not a file; name a list");
    await Deno.writeTextFile(`${folder}/huge.csv`, "a.mp4 0\n");
    await Deno.truncate(`${folder}/huge.csv`, 2 ** 28 + 1);
    assertEquals(
      await refused("huge.csv"),
      "huge.csv: has 257 MiB, a list may have 256; name a list, or part it into several",
    );
  });
});

Deno.test("reading does not depend on the order in which folders give their files", async () => {
  await inFolder(async (folder) => {
    const files = [
      "b/y.mp4",
      "b/x.mp4",
      "a/z.mp4",
      "c/aaaaaaaaaaa_000000_000010.mp4",
      "d/aaaaaaaaaaa_000000_000010.mkv",
    ];
    await write(folder, Object.fromEntries(files.map((name) => [`videos/${name}`, ""])));
    await write(folder, {
      "kinetics.csv": "label,youtube_id,time_start,time_end\nx,aaaaaaaaaaa,0,10\n",
      "hmdb/wave_test_split1.txt": "y.avi 1\n",
      "hmdb/brush_test_split1.txt": "x.avi 1\n",
      "hmdb/hug_test_split1.txt": "z.avi 1\n",
    });
    const lists = [`${folder}/videos`, `${folder}/kinetics.csv`, `${folder}/hmdb`];
    const all = () =>
      Promise.all(lists.map((list) => readClipList({ list, root: `${folder}/videos`, format: "auto" })));
    const expected = await all();
    const readDir = Deno.readDir;
    try {
      for (const turn of [(names: Deno.DirEntry[]) => names.reverse(), shuffled(1), shuffled(2), shuffled(3)]) {
        Deno.readDir = async function* (path) {
          yield* turn(await Array.fromAsync(readDir(path)));
        };
        assertEquals(await all(), expected);
      }
    } finally {
      Deno.readDir = readDir;
    }
  });
});

/** The same items in an order that depends on a number. */
function shuffled(seed: number) {
  return <T>(items: T[]): T[] =>
    items.map((item, i) => ({ item, key: Math.sin(seed * 1000 + i * 77) })).sort((a, b) => a.key - b.key).map((i) =>
      i.item
    );
}
