/**
 * Decodes a folder of pictures with libav in this process: only the pictures that the view wants are read, each as a packet
 * of its own. There is no clock: times are 0. Orientation tags (EXIF) are ignored; frames that were taken from videos have
 * none.
 */
import { Buffer } from "node:buffer";
import { Codec, CodecContext, Frame, Packet } from "node-av/lib";
import { AV_CODEC_ID_MJPEG, AV_CODEC_ID_PNG } from "node-av/constants";
import { CorruptClipError, type DecodeRequest, MAX_PIXELS } from "./decoder.ts";
import { type FrameFolder, pictureFile, readFrameFolder } from "./_frame_folder.ts";
import { turnOf } from "./_rotation.ts";
import type { ViewInProgress } from "./_view_in_progress.ts";

/**
 * @param request What to decode.
 * @param view Receives the pictures.
 * @throws {CorruptClipError} Pictures are missing, damaged, or change their size.
 */
export function paintFrameFolder(request: DecodeRequest, view: ViewInProgress): void {
  const folder = readFrameFolder(request.path, request.listedFrames);
  view.frameCount = folder.count;
  const slots = view.choose(folder.count);
  using decoder = new PictureFileDecoder(folder);
  for (const [frame, places] of slots) {
    decoder.decode(frame, (picture) => view.add(picture, places, turnOf(null), 0n));
  }
}

/** A decoder of still pictures, kept for all pictures of a folder. */
class PictureFileDecoder implements Disposable {
  readonly #context = new CodecContext();
  readonly #packet = new Packet();
  readonly #frame = new Frame();

  constructor(readonly folder: FrameFolder) {
    const codec = Codec.findDecoder(/png/i.test(folder.ending) ? AV_CODEC_ID_PNG : AV_CODEC_ID_MJPEG)!;
    this.#context.allocContext3(codec);
    this.#context.threadCount = 1;
    this.#context.setOption("max_pixels", String(MAX_PIXELS));
    this.#context.setOption("err_detect", "explode"); // patched-up pictures would pass otherwise
    const opened = this.#context.open2Sync(codec);
    if (opened < 0) throw new Error(`libav cannot open its ${codec.name} decoder (${opened})`);
    this.#packet.alloc();
    this.#frame.alloc();
  }

  /** @throws {CorruptClipError} The picture is missing or damaged. */
  decode(number: number, take: (picture: Frame) => void): void {
    const file = pictureFile(this.folder, number);
    this.#packet.data = Buffer.from(Deno.readFileSync(file));
    const sent = this.#context.sendPacketSync(this.#packet);
    this.#packet.unref();
    const code = sent < 0 ? sent : this.#context.receiveFrameSync(this.#frame);
    if (code < 0 || this.#frame.decodeErrorFlags !== 0) {
      throw new CorruptClipError(
        this.folder.path,
        "damaged",
        `${file.split(/[\\/]/).at(-1)} is damaged (libav ${code})`,
      );
    }
    take(this.#frame);
    this.#frame.unref();
  }

  [Symbol.dispose](): void {
    this.#packet.free();
    this.#frame.free();
    this.#context.freeContext();
  }
}
