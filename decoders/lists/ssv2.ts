/**
 * The lists of Something-Something V2: a JSON array of clips (`train.json`, `validation.json`) with `id` and `template`,
 * and beside it `labels.json`, which numbers the templates without their brackets. Clips without a template (`test.json`)
 * have no label. The clip is `ID.webm`, or the same under another video ending, in the folder of videos.
 */
import { dirname, join } from "node:path";
import { type ListSource, type ParsedList, readListText } from "./_list_source.ts";
import { findVideos } from "./_video_files.ts";
import { ListError } from "./list_error.ts";

/** Where the labels are looked for, beside the list. */
const LABEL_FILES = ["labels.json", "something-something-v2-labels.json", "labels/labels.json"];

/**
 * @param source The list.
 * @returns Its clips.
 * @throws {ListError} The list or its labels cannot be read.
 */
export async function parseSsv2(source: ListSource): Promise<ParsedList> {
  const items = parseJson(source.path, source.text);
  if (!Array.isArray(items)) {
    throw new ListError(
      source.path,
      1,
      "must be a JSON array of clips such as train.json; labels.json belongs beside it",
    );
  }
  const lines = itemLines(source.text);
  const templates = items.map((item: unknown, i) => checkItem(source.path, lines[i] ?? null, item));
  const labels = templates.some(({ template }) => template !== null) ? await readLabels(source) : null;
  const videos = await findVideos(source.root, 0);
  const entries = templates.map(({ id, template }, i) => {
    const line = lines[i] ?? null;
    const key = template?.replaceAll(/[\[\]]/g, "") ?? null;
    const label = key === null ? null : labels!.numbers.get(key);
    if (label === undefined) {
      throw new ListError(source.path, line, `unknown label ${JSON.stringify(key)}; it is not in ${labels!.path}`);
    }
    return { name: id, file: videos.get(id)?.[0] ?? `${id}.webm`, label, line };
  });
  return { entries, classes: labels?.classes ?? source.classes };
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

async function readLabels(
  source: ListSource,
): Promise<{ path: string; numbers: Map<string, number>; classes: string[] }> {
  const folder = dirname(source.path);
  const path = await firstFile(LABEL_FILES.map((name) => join(folder, name)));
  if (path === undefined) {
    throw new ListError(source.path, null, `has labelled clips but no labels.json beside it; put it into ${folder}`);
  }
  const content = parseJson(path, await readListText(path));
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

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const message = (error as Error).message;
    const line = /line (\d+)/.exec(message)?.[1];
    throw new ListError(path, line === undefined ? null : Number(line), `is not JSON: ${message}`);
  }
}

/** Lines on which the items of a JSON array of objects begin. */
function itemLines(text: string): number[] {
  const lines: number[] = [];
  let [line, depth] = [1, 0];
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[\[{]|[\]}]|\n/g)) {
    if (token === "\n") line++;
    else if (token === "[" || token === "{") {
      if (depth++ === 1) lines.push(line);
    } else if (token === "]" || token === "}") depth--;
  }
  return lines;
}
