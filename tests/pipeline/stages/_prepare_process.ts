/**
 * A process that prepares a folder of clips, for tests that kill it: takes the folder, the cache and the time to spend
 * on a view, ms; adds a line to `decoded` in the folder for every view that it has decoded.
 */
import type { ClipDecoder } from "../../../decoders/decoder.ts";
import { LibavDecoder } from "../../../decoders/libav.ts";
import { prepareFrames } from "../../../pipeline/stages/prepare.ts";
import { resolveSettings } from "../../../pipeline/settings.ts";

const [folder, cache, delayMs] = Deno.args as [string, string, string];
const names = [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => name.endsWith(".mp4")).sort();
const { settings } = resolveSettings({
  preset: "demo",
  file: {
    data: { maxBad: "1" },
    clip: { size: 16, patch: 8, frames: 4, tubelet: 2, stride: 1, rowsPerShard: 5 },
  },
  flags: { seed: 3 },
});
using decoder = new LibavDecoder();
const slow: ClipDecoder = {
  async decode(request, into) {
    const view = await decoder.decode(request, into).catch((error) => error);
    await new Promise((resolve) => setTimeout(resolve, Number(delayMs)));
    Deno.writeTextFileSync(`${folder}/decoded`, `${request.path.slice(-6, -4)}\n`, { append: true });
    if (view instanceof Error) throw view;
    return view;
  },
};
const { folder: set } = await prepareFrames({
  list: {
    clips: names.map((name, i) => ({ name, path: `${folder}/${name}`, label: i % 3 })),
    sha256: "33".repeat(32),
    format: "folder",
  },
  split: "train",
  settings,
  cache,
  decoder: slow,
  parallel: 2,
});
console.log(set);
