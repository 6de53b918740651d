/**
 * Opens a video file with libav and lists its packets: the first of the two passes. The path is never taken for a URL or
 * a playlist: only plain container formats and the file protocol are allowed, so that a hostile "video" cannot name other
 * files or hosts.
 */
import { FormatContext, Log, Packet, type Stream } from "node-av/lib";
import {
  AV_CODEC_ID_VP8,
  AV_LOG_QUIET,
  AV_NOPTS_VALUE,
  AV_PKT_DATA_DISPLAYMATRIX,
  AV_PKT_FLAG_CORRUPT,
  AV_PKT_FLAG_DISCARD,
  AVDISCARD_ALL,
  AVERROR_EOF,
  AVMEDIA_TYPE_VIDEO,
  AVSEEK_FLAG_BACKWARD,
} from "node-av/constants";
import { CorruptClipError } from "./decoder.ts";
import { checkEnd, checkFile, CONTAINERS, countsFromStart, type FileExtent } from "./_extent.ts";
import { type Turn, turnOf } from "./_rotation.ts";

/** The packets of a video stream, as listed without decoding. */
export interface PacketIndex {
  /** Packets that will be shown. */
  count: number;
  /** Presentation times in display order, stream time base; null where some are missing, repeat or cannot be. */
  pts: bigint[] | null;
}

/** Places between a picture's packet and its turn at most: what codecs keep. A time further off is wrong. */
const MOST_REORDERING = 16;

/** libav writes to stderr otherwise; reason, code and byte offset are reported instead. */
Log.setLevel(AV_LOG_QUIET);

/** One opened file with its video stream. Free it with `using`. */
export class OpenedVideo implements Disposable {
  readonly #format = new FormatContext();
  readonly #extent: FileExtent;
  readonly path: string;
  readonly streamIndex: number;
  readonly stream: Stream;
  /** Seconds per tick of the stream's clock, as a fraction. */
  readonly timeBase: { num: number; den: number };
  /** How to turn stored pictures. */
  readonly turn: Turn;
  /** The packet last read. */
  readonly packet = new Packet();

  /**
   * @param path A regular file.
   * @throws {CorruptClipError} The file is missing, not a video, cut short, or has no video stream.
   */
  constructor(path: string) {
    this.path = path;
    const extent = this.#extent = checkFile(path);
    this.#format.allocContext();
    this.#format.setOption("protocol_whitelist", "file");
    this.#format.setOption("format_whitelist", CONTAINERS);
    const opened = this.#format.openInputSync(`file:${path}`, null, null);
    if (opened < 0) {
      throw extent.family === null
        ? new CorruptClipError(path, "not-a-video", `no container format fits its content (libav ${opened})`)
        : new CorruptClipError(path, "damaged", `its ${extent.family} container cannot be read (libav ${opened})`);
    }
    try {
      let best = this.#format.findBestStream(AVMEDIA_TYPE_VIDEO);
      if (best < 0 || this.#format.streams[best]!.codecpar.width === 0) {
        // FLV and MPEG-TS tell their streams only by their packets.
        this.#format.findStreamInfoSync(null);
        best = this.#format.findBestStream(AVMEDIA_TYPE_VIDEO);
      }
      if (best < 0) throw new CorruptClipError(path, "no-video-stream", `${this.#format.nbStreams} other streams`);
      this.streamIndex = best;
      const streams = this.#format.streams;
      this.stream = streams[best]!;
      for (const stream of streams) if (stream.index !== best) stream.discard = AVDISCARD_ALL;
      const { num, den } = this.stream.timeBase;
      this.timeBase = { num, den };
      this.turn = turnOf(this.stream.codecpar.getCodedSideData(AV_PKT_DATA_DISPLAYMATRIX));
      this.packet.alloc();
    } catch (error) {
      this.#format.closeInputSync();
      throw error;
    }
  }

  /** Container name as libav calls it. */
  get container(): string {
    return this.#format.iformat?.name ?? "unknown";
  }

  /**
   * Reads the next packet of the video stream into `packet`; release it with `packet.unref()`.
   *
   * @returns False at the end of the file.
   * @throws {CorruptClipError} The container is damaged here.
   */
  read(): boolean {
    for (;;) {
      const code = this.#format.readFrameSync(this.packet);
      if (code === AVERROR_EOF) return false;
      if (code < 0) {
        throw new CorruptClipError(this.path, "damaged", `reading a packet failed (libav ${code})`, this.#position());
      }
      if (this.packet.streamIndex === this.streamIndex) return true;
      this.packet.unref();
    }
  }

  /** Moves to the key frame at or before a time. @returns False where the container cannot. */
  seek(pts: bigint): boolean {
    return this.#format.seekFrameSync(this.streamIndex, pts, AVSEEK_FLAG_BACKWARD) >= 0;
  }

  /**
   * Lists all packets; the file is at its end afterwards.
   *
   * @throws {CorruptClipError} The stream is damaged, cut short or empty.
   */
  index(): PacketIndex {
    const pts: bigint[] = [];
    const hidden = this.stream.codecpar.codecId === AV_CODEC_ID_VP8;
    let count = 0;
    let end = 0n;
    while (this.read()) {
      const packet = this.packet;
      const flags = packet.flags;
      if ((flags & AV_PKT_FLAG_CORRUPT) !== 0) {
        throw new CorruptClipError(this.path, "truncated", `packet ${count} is incomplete`, this.#position());
      }
      // VP8 keeps reference pictures that are never shown in packets of their own: bit 4 of the first byte tells.
      const shown = (flags & AV_PKT_FLAG_DISCARD) === 0 && !(hidden && ((packet.data?.[0] ?? 0x10) & 0x10) === 0);
      if (shown) {
        count++;
        const time = packet.pts;
        if (time !== AV_NOPTS_VALUE) {
          pts.push(time);
          if (time + packet.duration > end) end = time + packet.duration;
        }
      }
      packet.unref();
    }
    if (count === 0) throw new CorruptClipError(this.path, "too-short", "its video stream has no picture");
    this.#checkEnd(end, count);
    if (pts.length < count) return { count, pts: null };
    const sorted = pts.map((time, sent) => ({ time, sent })).sort((a, b) =>
      a.time < b.time ? -1 : a.time > b.time ? 1 : 0
    );
    const usable = sorted.every(({ time, sent }, shown) =>
      Math.abs(sent - shown) <= MOST_REORDERING && (shown === 0 || time > sorted[shown - 1]!.time)
    );
    return { count, pts: usable ? sorted.map(({ time }) => time) : null };
  }

  [Symbol.dispose](): void {
    this.packet.free();
    this.#format.closeInputSync();
  }

  /**
   * A file that holds only video must last as long as its container says. With sound the container's duration may be
   * the sound's, which often runs longer.
   */
  #checkEnd(end: bigint, count: number): void {
    const declared = this.#format.duration;
    if (declared === AV_NOPTS_VALUE || declared <= 0n || end <= 0n || this.#format.nbStreams !== 1) return;
    const known = countsFromStart(this.#extent) && this.stream.startTime !== AV_NOPTS_VALUE;
    const start = known ? this.stream.startTime : 0n;
    const seconds = Number(end - start) * this.timeBase.num / this.timeBase.den;
    checkEnd(this.path, seconds, Number(declared) / 1e6, count);
  }

  #position(): number | null {
    const position = Number(this.packet.pos);
    return position >= 0 ? position : null;
  }
}
