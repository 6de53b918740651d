/**
 * A folder of an embedded demo while it is made and when it is whole. A mark in it holds the settings that made it: a
 * folder left half made is finished, one of other settings is refused.
 */
import { ListError } from "./list_error.ts";

/** The lists of a demo, whatever it shows. */
export interface DemoLists {
  /** Folder that the paths of the lists start from. */
  root: string;
  /** List of the training clips, lines `path label`. */
  train: string;
  /** List of the validation clips. */
  val: string;
  /** Names of the labels. */
  classes: readonly string[];
  /** Clips in both lists. */
  clips: number;
}

/** What a demo's folder consists of. */
export interface DemoFolder {
  folder: string;
  /** What the demo shows, such as "digits": it names the marks too. */
  kind: string;
  /** Everything that decides its bytes. */
  settings: Readonly<Record<string, unknown>>;
  /** Text of the two lists. */
  lists: { readonly train: string; readonly val: string };
  classes: readonly string[];
}

/**
 * Makes a demo's folder, or what is missing of it.
 *
 * @param demo What it consists of.
 * @param makeMissing Writes the clips that are not there.
 * @param clips Clips in both lists.
 * @returns Where its lists are.
 * @throws {ListError} The folder holds a demo of other settings.
 */
export async function fillDemoFolder(
  demo: DemoFolder,
  clips: number,
  makeMissing: () => Promise<void>,
): Promise<DemoLists> {
  const { folder, kind, settings, lists, classes } = demo;
  const [started, whole] = [`${kind}.partial.json`, `${kind}.json`];
  const mark = JSON.stringify(settings, null, 2) + "\n";
  const isWhole = await checkMark(demo, whole, mark);
  for (const part of ["train", "val"]) await Deno.mkdir(`${folder}/${part}`, { recursive: true });
  if (!isWhole && !await checkMark(demo, started, mark)) await replaceFile(`${folder}/${started}`, mark);

  await makeMissing();

  const [train, val] = [`${folder}/train.csv`, `${folder}/val.csv`];
  if (!isWhole) {
    await replaceFile(train, lists.train);
    await replaceFile(val, lists.val);
    await replaceFile(`${folder}/classes.txt`, classes.map((name) => name + "\n").join(""));
    await Deno.rename(`${folder}/${started}`, `${folder}/${whole}`);
  }
  return { root: folder, train, val, classes, clips };
}

/** Whether a clip is there; what is being written has another name. */
export function isWritten(path: string): boolean {
  try {
    return Deno.statSync(path).size > 0;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * @returns Whether the mark is there.
 * @throws {ListError} It is there with other settings.
 */
async function checkMark({ folder, kind }: DemoFolder, name: string, mark: string): Promise<boolean> {
  let found: string;
  try {
    found = await Deno.readTextFile(`${folder}/${name}`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
  if (found === mark) return true;
  const problem = `holds ${kind} of other settings (${differences(found, mark)})`;
  throw new ListError(folder, null, `${problem}; remove it or name another folder`);
}

/** Names the settings that differ, for people. */
function differences(foundText: string, markText: string): string {
  let found: Record<string, unknown>;
  try {
    found = Object(JSON.parse(foundText));
  } catch {
    return "its mark is not JSON";
  }
  const show = JSON.stringify;
  const parts = Object.entries(JSON.parse(markText) as Record<string, unknown>)
    .filter(([name, value]) => show(found[name]) !== show(value))
    .map(([name, value]) => `${name} ${show(found[name])}, asked for ${show(value)}`);
  return parts.join("; ") || "its mark has other fields";
}

async function replaceFile(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(`${path}.new`, text);
  await Deno.rename(`${path}.new`, path);
}
