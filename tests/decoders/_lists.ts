/** Lists that the tests write and read. */
import { assertEquals, assertRejects } from "@std/assert";
import { dirname } from "node:path";
import { type ClipListOptions, ListError, readClipList } from "../../decoders/lists/clip_list.ts";
import { inTempDir } from "./_clips.ts";

/** Writes files below a folder, with their folders. */
export async function write(folder: string, files: Record<string, string | Uint8Array>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await Deno.mkdir(dirname(`${folder}/${name}`), { recursive: true });
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
    await Deno.writeFile(`${folder}/${name}`, bytes);
  }
}

/** Reads a list of the given text; its root is the folder. */
export async function read(folder: string, text: string, more: Partial<ClipListOptions> = {}) {
  await write(folder, { "list.txt": text });
  return await readClipList({ list: `${folder}/list.txt`, root: folder, format: "auto", ...more });
}

/** The error of a list, without the path of the list in front. */
export async function refusal(folder: string, text: string, more: Partial<ClipListOptions> = {}): Promise<string> {
  const error = await assertRejects(() => read(folder, text, more), ListError);
  assertEquals(error.exitCode, 2);
  return error.message.replace(`${error.path}`, "");
}

/** Name, place below the folder and label of every clip. */
export function brief(folder: string, { clips }: Awaited<ReturnType<typeof read>>) {
  return clips.map(({ name, path, label }) => [name, path.replace(`${folder}/`, ""), label]);
}

/** A folder whose path has no links, so that paths can be compared. */
export const inFolder = (body: (folder: string) => Promise<void>) =>
  inTempDir(async (folder) => await body(await Deno.realPath(folder)));
