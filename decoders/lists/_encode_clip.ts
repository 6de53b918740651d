/**
 * Writes a small clip as a real video file through libav's encoders, in this process: VP9 in WebM or H.264 in MP4 by the
 * ending of the name. One thread and bit-exact flags, so that the same pictures always give the same bytes.
 */
import { Codec, CodecContext, FormatContext, Frame, Log, Packet, Rational, SoftwareScaleContext } from "node-av/lib";
import { Buffer } from "node:buffer";
import {
  AV_CODEC_FLAG_BITEXACT,
  AV_CODEC_FLAG_GLOBAL_HEADER,
  AV_LOG_QUIET,
  AV_OPT_SEARCH_CHILDREN,
  AV_OPT_TYPE_STRING,
  AV_PIX_FMT_RGB24,
  AV_PIX_FMT_YUV420P,
  AVFMT_FLAG_BITEXACT,
  SWS_BILINEAR,
} from "node-av/constants";

Log.setLevel(AV_LOG_QUIET);

/** What to encode. */
export interface EncodeOptions {
  /** Picture size, pixels, even. */
  width: number;
  height: number;
  /** Pictures a second, a whole number. */
  fps: number;
  /** "vp9" goes into .webm, "h264" into .mp4, "mpeg4" into .avi. */
  codec: "vp9" | "h264" | "mpeg4";
  /** Encoder settings that replace the near-lossless defaults, as libav names them. */
  settings?: Record<string, string>;
}

const CODECS = {
  vp9: {
    encoder: "libvpx-vp9",
    container: "webm",
    settings: { deadline: "realtime", "cpu-used": "8", crf: "16", b: "0", "row-mt": "0", "lag-in-frames": "0" },
  },
  h264: {
    encoder: "libx264",
    container: "mp4",
    settings: { preset: "veryfast", crf: "16", "x264-params": "log-level=none" },
  },
  mpeg4: { encoder: "mpeg4", container: "avi", settings: { qmin: "2", qmax: "2" } },
} as const;

/**
 * Encodes pictures to a file.
 *
 * @param path Where; replaced if present.
 * @param pictures Interleaved RGB, each [height, width, 3], uint8, in order.
 * @param options Size, rate, codec.
 * @throws {RangeError} A size is odd, or a picture has another size.
 * @throws {Error} libav refuses: the message says which call.
 */
export function encodeClip(path: string, pictures: Iterable<Uint8Array>, options: EncodeOptions): void {
  const { width, height } = options;
  if (width % 2 !== 0 || height % 2 !== 0) {
    throw new RangeError(`Clips are encoded at half colour resolution: ${width}x${height} must be even`);
  }
  const { encoder, container, settings } = CODECS[options.codec];
  using output = new Output(path, container);
  using scaler = new SoftwareScaleContext();
  scaler.getContext(width, height, AV_PIX_FMT_RGB24, width, height, AV_PIX_FMT_YUV420P, SWS_BILINEAR);
  output.begin(encoder, options, { ...settings, ...options.settings });
  let number = 0n;
  for (const picture of pictures) {
    if (picture.length !== width * height * 3) {
      throw new RangeError(`Picture ${number} has ${picture.length} bytes, expected ${width * height * 3}`);
    }
    const frame = new Frame();
    frame.alloc();
    frame.width = width;
    frame.height = height;
    frame.format = AV_PIX_FMT_YUV420P;
    must(frame.getBuffer(), "making a picture");
    const rgb = Buffer.from(picture.buffer, picture.byteOffset, picture.length);
    scaler.scaleSync([rgb], [width * 3], 0, height, frame.data!, frame.linesize);
    frame.pts = number++;
    frame.duration = 1n;
    output.encode(frame);
    frame.free();
  }
  output.finish();
}

class Output implements Disposable {
  readonly #format = new FormatContext();
  readonly #context = new CodecContext();
  readonly #packet = new Packet();
  #open = false;

  constructor(path: string, container: string) {
    this.#format.allocOutputContext2(null, container, `file:${path}`);
    this.#format.setFlags(AVFMT_FLAG_BITEXACT);
    this.#packet.alloc();
  }

  begin(encoder: string, { width, height, fps }: EncodeOptions, settings: Record<string, string>): void {
    const codec = Codec.findEncoderByName(encoder as Parameters<typeof Codec.findEncoderByName>[0]);
    if (codec === null) throw new Error(`This libav has no encoder ${encoder}`);
    const context = this.#context;
    context.allocContext3(codec);
    context.width = width;
    context.height = height;
    context.pixelFormat = AV_PIX_FMT_YUV420P;
    context.timeBase = ratio(1, fps);
    context.framerate = ratio(fps, 1);
    context.threadCount = 1;
    context.setFlags(AV_CODEC_FLAG_BITEXACT, AV_CODEC_FLAG_GLOBAL_HEADER);
    for (const [name, value] of Object.entries(settings)) {
      must(context.setOption(name, value, AV_OPT_TYPE_STRING, AV_OPT_SEARCH_CHILDREN), `setting ${name}=${value}`);
    }
    must(context.open2Sync(codec, null), `opening ${encoder}`);
    const stream = this.#format.newStream(null);
    must(context.parametersFromContext(stream.codecpar), "copying parameters");
    stream.timeBase = ratio(1, fps);
    stream.avgFrameRate = ratio(fps, 1);
    must(this.#format.openOutputSync(), "creating the file");
    this.#open = true;
    must(this.#format.writeHeaderSync(null), "writing the header");
  }

  encode(frame: Frame | null): void {
    must(this.#context.sendFrameSync(frame), "encoding");
    const stream = this.#format.streams[0]!;
    while (this.#context.receivePacketSync(this.#packet) >= 0) {
      this.#packet.streamIndex = 0;
      if (this.#packet.duration <= 0n) this.#packet.duration = 1n;
      this.#packet.rescaleTs(this.#context.timeBase, stream.timeBase);
      must(this.#format.interleavedWriteFrameSync(this.#packet), "writing a packet");
      this.#packet.unref();
    }
  }

  finish(): void {
    this.encode(null);
    must(this.#format.writeTrailerSync(), "writing the end");
  }

  [Symbol.dispose](): void {
    this.#packet.free();
    this.#context.freeContext();
    if (this.#open) this.#format.closeOutputSync();
    this.#format.freeContext();
  }
}

function ratio(num: number, den: number): Rational {
  return new Rational(num, den);
}

function must(code: number, doing: string): void {
  if (code < 0) throw new Error(`libav failed while ${doing} (${code})`);
}
