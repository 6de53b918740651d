/** The preview shows what prepare stores and what a run masks, and names what cannot be shown. */
import { assert, assertEquals, assertFalse, assertRejects, assertStringIncludes } from "@std/assert";
import { LibavDecoder } from "../../decoders/libav.ts";
import { previewClips, type PreviewOptions, type PreviewView } from "../../pipeline/preview.ts";
import { silentProgress } from "../../pipeline/progress.ts";
import { previewPage } from "../../pipeline/report/preview_page.ts";
import { resolveSettings, SettingsError } from "../../pipeline/settings.ts";
import { openFramesSet } from "../../pipeline/shards/frame_shards.ts";
import { readClipSources } from "../../pipeline/stages/clip_sources.ts";
import { prepareFrames } from "../../pipeline/stages/prepare.ts";
import { inTempDir, makeClip } from "../decoders/_clips.ts";

/** Six clips of three classes, one of them cut, one with a name that would do harm. */
async function withList(body: (options: PreviewOptions, folder: string) => Promise<void>): Promise<void> {
  await inTempDir(async (folder) => {
    const names = ["a.mp4", "b.mp4", "c.webm", "d.mp4", "e.mp4", "<img src=x>.mp4"];
    names.forEach((name, i) => makeClip(`${folder}/${name}`, 12 + i, { width: 96, height: 64 }));
    const bytes = await Deno.readFile(`${folder}/e.mp4`);
    await Deno.writeFile(`${folder}/e.mp4`, bytes.subarray(0, bytes.length / 2));
    await Deno.writeTextFile(`${folder}/list.txt`, names.map((name, i) => `"${name}" ${i >> 1}\n`).join(""));
    await Deno.writeTextFile(`${folder}/classes.txt`, "left\nup & down\nright\n");
    const { settings } = resolveSettings({
      preset: "demo",
      file: {
        data: { data: `${folder}/list.txt`, videos: folder, valShare: 0, views: 2, maxBad: "1", lanes: 1 },
        clip: { size: 32, patch: 8, frames: 4, tubelet: 2, stride: 1, sampling: "k400", crop: "multi-scale" },
        run: { cache: `${folder}/cache`, seed: 5 },
      },
      flags: {},
    });
    const { signal } = new AbortController();
    await body({ settings, clips: 6, val: false, signal, progress: silentProgress, print: () => {} }, folder);
  });
}

Deno.test("a preview shows the pixels that prepare stores, and masks of the right sizes inside each other", async () => {
  await withList(async (options, folder) => {
    const { settings } = options, { clips } = await previewClips(options);
    assertEquals(clips.map(({ name }) => name), ["a.mp4", "b.mp4", "c.webm", "d.mp4", "e.mp4", "<img src=x>.mp4"]);
    assertEquals(clips.map(({ label }) => label), ["left", "left", "up & down", "up & down", "right", "right"]);
    assertEquals(clips.map(({ view }) => view), [0, 1, 0, 1, 0, 1]);
    const { train } = await readClipSources({ settings }, undefined);
    using decoder = new LibavDecoder();
    const made = await prepareFrames({
      list: train,
      split: "train",
      settings,
      cache: `${folder}/cache`,
      decoder,
      parallel: 1,
    });
    using set = openFramesSet(made.folder);
    for (const [item, { view, seen }] of clips.entries()) {
      if ("reason" in seen) continue;
      const cubes = new Uint8Array(seen.layout.bytes);
      await set.readRow("/cubes", item * 2 + view, cubes);
      assertEquals(seen.cubes, cubes);
      assertEquals([seen.layout.tokens, seen.studentTokens.length > 0], [32, true]);
      assertFalse(seen.teacherOnlyTokens.some((token) => seen.studentTokens.includes(token)));
    }
    assertEquals(clips[4]!.seen, { reason: "truncated", detail: (clips[4]!.seen as { detail: string }).detail });
  });
});

Deno.test("fewer clips than there are come from as many classes as possible, and the same ones again", async () => {
  await withList(async (options) => {
    const three = await previewClips({ ...options, clips: 3 });
    assertEquals(new Set(three.clips.map(({ label }) => label)).size, 3);
    assertEquals(await previewClips({ ...options, clips: 3 }), three);
    await assertRejects(() => previewClips({ ...options, clips: 0 }), SettingsError, "from 1 to 200, found 0");
    await assertRejects(() => previewClips({ ...options, val: true }), SettingsError, "No clip is held back");
  });
});

Deno.test("validation clips are shown as the evaluation sees them: the middle of the picture", async () => {
  await withList(async (options) => {
    const settings = { ...options.settings, data: { ...options.settings.data, valShare: 0.4 } };
    const { part, clips } = await previewClips({ ...options, settings, val: true, clips: 2 });
    assertEquals([part, clips.length], ["val", 2]);
    for (const { seen } of clips) {
      if ("cubes" in seen) assertEquals((seen as PreviewView).crop, { x: 16, y: 0, width: 64, height: 64 });
    }
  });
});

Deno.test("the page holds every clip, loads nothing, and escapes what comes from lists", async () => {
  await withList(async (options, folder) => {
    const page = previewPage(await previewClips(options), ["preview", "--data", "list.txt"]);
    for (const text of ["<h2", "a.mp4", "up &amp; down", "truncated", "deno task preview --data list.txt", folder]) {
      assertStringIncludes(page, text);
    }
    assertStringIncludes(page, "&lt;img src=x&gt;.mp4");
    assertFalse(page.includes("<img src=x>") || page.includes("<script"));
    const loaded = [...page.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, address]) => address!);
    assert(loaded.length >= 5 * 4);
    assertEquals(loaded.filter((address) => !/^(?:data:|#)/.test(address)), []);
    assertStringIncludes(page, "default-src 'none'");
  });
});
