/**
 * A process that prepares a folder of clips, for tests that kill or stop it: takes the folder, the cache, the time to
 * spend on a view, ms, and the name of its host if it shall pass for another one; adds a line to `decoded` in the folder
 * for every view that it has decoded.
 */
import type { ClipDecoder } from "../../../decoders/decoder.ts";
import { LibavDecoder } from "../../../decoders/libav.ts";
import { prepareFrames } from "../../../pipeline/stages/prepare.ts";
import { resolveSettings } from "../../../pipeline/settings.ts";

const [folder, cache, delayMs, host] = Deno.args as [string, string, string, string | undefined];
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
  ...(host !== undefined && { claims: { host, staleMs: 600, beatMs: 50 } }),
});
console.log(set);
