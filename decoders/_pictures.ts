/**
 * Decodes the wanted pictures of an opened video: the second pass. By time: one seek to the key frame before the first
 * wanted picture, pictures nobody refers to are skipped, no packet is decoded after the last wanted one. By count: the
 * whole file from its start, for files whose times are missing or do not hold. Both give the pictures of a plain
 * sequential decode.
 */
import { Codec, CodecContext, Frame } from "node-av/lib";
import { AV_FRAME_FLAG_CORRUPT, AV_FRAME_FLAG_INTERLACED, AV_NOPTS_VALUE } from "node-av/constants";
import { CorruptClipError, MAX_PIXELS } from "./decoder.ts";
import type { OpenedVideo } from "./_demux.ts";

/** Wrong data that the decoder met. */
export interface Damage {
  text: string;
  byteOffset: number | null;
}

/** Called with a decoded picture; it must not keep the frame. */
export type OnPicture<Key> = (picture: Frame, key: Key) => void;

/**
 * Decodes pictures by their presentation times.
 *
 * @param video Just listed or opened; its reading position is moved.
 * @param wanted Times, ascending, without repeats.
 * @param onPicture Called once for each wanted time that came, in display order.
 * @returns The first damage met, or a note that a wanted picture never came; null where all is well.
 */
export function decodeByTime(
  video: OpenedVideo,
  wanted: readonly bigint[],
  onPicture: OnPicture<bigint>,
): Damage | null {
  if (!video.seek(wanted[0]!)) return { text: "the container cannot seek", byteOffset: null };
  using decoder = new PictureDecoder(video);
  const missing = new Set(wanted);
  const unsent = new Set(wanted);
  let fields = false;
  let disorder = false;
  let last: bigint | null = null;
  const take = (picture: Frame) => {
    fields ||= (picture.flags & AV_FRAME_FLAG_INTERLACED) !== 0;
    const time = picture.bestEffortTimestamp;
    disorder ||= last !== null && time <= last;
    last = time;
    if (missing.delete(time)) onPicture(picture, time);
  };
  while (unsent.size > 0 && !fields && !disorder && video.read()) {
    const packet = video.packet;
    decoder.skipUnreferenced(!unsent.delete(packet.pts));
    decoder.send(take);
    packet.unref();
    if (decoder.damage !== null) return decoder.damage;
  }
  // What is held back comes out of it: packets after the last wanted one would only push it along.
  decoder.finish(take);
  if (decoder.damage !== null) return decoder.damage;
  // The second half of a picture may lie in a packet of its own, which was skipped.
  if (fields) return { text: "its pictures consist of two fields", byteOffset: null };
  if (disorder) return { text: "its pictures come in another order than their times", byteOffset: null };
  return missing.size === 0 ? null : { text: `${missing.size} listed pictures did not come out`, byteOffset: null };
}

/**
 * Decodes the whole file and counts pictures.
 *
 * @param video Freshly opened.
 * @param onPicture Called for every picture with its number in display order.
 * @returns How many pictures came.
 * @throws {CorruptClipError} The decoder met wrong data.
 */
export function decodeByCount(video: OpenedVideo, onPicture: OnPicture<number>): number {
  using decoder = new PictureDecoder(video);
  let count = 0;
  const take = (picture: Frame) => onPicture(picture, count++);
  while (video.read()) {
    decoder.send(take);
    video.packet.unref();
    decoder.check(video.path);
  }
  decoder.finish(take);
  decoder.check(video.path);
  return count;
}

/** Time of a picture, or null where the stream has none. */
export function pictureTime(picture: Frame): bigint | null {
  const time = picture.bestEffortTimestamp;
  return time === AV_NOPTS_VALUE ? null : time;
}

/** A codec context with its frame. One thread: clips are decoded in parallel, not pictures. */
class PictureDecoder implements Disposable {
  readonly #video: OpenedVideo;
  readonly #context = new CodecContext();
  readonly #frame = new Frame();
  #skipping = false;
  damage: Damage | null = null;

  constructor(video: OpenedVideo) {
    this.#video = video;
    const parameters = video.stream.codecpar;
    const codec = Codec.findDecoder(parameters.codecId);
    if (codec === null) {
      throw new CorruptClipError(video.path, "unsupported-codec", `no decoder for codec ${parameters.codecId}`);
    }
    this.#context.allocContext3(codec);
    this.#context.parametersToContext(parameters);
    this.#context.threadCount = 1;
    this.#context.pktTimebase = video.stream.timeBase;
    this.#context.setOption("max_pixels", String(MAX_PIXELS));
    const opened = this.#context.open2Sync(codec);
    if (opened < 0) {
      this.#context.freeContext();
      const size = `${parameters.width}x${parameters.height}`;
      throw new CorruptClipError(
        video.path,
        "unsupported-codec",
        `the ${codec.name} decoder refuses the stream of ${size} pixels (libav ${opened})`,
      );
    }
    this.#frame.alloc();
  }

  /** Lets the decoder leave out pictures that no other picture needs. Decoded pictures stay the same to the bit. */
  skipUnreferenced(skip: boolean): void {
    if (skip === this.#skipping) return;
    this.#skipping = skip;
    this.#context.setOption("skip_frame", skip ? "noref" : "default");
  }

  /** Decodes the video's current packet. */
  send(take: (picture: Frame) => void): void {
    const code = this.#context.sendPacketSync(this.#video.packet);
    if (code < 0) this.#report(`a packet cannot be decoded (libav ${code})`);
    this.#receive(take);
  }

  /** Decodes what is still held back. */
  finish(take: (picture: Frame) => void): void {
    this.#context.sendPacketSync(null);
    this.#receive(take);
  }

  /** @throws {CorruptClipError} Damage was met. */
  check(path: string): void {
    if (this.damage !== null) throw new CorruptClipError(path, "damaged", this.damage.text, this.damage.byteOffset);
  }

  [Symbol.dispose](): void {
    this.#frame.free();
    this.#context.freeContext();
  }

  #receive(take: (picture: Frame) => void): void {
    while (this.#context.receiveFrameSync(this.#frame) >= 0) {
      const frame = this.#frame;
      if (frame.decodeErrorFlags !== 0 || (frame.flags & AV_FRAME_FLAG_CORRUPT) !== 0) {
        this.#report("a picture has wrong data");
      }
      take(frame);
      frame.unref();
    }
  }

  #report(text: string): void {
    const position = Number(this.#video.packet.pos);
    this.damage ??= { text, byteOffset: position >= 0 ? position : null };
  }
}
