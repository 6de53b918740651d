/** A data set of 200,000 clips: its list is held once, and memory does not grow with the clips that are done. */
import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import type { ClipDecoder } from "../../../decoders/decoder.ts";
import { resolveSettings } from "../../../pipeline/settings.ts";
import { readClipSources } from "../../../pipeline/stages/clip_sources.ts";
import { prepareFrames } from "../../../pipeline/stages/prepare.ts";
import { testInOwnProcess } from "../../_own_process.ts";
import { inTempDir } from "../../decoders/_clips.ts";

const CLIPS = 200_000;
/** Views that are made: some shards. */
const VIEWS = 4000;

/** Memory of this process, MB. */
function usedMegabytes(): number {
  return Deno.memoryUsage().rss / 1e6;
}

testInOwnProcess(import.meta.filename!, {
  name: "a list of 200,000 clips takes a few hundred bytes a clip, and making shards takes no more",
  fn: () =>
    inTempDir(async (folder) => {
      const name = (i: number) => `class_${i % 400}/video_${String(i).padStart(7, "0")}_000010_000020.mp4`;
      const list = join(folder, "list.txt");
      await Deno.writeTextFile(list, Array.from({ length: CLIPS }, (_, i) => `${name(i)} ${i % 400}\n`).join(""));
      const file = { clip: { size: 16, patch: 8, frames: 4, tubelet: 2, stride: 1 }, data: { maxBad: "100%" } };
      const flags = { data: list, videos: folder, cache: join(folder, "cache") };
      const { settings } = resolveSettings({ preset: "demo", file, flags });
      const before = usedMegabytes();
      const { train, val } = await readClipSources({ settings }, undefined);
      assertEquals(train.clips.length + val!.clips.length, CLIPS);

      const stop = new AbortController(), used: number[] = [];
      let views = 0;
      const decoder: ClipDecoder = {
        decode: (_, into) => {
          if (views++ % 100 === 0) used.push(usedMegabytes());
          if (views === VIEWS) stop.abort("enough");
          return Promise.resolve({
            cubes: into!.fill(views),
            frames: new Int32Array(4),
            ptsUs: new BigInt64Array(4),
            crop: { x: 0, y: 0, width: 16, height: 16 },
            sourceWidth: 16,
            sourceHeight: 16,
            frameCount: 4,
          });
        },
      };
      const prepared = prepareFrames({
        list: train,
        split: "train",
        settings,
        cache: settings.run.cache,
        decoder,
        parallel: 4,
        signal: stop.signal,
      });
      assertEquals(await prepared.catch((reason) => reason), "enough");
      // Measured: 240 MB, most of it left to the garbage collector by the reading of the list.
      const first = used[1]!, last = used.at(-1)!;
      assert(first - before < 450, `${first - before} MB when the first views are made`);
      assert(last - first < 100, `${last - first} MB more after ${VIEWS} views`);
    }),
});
