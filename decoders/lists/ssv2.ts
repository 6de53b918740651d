/**
 * The lists of Something-Something V2: a JSON array of clips (`train.json`, `validation.json`) with `id` and `template`,
 * and beside it `labels.json`, which numbers the templates without their brackets. Clips without a template (`test.json`)
 * have no label. The clip is `ID.webm`, the same under another video ending, or a folder `ID` of pictures, in the folder of
 * videos.
 */
import { dirname, join } from "node:path";
import { eachJsonItem, parseJson } from "./_json_items.ts";
import { type ListEntry, type ListSource, type ParsedList, readListText } from "./_list_source.ts";
import { VideoIndex } from "./_video_files.ts";
import { ListError } from "./list_error.ts";

/** Where the labels are looked for, beside the list. */
const LABEL_FILES = ["labels.json", "something-something-v2-labels.json", "labels/labels.json"];

/** Numbers of the templates. */
interface Labels {
  path: string;
  numbers: Map<string, number>;
  classes: string[];
}

/**
 * @param source The list.
 * @param emit Receives its clips.
 * @throws {ListError} The list or its labels cannot be read.
 */
export async function parseSsv2(source: ListSource, emit: (entry: ListEntry) => void): Promise<ParsedList> {
  if (!source.text.trimStart().startsWith("[")) {
    const expected = "must be a JSON array of clips such as train.json; labels.json belongs beside it";
    throw new ListError(source.path, 1, expected);
  }
  const videos = await VideoIndex.read(source.root, 0);
  const labels = await readLabels(source);
  let [missing, labelled] = [0, false];
  eachJsonItem(source.path, source.text, (item, line) => {
    const { id, template } = checkItem(source.path, line, item);
    const file = videos.locate(id, null);
    if (file === null) missing++;
    labelled ||= template !== null;
    const label = template === null ? null : numberOf(source, line, labels, template);
    emit({ name: id, file: file ?? `${id}.webm`, label, line });
  });
  return { classes: labelled ? labels!.classes : source.classes, missing };
}

function numberOf(source: ListSource, line: number, labels: Labels | null, template: string): number {
  if (labels === null) {
    const problem = `has labelled clips but no labels.json beside it; put it into ${dirname(source.path)}`;
    throw new ListError(source.path, null, problem);
  }
  const name = template.replaceAll(/[\[\]]/g, "");
  const number = labels.numbers.get(name);
  if (number !== undefined) return number;
  throw new ListError(source.path, line, `unknown label ${JSON.stringify(name)}; it is not in ${labels.path}`);
}

function checkItem(path: string, line: number | null, item: unknown): { id: string; template: string | null } {
  const { id, template = null } = Object(item) as Record<string, unknown>;
  const text = typeof id === "number" ? String(id) : id;
  if (typeof text !== "string" || !/^[\w-]+$/.test(text)) {
    throw new ListError(path, line, `a clip needs an "id" of letters and digits, found ${JSON.stringify(id)}`);
  }
  if (template !== null && typeof template !== "string") {
    throw new ListError(path, line, `the "template" of clip ${text} must be a text, found ${JSON.stringify(template)}`);
  }
  return { id: text, template };
}

async function readLabels(source: ListSource): Promise<Labels | null> {
  const folder = dirname(source.path);
  const path = await firstFile(LABEL_FILES.map((name) => join(folder, name)));
  if (path === undefined) return null;
  const content = parseJson(path, await readListText(path), null);
  const entries = Object.entries(Object(content) as Record<string, unknown>);
  const classes: string[] = new Array(entries.length);
  for (const [name, value] of entries) {
    const number = /^\d+$/.test(String(value)) ? Number(value) : NaN;
    if (!(number < classes.length) || classes[number] !== undefined) {
      const found = `${JSON.stringify(value)} for ${JSON.stringify(name)}`;
      const range = `0 to ${classes.length - 1} without repeats`;
      throw new ListError(path, null, `the numbers of its labels must be ${range}, found ${found}`);
    }
    classes[number] = name;
  }
  if (source.classes !== null && source.classes.join("\n") !== classes.join("\n")) {
    throw new ListError(path, null, "has other classes than the training list; use the same labels.json for both");
  }
  return { path, numbers: new Map(classes.map((name, i) => [name, i])), classes };
}

async function firstFile(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    const info = await Deno.stat(path).catch((error: unknown) => {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    });
    if (info?.isFile) return path;
  }
  return undefined;
}
