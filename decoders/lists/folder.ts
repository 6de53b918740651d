/**
 * A folder instead of a list: a folder of videos for each class, named by the class, or videos without any label. Other
 * files are passed over; deeper folders are an error, since nobody would notice their clips missing.
 */
import { join } from "node:path";
import { type ListEntry, type ListSource, numberClasses, type ParsedList, unknownLabel } from "./_list_source.ts";
import { readVideoFolder } from "./_video_files.ts";
import { ListError } from "./list_error.ts";

/**
 * @param source The folder, as its path; its text is not used.
 * @returns Its clips, sorted by class and name; classes are numbered by the order of their names unless they are given.
 * @throws {ListError} Clips lie both in folders and beside them, or too deep.
 */
export async function parseFolder(source: ListSource): Promise<ParsedList> {
  const top = await readVideoFolder(source.path);
  const folders = top.filter(({ isFolder }) => isFolder);
  const loose = top.filter(({ isFolder }) => !isFolder);
  if (folders.length === 0) {
    return {
      entries: loose.map(({ name }) => ({ name, file: name, label: null, line: null })),
      classes: source.classes,
    };
  }
  if (loose.length > 0) {
    throw new ListError(
      source.path,
      null,
      `holds folders of classes and also ${loose[0]!.name}; put it into one of them`,
    );
  }
  const members: [string, string[]][] = [];
  for (const { name } of folders) {
    const inside = await readVideoFolder(join(source.path, name));
    const deeper = inside.find(({ isFolder }) => isFolder);
    if (deeper !== undefined) {
      throw new ListError(source.path, null, `${name}/${deeper.name} is a folder; expected videos in ${name}`);
    }
    if (inside.length > 0) members.push([name, inside.map(({ name }) => name)]);
  }
  const { classes, numbers } = numberClasses(source, members.map(([name]) => name));
  const entries = members.flatMap(([folder, names]) => {
    const label = numbers.get(folder) ?? unknownLabel(source, null, folder);
    return names.map((name): ListEntry => ({
      name: `${folder}/${name}`,
      file: `${folder}/${name}`,
      label,
      line: null,
    }));
  });
  return { entries, classes };
}
