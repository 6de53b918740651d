/** Lists of 200,000 clips: read whole, in little more memory than the clips take. */
import { assert, assertEquals } from "@std/assert";
import type { ListFormat } from "../../../decoders/lists/clip_list.ts";
import { resolveSettings } from "../../../pipeline/settings.ts";
import { readClipSources } from "../../../pipeline/stages/clip_sources.ts";
import { inTempDir } from "../../decoders/_clips.ts";
import { testInOwnProcess } from "../../_own_process.ts";

const CLIPS = 200_000;
const CLASSES = 400;
/**
 * Memory that reading may take at its peak, MiB. Reading the list takes 110 to 190 here, parting it for validation the rest,
 * 230 together; a reader that held lines or parsed JSON beside the clips took 300 for reading alone.
 */
const MOST_MIB = 320;

/** Line of a clip in each format, and what stands around the lines. */
const LISTS: Partial<
  Record<ListFormat, { name: string; line: (i: number) => string; before?: string; after?: string }>
> = {
  videomae: { name: "train.csv", line: (i) => `class_${i % CLASSES}/clip_number_${i}.mp4 ${i % CLASSES}\n` },
  kinetics: {
    name: "kinetics.csv",
    before: "label,youtube_id,time_start,time_end,split\n",
    line: (i) => `class ${i % CLASSES},${String(i).padStart(11, "a")},10,20,train\n`,
  },
  ssv2: {
    name: "ssv2.json",
    before: "[\n",
    line: (i) =>
      `{"id": "${i}", "label": "pushing a chilli ${i % CLASSES} from left to right", ` +
      `"template": "Pushing [something] ${i % CLASSES} from left to right", "placeholders": ["a chilli"]}` +
      `${i < CLIPS - 1 ? "," : "]"}\n`,
  },
  jsonl: { name: "list.jsonl", line: (i) => `{"path": "folder/${i}.mp4", "label": "class ${i % CLASSES}"}\n` },
};

/** Writes a list a piece at a time: the peak of memory is to be the reader's. */
async function writeList(path: string, { line, before = "", after = "" }: NonNullable<typeof LISTS[ListFormat]>) {
  using file = await Deno.create(path);
  const write = async (text: string) => {
    for (let bytes = new TextEncoder().encode(text); bytes.length > 0;) bytes = bytes.subarray(await file.write(bytes));
  };
  await write(before);
  for (let i = 0; i < CLIPS; i += 1000) await write(Array.from({ length: 1000 }, (_, j) => line(i + j)).join(""));
  await write(after);
}

/** Largest memory of this process so far, MiB. */
async function peakMib(): Promise<number> {
  const status = await Deno.readTextFile("/proc/self/status");
  return Number(/VmHWM:\s*(\d+) kB/.exec(status)![1]) / 1024;
}

for (const [format, list] of Object.entries(LISTS)) {
  testInOwnProcess(import.meta.filename!, {
    name: `200,000 clips of format ${format} are read in the memory of one copy`,
    ignore: Deno.build.os !== "linux",
    fn: () =>
      inTempDir(async (folder) => {
        await writeList(`${folder}/${list.name}`, list);
        const labels = Array.from({ length: CLASSES }, (_, i) => [`Pushing something ${i} from left to right`, `${i}`]);
        await Deno.writeTextFile(`${folder}/labels.json`, JSON.stringify(Object.fromEntries(labels)));
        const flags = { data: `${folder}/${list.name}`, videos: folder };
        const { settings } = resolveSettings({ preset: "demo", flags });
        const lines: string[] = [];
        const before = await peakMib();
        const { train, val, classes } = await readClipSources(
          { settings, print: (line) => lines.push(line) },
          undefined,
        );
        const taken = await peakMib() - before;
        assert(taken < MOST_MIB, `took ${taken} MiB`);
        assertEquals([train.clips.length, val!.clips.length, train.format], [CLIPS * 0.9, CLIPS * 0.1, format]);
        assertEquals(classes.length, CLASSES);
        assertEquals(lines[1], "validation 20,000 clips held back");
      }),
  });
}
