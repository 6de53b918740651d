/**
 * Broken files through the whole of preparing: every clip ends as a row that shows what a plain decode of its file shows,
 * or as a refusal with its reason, and the shards verify. PREPARE_FUZZ_FILES=2500 runs that many in place of the sample,
 * FUZZ_SEED another choice of them.
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { BAD_CLIP_REASONS, type ClipDecoder, type DecodedView, type DecodeRequest } from "../../../decoders/decoder.ts";
import { DecoderLanes } from "../../../decoders/lanes.ts";
import { openFramesSet } from "../../../pipeline/shards/frame_shards.ts";
import { verifyShard } from "../../../pipeline/shards/shard_record.ts";
import { readViewRecords } from "../../../pipeline/shards/view_records.ts";
import { prepareFrames } from "../../../pipeline/stages/prepare.ts";
import { resolveSettings } from "../../../pipeline/settings.ts";
import { fuzzClips, VIEW, wrongWith } from "../../decoders/_broken_clips.ts";
import { inTempDir } from "../../decoders/_clips.ts";
import { mutations, places } from "../../decoders/_mutations.ts";

const FILES = Number(Deno.env.get("PREPARE_FUZZ_FILES") ?? 44);
const SEED = Number(Deno.env.get("FUZZ_SEED") ?? 1);

/** Passes requests on and keeps what shards do not: how many frames each clip has. */
class FrameCounts implements ClipDecoder {
  readonly of = new Map<string, number>();
  constructor(readonly inner: ClipDecoder) {}
  async decode(request: DecodeRequest, into?: Uint8Array): Promise<DecodedView> {
    const view = await this.inner.decode(request, into);
    this.of.set(request.path, view.frameCount);
    return view;
  }
}

Deno.test("broken files become right rows or refusals with a reason, in shards that verify", () =>
  inTempDir(async (folder) => {
    const files = [
      ...(Deno.build.os === "windows" ? [] : places(folder)),
      ...mutations(fuzzClips(folder), FILES, SEED + 2),
    ];
    const clips = files.map((_, i) => ({ name: `broken-${i}`, path: `${folder}/broken-${i}.mp4`, label: i % 3 }));
    for (const [i, { write }] of files.entries()) await write(clips[i]!.path);
    const { sampling, crop, ...sizes } = VIEW;
    const clip = { ...sizes, frames: sampling.frames, sampling: sampling.kind, crop: crop.kind, rowsPerShard: 16 };
    const { settings } = resolveSettings({ preset: "demo", file: { data: { maxBad: "100%" }, clip }, flags: {} });
    await using lanes = new DecoderLanes({ lanes: 2 });
    const decoder = new FrameCounts(lanes);
    const list = { clips, sha256: "22".repeat(32), format: "folder" };
    const prepared = await prepareFrames({
      list,
      split: "train",
      settings,
      cache: `${folder}/cache`,
      decoder,
      parallel: 4,
    });

    const reasons = new Map(prepared.bad.map(({ item, reason }) => [item, reason]));
    assertEquals([prepared.clips, prepared.badClips, prepared.missing], [files.length, reasons.size, 0]);
    for (const { item, name, path, reason, detail } of prepared.bad) {
      assertEquals([name, path], [clips[item]!.name, clips[item]!.path]);
      assert(reason in BAD_CLIP_REASONS && detail !== "", `${files[item]!.name}: ${reason}, "${detail}"`);
      assert(reason !== "timed-out" && reason !== "crashed-decoder", `${files[item]!.name}: ${detail}`);
    }
    const wrong: string[] = [];
    using set = openFramesSet(prepared.folder);
    for (let shard = 0; shard < set.shards; shard++) {
      await verifyShard(set, shard);
      for (const record of readViewRecords(set, shard)) {
        const { item, name, label, good } = record, { path } = clips[item]!;
        assertEquals([name, label, good], [clips[item]!.name, item % 3, !reasons.has(item)], files[item]!.name);
        const cubes = new Uint8Array(set.rowBytes("/cubes"));
        await set.readRow("/cubes", item, cubes);
        const problem = good
          ? wrongWith(path, { ...record, cubes, frameCount: decoder.of.get(path)! }, true)
          : cubes.some((value) => value !== 0) && "pixels of a refused clip";
        if (problem) wrong.push(`${files[item]!.name}: ${problem}`);
      }
    }
    assertEquals(wrong, []);
    // The sample is no one-sided one.
    assertGreater(files.length - reasons.size, 5);
    assertGreater(new Set(reasons.values()).size, 4);
  }));
