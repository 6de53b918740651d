import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import { type BadClipReason, CorruptClipError, type DecodedView, type DecodeRequest } from "../../decoders/decoder.ts";
import { FfmpegCommandDecoder, MissingCommandError } from "../../decoders/ffmpeg_command.ts";
import { DecoderLanes } from "../../decoders/lanes.ts";
import { LibavDecoder } from "../../decoders/libav.ts";
import type { SamplingRule } from "../../decoders/sampling.ts";
import { testInOwnProcess } from "../_own_process.ts";
import { haveRealClips, inTempDir, makeClip, REAL_CLIPS } from "./_clips.ts";

const available = await new FfmpegCommandDecoder().check().then(() => true, (error: unknown) => {
  console.log(`(tests on the ffmpeg command are skipped: ${error instanceof Error ? error.message : error})`);
  return false;
});

/** Whether ffmpeg is older than 5.1; some of these do not tell of all damage. */
async function isOld(): Promise<boolean> {
  const command = Deno.env.get("FFMPEG_PATH") || "ffmpeg";
  const { stdout } = await new Deno.Command(command, { args: ["-version"] }).output();
  const old = Number(/libavutil\s+(\d+)/.exec(new TextDecoder().decode(stdout))?.[1]) < 57;
  if (old) console.log("(the test on patched pictures is skipped: ffmpeg is older than 5.1)");
  return old;
}

const base = { crop: { kind: "centre" }, size: 64, tubelet: 2, patch: 16 } as const;

function request(path: string, more: Partial<DecodeRequest> = {}): DecodeRequest {
  return { path, sampling: { kind: "uniform", frames: 16 }, draws: [], ...base, ...more };
}

/** Requests that stop early, that reach the end, that repeat pictures, and that cut a box out. */
function requests(path: string): DecodeRequest[] {
  const rules: [SamplingRule, number[]][] = [
    [{ kind: "uniform", frames: 512 }, []],
    [{ kind: "k400", frames: 16 }, [0.3]],
    [{ kind: "tsn", frames: 2 }, [0.6, 0.2]],
  ];
  return rules.flatMap(([sampling, draws]) => [
    request(path, { sampling, draws }),
    request(path, { sampling, draws: [...draws, 0.6, 0.9], crop: { kind: "multi-scale" } }),
  ]);
}

async function assertSameAsLibav(path: string): Promise<void> {
  using libav = new LibavDecoder();
  const command = new FfmpegCommandDecoder();
  for (const request of requests(path)) {
    const expected = libav.decodeSync(request);
    const view = await command.decode(request);
    const differs = (a: DecodedView, b: DecodedView) => a.cubes.some((value, i) => value !== b.cubes[i]);
    assert(!differs(view, expected), `${path}: the pictures of ${request.sampling.kind} differ`);
    assertEquals({ ...view, cubes: null }, { ...expected, cubes: null }, path);
  }
}

for (
  const name of [
    "k400_demo_340x256.mp4",
    "k400_part0_vfr.mp4",
    "k400_pancake_426x240.mkv",
    "mpeg4_missing_pts.avi",
    "vp9_odd_321x241.mp4",
    "rotated_portrait.mp4",
    "derived_ssv2like_pancake.webm",
  ]
) {
  Deno.test({
    name: `the ffmpeg command and libav give the same bytes of ${name}`,
    ignore: !available || !haveRealClips(),
    fn: () => assertSameAsLibav(REAL_CLIPS + name),
  });
}

Deno.test({
  name: "the ffmpeg command and libav give the same bytes of clips of every codec and container made here",
  ignore: !available,
  async fn() {
    await inTempDir(async (folder) => {
      const gop = { settings: { g: "12", bf: "3", "x264-params": "log-level=none" } };
      await assertSameAsLibav(makeClip(`${folder}/a.mp4`, 250, gop));
      await assertSameAsLibav(makeClip(`${folder}/b.webm`, 40, { settings: { g: "9" } }));
      await assertSameAsLibav(makeClip(`${folder}/c.avi`, 33, { settings: { bf: "2", g: "10" } }));
      await assertSameAsLibav(makeClip(`${folder}/it's 100% [d].mp4`, 1));
    });
  },
});

async function assertBad(path: string, reason: BadClipReason): Promise<void> {
  const error = await assertRejects(() => new FfmpegCommandDecoder().decode(request(path)), CorruptClipError);
  assertEquals([error.reason, error.path], [reason, path], error.message);
}

