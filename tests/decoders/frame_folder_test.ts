/** Folders of JPEG pictures as clips, by both decoders: the same pictures, and honest about what is missing. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type ClipDecoder, CorruptClipError, type DecodeRequest } from "../../decoders/decoder.ts";
import { FfmpegCommandDecoder } from "../../decoders/ffmpeg_command.ts";
import { DecoderLanes } from "../../decoders/lanes.ts";
import { LibavDecoder } from "../../decoders/libav.ts";
import { inTempDir } from "./_clips.ts";
import { jpeg, makeFrameFolder } from "./_frame_folders.ts";

const commandThere = await new FfmpegCommandDecoder().check().then(() => true, () => {
  console.log("(frame folders are not decoded with the ffmpeg command here: it cannot be started)");
  return false;
});

function request(path: string, more: Partial<DecodeRequest> = {}): DecodeRequest {
  const sampling = { kind: "uniform", frames: 4 } as const;
  return { path, sampling, crop: { kind: "centre" }, size: 48, tubelet: 2, patch: 16, draws: [], ...more };
}

/** Mean red of every frame: the number of its picture times 12. */
function reds(cubes: Uint8Array, frames: number): number[] {
  const bytes = cubes.length / (frames / 2), half = 16 * 16 * 3;
  return Array.from({ length: frames }, (_, frame) => {
    let [sum, count] = [0, 0];
    for (let cube = 0; cube < bytes / (2 * half); cube++) {
      const at = (frame >> 1) * bytes + cube * 2 * half + (frame % 2) * half;
      for (let i = 0; i < half; i += 3, count++) sum += cubes[at + i]!;
    }
    return sum / count;
  });
}

/** Runs a body with each decoder that there is. */
async function withDecoders(body: (decoder: ClipDecoder, folder: string) => Promise<void>): Promise<void> {
  await inTempDir(async (folder) => {
    using libav = new LibavDecoder();
    await body(libav, `${folder}/libav`);
    if (commandThere) await body(new FfmpegCommandDecoder(), `${folder}/command`);
  });
}

async function refusal(decoder: ClipDecoder, wanted: DecodeRequest): Promise<[string, string]> {
  const error = await assertRejects(() => decoder.decode(wanted), CorruptClipError);
  assertEquals(error.path, wanted.path);
  return [error.reason, error.detail];
}

Deno.test("a folder of pictures is a clip whose frames are its pictures in the order of their numbers", () =>
  withDecoders(async (decoder, folder) => {
    for (const [name, first] of [["from_one", 1], ["from_zero", 0], ["100% from nine", 9]] as const) {
      const path = makeFrameFolder(`${folder}/${name}`, 12, { first });
      const view = await decoder.decode(request(path));
      assertEquals([...view.frames], [1, 4, 7, 10]);
      assertEquals([view.sourceWidth, view.sourceHeight, view.frameCount], [64, 48, 12]);
      reds(view.cubes, 4).forEach((red, i) => assert(Math.abs(red - view.frames[i]! * 12) < 4, `${name} ${i}: ${red}`));
    }
  }));

Deno.test({
  name: "the library and the command give the same bytes of a folder",
  ignore: !commandThere,
  fn: () =>
    inTempDir(async (folder) => {
      using libav = new LibavDecoder();
      const path = makeFrameFolder(`${folder}/clip`, 21, { width: 90, height: 62 });
      const rules = [{ kind: "uniform", frames: 16 }, { kind: "k400", frames: 4, stride: 2 }] as const;
      for (const sampling of rules) {
        // Always resized: older scalers convert colours more coarsely where a crop keeps its size.
        const wanted = request(path, {
          sampling,
          size: 32,
          crop: { kind: "multi-scale" },
          draws: [0.4, 0.6, 0.9, 0.2, 0.7],
        });
        const expected = libav.decodeSync(wanted);
        assertEquals(await new FfmpegCommandDecoder().decode(wanted), expected);
      }
    }),
});

Deno.test("only as many pictures as the list names belong to the clip, and fewer make it bad", () =>
  withDecoders(async (decoder, folder) => {
    const path = makeFrameFolder(folder, 12);
    const view = await decoder.decode(request(path, { listedFrames: 8 }));
    assertEquals([[...view.frames], view.frameCount], [[1, 3, 5, 7], 8]);
    const wanted = request(path, { listedFrames: 13 });
    assertEquals(await refusal(decoder, wanted), ["truncated", "it has 12 pictures, the list names 13"]);
  }));

