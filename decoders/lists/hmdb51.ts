/**
 * The split files of HMDB51: for every class `CLASS_test_split1.txt` with lines `clip.avi 0`, where 1 is a clip for
 * training, 2 one for testing and 0 one that the split leaves out. Naming any of the files of a split names them all; the
 * folder of the files stands for its first split. Clips lie in folders of classes or flat, under any video ending.
 */
import { basename, dirname, join, parse } from "node:path";
import { linesOf, type ListEntry, type ListSource, type ParsedList, readListText } from "./_list_source.ts";
import { VideoIndex } from "./_video_files.ts";
import { ListError } from "./list_error.ts";

/** Levels of folders below the root. */
const DEPTH = 2;

/** Names of these files: class and number of the split. */
export const HMDB51_LIST = /^(.+)_test_split(\d+)\.txt$/i;

/**
 * @param source One of the files, or their folder.
 * @param emit Receives the clips of all classes; training clips as "train", test clips as "val".
 * @throws {ListError} A line cannot be read.
 */
export async function parseHmdb51(source: ListSource, emit: (entry: ListEntry) => void): Promise<ParsedList> {
  const named = HMDB51_LIST.exec(basename(source.path))?.[2];
  const folder = named === undefined ? source.path : dirname(source.path);
  const files = await splitFiles(folder, named);
  if (files.length === 0) {
    const problem = "is no split of HMDB51; name one of the files CLASS_test_split1.txt, or their folder";
    throw new ListError(source.path, null, problem);
  }
  const videos = await VideoIndex.read(source.root, DEPTH);
  let missing = 0;
  for (const { path, label } of files) {
    for (const { line, text } of linesOf(path, await readListText(path))) {
      const [, clip, use] = /^([^/]*[^/\s])\s+([012])$/.exec(text) ?? [];
      if (clip === undefined) {
        const found = JSON.stringify(text.slice(0, 200));
        throw new ListError(
          path,
          line,
          `lines are "clip.avi" and 0 (unused), 1 (training) or 2 (test), found ${found}`,
        );
      }
      if (use === "0") continue;
      const name = `${label}/${clip}`;
      const file = videos.locate(parse(clip).name, label);
      if (file === null) missing++;
      emit({ name, file: file ?? name, label, line, list: path, split: use === "1" ? "train" : "val" });
    }
  }
  return { classes: source.classes, missing };
}

/** The files of a split, by class: of the named one, else of the first there is. */
async function splitFiles(folder: string, named: string | undefined): Promise<{ path: string; label: string }[]> {
  const found: { path: string; label: string; split: number }[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    const [, label, split] = HMDB51_LIST.exec(name) ?? [];
    if (label !== undefined) found.push({ path: join(folder, name), label, split: Number(split) });
  }
  const wanted = named === undefined ? Math.min(...found.map(({ split }) => split)) : Number(named);
  return found.filter(({ split }) => split === wanted).sort((a, b) => a.label < b.label ? -1 : 1);
}