Deno.test({
  name: "what is no whole video is refused by the ffmpeg command with the same reasons",
  ignore: !available,
  async fn() {
    await inTempDir(async (folder) => {
      await assertBad(`${folder}/none.mp4`, "missing");
      await assertBad(folder, "not-a-file");
      await Deno.writeTextFile(`${folder}/text.mp4`, "this is a text that calls itself a video\n".repeat(50));
      await assertBad(`${folder}/text.mp4`, "not-a-video");
      const good = makeClip(`${folder}/a.mp4`, 60);
      await Deno.writeTextFile(`${folder}/list.mp4`, `ffconcat version 1.0\nfile ${good}\n`);
      await assertBad(`${folder}/list.mp4`, "not-a-video");
      const bytes = await Deno.readFile(good);
      await Deno.writeFile(`${folder}/cut.mp4`, bytes.subarray(0, bytes.length / 2));
      await assertBad(`${folder}/cut.mp4`, "truncated");
      bytes.fill(0x55, bytes.length / 3, bytes.length / 2);
      await Deno.writeFile(`${folder}/wrong.mp4`, bytes);
      await assertBad(`${folder}/wrong.mp4`, "damaged");
    });
  },
});

Deno.test({
  name: "pictures that a decoder patches up are damage to both decoders",
  ignore: !available || await isOld(),
  async fn() {
    await inTempDir(async (folder) => {
      const path = makeClip(`${folder}/a.mp4`, 30, { width: 96, height: 80 });
      const good = await Deno.readFile(path);
      using libav = new LibavDecoder();
      let patched = 0;
      for (let part = 0.2; part < 0.9; part += 0.1) {
        const bytes = good.slice();
        bytes[Math.floor(bytes.length * part)]! ^= 0x10;
        await Deno.writeFile(path, bytes);
        const all = request(path, { sampling: { kind: "uniform", frames: 64 } });
        const outcome = (error: unknown) => error instanceof CorruptClipError ? error.reason : "none";
        const expected = await libav.decode(all).then(() => "none", (error) => {
          if (String(error).includes("a picture has wrong data")) patched++;
          return outcome(error);
        });
        assertEquals(await new FfmpegCommandDecoder().decode(all).then(() => "none", outcome), expected, `at ${part}`);
      }
      assertGreater(patched, 0);
    });
  },
});

Deno.test({
  name: "the damaged and the silent real clip are refused by the ffmpeg command",
  ignore: !available || !haveRealClips(),
  async fn() {
    await assertBad(`${REAL_CLIPS}corrupted_h264.mp4`, "damaged");
    await assertBad(`${REAL_CLIPS}audio_only.mp4`, "no-video-stream");
  },
});

Deno.test({
  name: "ffmpeg is killed at the deadline of a clip",
  ignore: !available,
  async fn() {
    await inTempDir(async (folder) => {
      const command = new FfmpegCommandDecoder({ deadlineMs: 1 });
      const path = makeClip(`${folder}/a.mp4`, 16);
      const error = await assertRejects(() => command.decode(request(path)), CorruptClipError);
      assertEquals(error.reason, "timed-out");
    });
  },
});

Deno.test({
  name: "lanes decode with the ffmpeg command too",
  ignore: !available,
  async fn() {
    await inTempDir(async (folder) => {
      using libav = new LibavDecoder();
      await using lanes = new DecoderLanes({ lanes: 2, decoder: "ffmpeg" });
      const all = requests(makeClip(`${folder}/a.mp4`, 50));
      const views = await Promise.all(all.map((request) => lanes.decode(request)));
      assertEquals(views, all.map((request) => libav.decodeSync(request)));
    });
  },
});

testInOwnProcess(import.meta.filename!, {
  name: "a missing ffmpeg is an error of the settings that says what to do, here and in lanes",
  async fn() {
    await inTempDir(async (folder) => {
      const path = makeClip(`${folder}/a.mp4`, 8);
      const command = new FfmpegCommandDecoder({ ffmpeg: `${folder}/ffmpeg` });
      const error = await assertRejects(() => command.decode(request(path)), MissingCommandError, "apt-get install");
      assertEquals(error.exitCode, 2);
      const before = Deno.env.get("FFMPEG_PATH");
      Deno.env.set("FFMPEG_PATH", `${folder}/ffmpeg`);
      try {
        await using lanes = new DecoderLanes({ lanes: 1, decoder: "ffmpeg" });
        const error = await assertRejects(() => lanes.decode(request(path)), Error, "name the program in FFMPEG_PATH");
        assertEquals([error.name, (error as MissingCommandError).exitCode], ["MissingCommandError", 2]);
      } finally {
        before === undefined ? Deno.env.delete("FFMPEG_PATH") : Deno.env.set("FFMPEG_PATH", before);
      }
    });
  },
});