Deno.test("numbers without zeros in front, other pictures beside and other files do not disturb", () =>
  withDecoders(async (decoder, folder) => {
    makeFrameFolder(folder, 12);
    const first = Deno.readFileSync(`${folder}/img_00001.jpg`);
    Deno.writeFileSync(`${folder}/flow_x_00001.jpg`, first);
    Deno.writeTextFileSync(`${folder}/notes.txt`, "");
    assertEquals((await decoder.decode(request(folder))).frameCount, 12);
    const plain = `${folder}/plain`;
    Deno.mkdirSync(plain);
    for (let i = 1; i <= 12; i++) {
      Deno.copyFileSync(`${folder}/img_${String(i).padStart(5, "0")}.jpg`, `${plain}/frame ${i}.jpg`);
    }
    const view = await decoder.decode(request(plain));
    assertEquals([...view.frames], [1, 4, 7, 10]);
    assert(reds(view.cubes, 4).every((red, i) => Math.abs(red - view.frames[i]! * 12) < 4));
  }));

Deno.test("a picture that is missing, cut, empty, no picture or a way out makes the clip bad", () =>
  withDecoders(async (decoder, folder) => {
    const make = (name: string) => makeFrameFolder(`${folder}/${name}`, 12);
    const wanted = (path: string) => refusal(decoder, request(path));

    const gap = make("gap");
    Deno.removeSync(`${gap}/img_00005.jpg`);
    assertEquals(await wanted(gap), ["damaged", "img_00005.jpg is missing in it"]);

    const cut = make("cut"), picture = `${cut}/img_00005.jpg`;
    Deno.truncateSync(picture, Deno.statSync(picture).size >> 1);
    assertEquals((await wanted(cut))[0], "damaged");

    const empty = make("empty");
    Deno.truncateSync(`${empty}/img_00005.jpg`);
    assertEquals(await wanted(empty), ["empty", "img_00005.jpg has zero bytes"]);

    const text = make("text");
    Deno.writeTextFileSync(`${text}/img_00002.jpg`, "no picture");
    assertEquals((await wanted(text))[0], "damaged");

    const out = make("out");
    Deno.removeSync(`${out}/img_00005.jpg`);
    Deno.symlinkSync(`${gap}/img_00001.jpg`, `${out}/img_00005.jpg`);
    assertEquals(await wanted(out), ["not-a-file", "img_00005.jpg is a link that leads out of the folder"]);

    const size = make("size");
    Deno.writeFileSync(`${size}/img_00005.jpg`, jpeg(new Uint8Array(32 * 64 * 3), 32, 64));
    assert(["damaged", "unsupported-codec"].includes((await wanted(size))[0]));

    Deno.mkdirSync(`${folder}/nothing`);
    const [reason, detail] = await wanted(`${folder}/nothing`);
    assertEquals(reason, "not-a-file");
    assertStringIncludes(detail, "without numbered pictures such as img_00001.jpg");

    const both = `${folder}/both`;
    Deno.mkdirSync(both);
    for (const name of ["a_1.jpg", "b_1.jpg"]) Deno.writeTextFileSync(`${both}/${name}`, "");
    assertEquals(await wanted(both), ["damaged", "it holds pictures of several kinds: a_*.jpg, b_*.jpg"]);

    const span = request(make("span"), { span: { start: 0, end: 1 } });
    assertEquals((await refusal(decoder, span))[0], "unsupported-codec");
  }));

Deno.test("a pipe among the pictures stops nobody", () =>
  withDecoders(async (decoder, folder) => {
    makeFrameFolder(folder, 12);
    Deno.removeSync(`${folder}/img_00005.jpg`);
    const { success } = await new Deno.Command("mkfifo", { args: [`${folder}/img_00005.jpg`] }).output();
    assert(success);
    assertEquals(await refusal(decoder, request(folder)), [
      "not-a-file",
      "img_00005.jpg is a folder, pipe or device",
    ]);
  }));

Deno.test("lanes decode folders with the permissions that they have", () =>
  inTempDir(async (folder) => {
    const path = makeFrameFolder(folder, 12);
    using libav = new LibavDecoder();
    const expected = libav.decodeSync(request(path, { listedFrames: 8 }));
    await using lanes = new DecoderLanes({ lanes: 1 });
    assertEquals(await lanes.decode(request(path, { listedFrames: 8 })), expected);
  }));
