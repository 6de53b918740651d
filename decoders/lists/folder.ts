/**
 * A folder instead of a list: a folder of videos for each class, named by the class, or videos without any label. Other
 * files are passed over; deeper folders are an error, since nobody would notice their clips missing.
 */
import { join } from "node:path";
import type { ListEntry, ListSource, ParsedList } from "./_list_source.ts";
import { readVideoFolder } from "./_video_files.ts";
import { ListError } from "./list_error.ts";

/**
 * @param source The folder, as its path; its text is not used.
 * @param emit Receives its clips, sorted by class and name.
 * @throws {ListError} Clips lie both in folders and beside them, or too deep.
 */
export async function parseFolder(source: ListSource, emit: (entry: ListEntry) => void): Promise<ParsedList> {
  const top = await readVideoFolder(source.path);
  const folders = top.filter(({ isFolder }) => isFolder);
  const loose = top.filter(({ isFolder }) => !isFolder);
  if (folders.length > 0 && loose.length > 0) {
    const problem = `holds folders of classes and also ${loose[0]!.name}; put it into one of them`;
    throw new ListError(source.path, null, problem);
  }
  for (const { name } of loose) emit({ name, file: name, label: null, line: null });
  for (const { name: label } of folders) {
    for (const { name, isFolder } of await readVideoFolder(join(source.path, label))) {
      if (isFolder) throw tooDeep(source, `${label}/${name}`, label, folders.map(({ name }) => name));
      emit({ name: `${label}/${name}`, file: `${label}/${name}`, label, line: null });
    }
  }
  return { classes: source.classes, missing: null };
}

function tooDeep(source: ListSource, deeper: string, label: string, folders: readonly string[]): ListError {
  const mend = folders.some((name) => /^(?:train|val|valid|validation|test)$/i.test(name))
    ? `if ${label} is a part of the data set, name ${join(source.path, label)}`
    : 'folders of pictures are named by a list of lines "path frames label"';
  return new ListError(source.path, null, `${deeper} is a folder; expected videos in ${label}; ${mend}`);
}
