/**
 * Broken files of every kind: nothing hangs, the parent stays alive, and a view that is accepted shows what a plain
 * decode of the same file shows. FUZZ_FILES=2500 runs that many in place of the sample, FUZZ_SEED another choice of them.
 */
import { assertEquals, assertGreater } from "@std/assert";
import { type ClipDecoder, CorruptClipError, type DecodedView } from "../../decoders/decoder.ts";
import { FfmpegCommandDecoder } from "../../decoders/ffmpeg_command.ts";
import { DecoderLanes } from "../../decoders/lanes.ts";
import { fuzzClips, VIEW, wrongWith } from "./_broken_clips.ts";
import { inTempDir } from "./_clips.ts";
import { type Mutation, mutations, places } from "./_mutations.ts";

const FILES = Number(Deno.env.get("FUZZ_FILES") ?? 210);
const SEED = Number(Deno.env.get("FUZZ_SEED") ?? 1);

/** A view, or the reason why there is none; all else is a failure of the test. */
async function outcome(decoder: ClipDecoder, path: string): Promise<DecodedView | string> {
  try {
    return await decoder.decode({ ...VIEW, path, draws: [] });
  } catch (error) {
    if (!(error instanceof CorruptClipError)) throw error;
    assertEquals(error.path, path);
    return error.reason;
  }
}

/** Decodes all files, several at a time. @returns How often each outcome came, and what is wrong. */
async function decodeAll(
  decoder: ClipDecoder,
  folder: string,
  files: readonly Mutation[],
): Promise<{ counts: Record<string, number>; wrong: string[] }> {
  const counts: Record<string, number> = {}, wrong: string[] = [], todo = files.entries();
  const lane = async () => {
    for (const [i, { name, write }] of todo) {
      const path = `${folder}/broken-${i}.mp4`;
      await write(path);
      const result = await outcome(decoder, path);
      const key = typeof result === "string" ? result : "accepted";
      counts[key] = (counts[key] ?? 0) + 1;
      if (key === "timed-out" || key === "crashed-decoder") wrong.push(`${name}: ${key}`);
      const problem = typeof result === "string" ? null : wrongWith(path, result, decoder instanceof DecoderLanes);
      if (problem !== null) wrong.push(`${name}: ${problem}`);
      if (problem === null) await Deno.remove(path, { recursive: true }).catch(() => {});
    }
  };
  await Promise.all(Array.from({ length: 4 }, lane));
  return { counts, wrong };
}

Deno.test("broken files are refused with a reason or give what a plain decode of them gives; nothing hangs or dies", async () => {
  await inTempDir(async (folder) => {
    await using lanes = new DecoderLanes({ lanes: 2 });
    const files = [
      ...(Deno.build.os === "windows" ? [] : places(folder)),
      ...mutations(fuzzClips(folder), FILES, SEED),
    ];
    const { counts, wrong } = await decodeAll(lanes, folder, files);
    console.log(counts);
    assertEquals(wrong, []);
    for (const key of ["accepted", "truncated", "damaged", "not-a-video", "empty"]) {
      assertGreater(counts[key] ?? 0, 0, key);
    }
  });
});

const command = await new FfmpegCommandDecoder().check().then(() => new FfmpegCommandDecoder(), () => null);

Deno.test({
  name: "broken files do not hang or mislead the ffmpeg command either",
  ignore: command === null,
  async fn() {
    await inTempDir(async (folder) => {
      const files = [...places(folder), ...mutations(fuzzClips(folder), Math.ceil(FILES / 10), SEED + 1)];
      const { counts, wrong } = await decodeAll(command!, folder, files);
      console.log(counts);
      assertEquals(wrong, []);
    });
  },
});
