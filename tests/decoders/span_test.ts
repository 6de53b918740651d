/** Parts of clips in seconds: the pictures are those of the whole clip at these times. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type ClipDecoder, CorruptClipError, type DecodeRequest } from "../../decoders/decoder.ts";
import { FfmpegCommandDecoder } from "../../decoders/ffmpeg_command.ts";
import { LibavDecoder } from "../../decoders/libav.ts";
import { spanFrames } from "../../decoders/span.ts";
import { inTempDir, makeClip } from "./_clips.ts";

const commandThere = await new FfmpegCommandDecoder().check().then(() => true, () => {
  console.log("(parts of clips are not decoded with the ffmpeg command here: it cannot be started)");
  return false;
});

function request(path: string, more: Partial<DecodeRequest> = {}): DecodeRequest {
  const sampling = { kind: "uniform", frames: 4 } as const;
  return { path, sampling, crop: { kind: "centre" }, size: 48, tubelet: 2, patch: 16, draws: [], ...more };
}

async function withDecoders(body: (decoder: ClipDecoder, folder: string) => Promise<void>): Promise<void> {
  await inTempDir(async (folder) => {
    using libav = new LibavDecoder();
    await body(libav, folder);
    if (commandThere) await body(new FfmpegCommandDecoder(), folder);
  });
}

Deno.test("a span begins with the first picture at its start and ends before the first at its end", () => {
  const tenths = (frame: number) => frame / 10;
  assertEquals(spanFrames(null, 10, tenths), { first: 0, count: 10 });
  assertEquals(spanFrames({ start: 0.3, end: 0.6 }, 10, tenths), { first: 3, count: 3 });
  assertEquals(spanFrames({ start: 0.25, end: 0.61 }, 10, tenths), { first: 3, count: 4 });
  assertEquals(spanFrames({ start: 0.5, end: null }, 10, tenths), { first: 5, count: 5 });
  assertEquals(spanFrames({ start: 0, end: 99 }, 10, tenths), { first: 0, count: 10 });
  assertEquals(spanFrames({ start: 0.31, end: 0.39 }, 10, tenths), { first: 4, count: 0 });
  // 1/3 of a second, written with the digits that a list has.
  assertEquals(spanFrames({ start: 0.333333, end: 0.666667 }, 10, (frame) => frame / 3), { first: 1, count: 1 });
  for (const span of [{ start: -1, end: 1 }, { start: 1, end: 1 }, { start: NaN, end: null }]) {
    assertThrows(() => spanFrames(span, 10, tenths), RangeError, "0 <= start < end");
  }
});

Deno.test("the view of a part has the frames of the whole clip at its times, with and without times in the file", () =>
  withDecoders(async (decoder, folder) => {
    for (const name of ["clip.mp4", "clip.webm", "clip.avi"]) {
      const path = makeClip(`${folder}/${name}`, 20); // 10 pictures a second
      const part = await decoder.decode(request(path, { span: { start: 0.5, end: 1.3 } }));
      assertEquals([...part.frames], [6, 8, 10, 12], name); // pictures 5 to 12
      const whole = await decoder.decode(request(path, { sampling: { kind: "uniform", frames: 20 } }));
      const times = [...part.frames].map((frame) => whole.ptsUs[frame]!);
      assertEquals([[...part.ptsUs], part.frameCount], [times, 20], name);
      const rest = await decoder.decode(request(path, { span: { start: 1.2, end: null } }));
      assertEquals([...rest.frames], [13, 15, 17, 19], name);
    }
  }));

Deno.test("a part without a picture is a clip that is too short", () =>
  withDecoders(async (decoder, folder) => {
    const path = makeClip(`${folder}/clip.mp4`, 20);
    const wanted = request(path, { span: { start: 2, end: 3 } });
    const error = await assertRejects(() => decoder.decode(wanted), CorruptClipError);
    assertEquals([error.reason, error.detail], ["too-short", "no picture from 2 s to 3 s; the last one is at 1.90 s"]);
    await assertRejects(() => decoder.decode({ ...wanted, span: { start: 3, end: 2 } }), RangeError);
  }));
