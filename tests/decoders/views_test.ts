/** Several views of a clip from one reading of it: to the byte what each gives alone, errors included. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type ClipDecoder,
  CorruptClipError,
  type DecodeRequest,
  decodeViews,
  viewLayout,
  type ViewOutcome,
} from "../../decoders/decoder.ts";
import { DecoderLanes } from "../../decoders/lanes.ts";
import { LibavDecoder } from "../../decoders/libav.ts";
import { fuzzClips } from "./_broken_clips.ts";
import { haveRealClips, inTempDir, makeClip, REAL_CLIPS } from "./_clips.ts";
import { makeFrameFolder } from "./_frame_folders.ts";
import { mutations } from "./_mutations.ts";
import { evenly, makeOddClip, turnClip } from "./_odd_clips.ts";

const FILES = Number(Deno.env.get("FUZZ_FILES") ?? 60);

/** Three windows of a clip, two of which overlap, each with a crop of its own. */
function threeViews(path: string): DecodeRequest[] {
  return [0.05, 0.9, 0.8].map((start, i): DecodeRequest => ({
    path,
    sampling: { kind: "k400", frames: 4, stride: 2 },
    crop: { kind: "multi-scale" },
    size: 32,
    tubelet: 2,
    patch: 16,
    draws: [start, 0.99 - i / 3, i / 3, 0.5],
  }));
}

function buffers(requests: readonly DecodeRequest[]): Uint8Array[] {
  return requests.map((request) => new Uint8Array(viewLayout(request).bytes));
}

function told(outcome: ViewOutcome): unknown {
  if (!(outcome instanceof CorruptClipError)) return outcome;
  const { path, reason, detail, byteOffset } = outcome;
  return { path, reason, detail, byteOffset };
}

/** @returns What both ways give, after checking that it is the same. */
async function assertSame(decoder: ClipDecoder, path: string): Promise<ViewOutcome[]> {
  const requests = threeViews(path), { decode } = decoder;
  const together = await decodeViews(decoder, requests, buffers(requests));
  const alone = await decodeViews({ decode: decode.bind(decoder) }, requests, buffers(requests));
  assertEquals(together.map(told), alone.map(told), path);
  return together;
}

Deno.test("views that are decoded together are those that are decoded alone, in every kind of clip", async () => {
  await inTempDir(async (folder) => {
    const clip = { encoder: "libx264", width: 96, height: 64, settings: { bf: "3", g: "8" } } as const;
    const paths = [
      makeOddClip(`${folder}/frames-of-both-sides.mp4`, { ...clip, times: evenly(40) }),
      turnClip(makeOddClip(`${folder}/turned.mp4`, { ...clip, times: evenly(20) }), [0, 1, -1, 0]),
      makeClip(`${folder}/a.webm`, 30),
      makeClip(`${folder}/counted.avi`, 20),
      makeClip(`${folder}/short.mp4`, 3),
      makeFrameFolder(`${folder}/pictures`, 12),
      `${folder}/missing.mp4`,
      ...(haveRealClips() ? [...Deno.readDirSync(REAL_CLIPS)].map(({ name }) => REAL_CLIPS + name) : []),
    ];
    using decoder = new LibavDecoder();
    for (const path of paths) await assertSame(decoder, path);
  });
});

Deno.test("a clip is damaged for the views that reach the damage, and good for the others", async () => {
  await inTempDir(async (folder) => {
    const path = makeClip(`${folder}/a.mp4`, 60), bytes = Deno.readFileSync(path);
    using decoder = new LibavDecoder();
    const kinds = new Set<string>();
    // Where in the file the last pictures lie is the encoder's choice: damage is tried at several places.
    for (const at of [0.3, 0.5, 0.6, 0.7, 0.8]) {
      const broken = bytes.slice();
      broken.fill(0xff, Math.floor(at * bytes.length), Math.floor(at * bytes.length) + 40);
      Deno.writeFileSync(`${folder}/broken.mp4`, broken);
      const outcomes = await assertSame(decoder, `${folder}/broken.mp4`);
      kinds.add(outcomes.map((outcome) => outcome instanceof CorruptClipError ? "bad" : "good").join(" "));
    }
    assert([...kinds].some((kind) => kind.includes("bad") && kind.includes("good")), [...kinds].join(", "));
  });
});

Deno.test("lanes give views together as they give them alone, of whole and of broken files", async () => {
  await inTempDir(async (folder) => {
    await using lanes = new DecoderLanes({ lanes: 2 });
    const todo = mutations(fuzzClips(folder), FILES, 7).entries();
    const lane = async () => {
      for (const [i, { write }] of todo) {
        await write(`${folder}/broken-${i}.mp4`);
        await assertSame(lanes, `${folder}/broken-${i}.mp4`);
      }
    };
    await Promise.all([lane(), lane(), lane(), lane()]);
    await assertSame(lanes, makeClip(`${folder}/whole.mp4`, 20));
  });
});

Deno.test("views that take a lane too long together are tried alone, and each is timed out by itself", async () => {
  await inTempDir(async (folder) => {
    const path = makeClip(`${folder}/long.mp4`, 1);
    // Decoding takes longer than a millisecond, however fast the machine: 4096 pictures have to be written.
    const sampling = { kind: "uniform", frames: 2048 } as const;
    const requests = threeViews(path).slice(0, 2).map((request) => ({ ...request, sampling, size: 64 }));
    await using lanes = new DecoderLanes({ lanes: 1, deadlineMs: 1 });
    const outcomes = await lanes.decodeViews(requests, buffers(requests));
    assertEquals(outcomes.map((outcome) => outcome instanceof CorruptClipError && outcome.reason), [
      "timed-out",
      "timed-out",
    ]);
  });
});

Deno.test("views of different clips, or of none, are refused", async () => {
  using decoder = new LibavDecoder();
  await using lanes = new DecoderLanes({ lanes: 1 });
  const [a, b] = ["a.mp4", "b.mp4"].map((path) => threeViews(path)[0]!) as [DecodeRequest, DecodeRequest];
  const part = { ...a, span: { start: 0, end: 1 } };
  for (const each of [decoder, lanes]) {
    await assertRejects(() => each.decodeViews([a, b], buffers([a, b])), RangeError, "are of one clip");
    await assertRejects(() => each.decodeViews([a, part], buffers([a, part])), RangeError, "same part");
    await assertRejects(() => each.decodeViews([], []), RangeError, "are of one clip");
    await assertRejects(() => each.decodeViews([a], [new Uint8Array(1)]), RangeError, "has 1 bytes");
  }
});
