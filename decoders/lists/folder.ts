/**
 * A folder instead of a list: a folder of videos or of pictures for each class, named by the class, or files without any
 * label. A data set is of one kind: pictures beside videos, such as previews, are passed over, and so are other files.
 * Deeper folders are an error, since nobody would notice their clips missing. The flat pictures of ImageNet's validation
 * have their labels in a file (`imagenet_validation.ts`).
 */
import { join } from "node:path";
import type { ListEntry, ListSource, ParsedList } from "./_list_source.ts";
import { type MediaEntry, readMediaFolder } from "./_video_files.ts";
import { isImageNetValidation, validationLabels } from "./imagenet_validation.ts";
import { ListError } from "./list_error.ts";

/**
 * @param source The folder, as its path; its text is not used.
 * @param emit Receives its clips, sorted by class and name.
 * @throws {ListError} Clips lie both in folders and beside them, too deep, or are of both kinds.
 */
export async function parseFolder(source: ListSource, emit: (entry: ListEntry) => void): Promise<ParsedList> {
  const top = await readMediaFolder(source.path);
  const folders = top.filter(({ kind }) => kind === "folder").map(({ name }) => name);
  if (folders.length === 0) return await parseFlat(source, clipsOf(top), emit);
  let first: { label: string; kind: MediaEntry["kind"] } | undefined;
  for (const label of folders) {
    const entries = await readMediaFolder(join(source.path, label));
    const deeper = entries.find(({ kind }) => kind === "folder");
    if (deeper) throw tooDeep(source, `${label}/${deeper.name}`, label, folders);
    const clips = clipsOf(entries);
    const [{ kind } = { kind: undefined }] = clips;
    if (kind === undefined) continue;
    first ??= { label, kind };
    if (first.kind !== kind) {
      const found = `holds ${first.kind}s in ${first.label} and ${kind}s in ${label}`;
      throw new ListError(source.path, null, `${found}; move one kind elsewhere, or write a list`);
    }
    for (const { name } of clips) emit({ name: `${label}/${name}`, file: `${label}/${name}`, label, line: null });
  }
  const loose = top.find(({ kind }) => kind === "video" || kind === "picture" && first?.kind !== "video");
  if (loose) {
    throw new ListError(
      source.path,
      null,
      `holds folders of classes and also ${loose.name}; put it into one of them`,
    );
  }
  return { classes: source.classes, missing: null };
}

/** The videos of a folder; its pictures where it has no video. */
function clipsOf(entries: readonly MediaEntry[]): MediaEntry[] {
  const videos = entries.filter(({ kind }) => kind === "video");
  return videos.length > 0 ? videos : entries.filter(({ kind }) => kind === "picture");
}

async function parseFlat(
  source: ListSource,
  clips: readonly MediaEntry[],
  emit: (entry: ListEntry) => void,
): Promise<ParsedList> {
  const labels = isImageNetValidation(clips[0]?.name) ? await validationLabels(source) : null;
  for (const { name } of clips) {
    const label = labels === null ? null : labels.find(name);
    emit({ name, file: name, label, line: null, ...(labels && { list: labels.path }) });
  }
  return { classes: source.classes, missing: labels && Math.max(0, labels.count - clips.length) };
}

function tooDeep(source: ListSource, deeper: string, label: string, folders: readonly string[]): ListError {
  const mend = folders.some((name) => /^(?:train|val|valid|validation|test)$/i.test(name))
    ? `if ${label} is a part of the data set, name ${join(source.path, label)}`
    : 'folders of pictures are named by a list of lines "path frames label"';
  return new ListError(source.path, null, `${deeper} is a folder; expected videos or pictures in ${label}; ${mend}`);
}
