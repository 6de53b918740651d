/** Decodes still pictures with libav in this process, each as a packet of its own. */
import { Buffer } from "node:buffer";
import { Codec, CodecContext, Frame, Packet } from "node-av/lib";
import { AV_CODEC_ID_BMP, AV_CODEC_ID_MJPEG, AV_CODEC_ID_PNG, AV_CODEC_ID_WEBP } from "node-av/constants";
import { CorruptClipError, MAX_PIXELS } from "./decoder.ts";
import type { PictureKind } from "./_picture_file.ts";

const CODECS = { jpeg: AV_CODEC_ID_MJPEG, png: AV_CODEC_ID_PNG, webp: AV_CODEC_ID_WEBP, bmp: AV_CODEC_ID_BMP } as const;

/** A decoder of pictures of one kind. Free it with `using`. */
export class StillDecoder implements Disposable {
  readonly #context = new CodecContext();
  readonly #packet = new Packet();
  readonly #frame = new Frame();

  /**
   * @param clip The clip, for messages.
   * @param kind Of its pictures.
   */
  constructor(readonly clip: string, kind: PictureKind) {
    const codec = Codec.findDecoder(CODECS[kind]);
    if (codec === null) throw new CorruptClipError(clip, "unsupported-codec", `this libav has no decoder for ${kind}`);
    this.#context.allocContext3(codec);
    this.#context.threadCount = 1;
    this.#context.setOption("max_pixels", String(MAX_PIXELS));
    this.#context.setOption("err_detect", "explode"); // patched-up pictures would pass otherwise
    const opened = this.#context.open2Sync(codec);
    if (opened < 0) throw new Error(`libav cannot open its ${codec.name} decoder (${opened})`);
    this.#packet.alloc();
    this.#frame.alloc();
  }

  /**
   * @param name The picture, for messages.
   * @param bytes Its file.
   * @param take Receives it; it must not keep the frame.
   * @throws {CorruptClipError} It is damaged.
   */
  decode(name: string, bytes: Uint8Array<ArrayBuffer>, take: (picture: Frame) => void): void {
    this.#packet.data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    const sent = this.#context.sendPacketSync(this.#packet);
    this.#packet.unref();
    const code = sent < 0 ? sent : this.#context.receiveFrameSync(this.#frame);
    if (code < 0 || this.#frame.decodeErrorFlags !== 0) {
      throw new CorruptClipError(this.clip, "damaged", `${name} is damaged (libav ${code})`);
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
