/** Clips that are unlike the usual ones: odd sizes, deep colour, uneven times, other tags, turned, cut by an edit list. */
import { Codec, CodecContext, FormatContext, Frame, Packet, Rational } from "node-av/lib";
import { AV_CODEC_FLAG_GLOBAL_HEADER, AV_OPT_SEARCH_CHILDREN, AV_OPT_TYPE_STRING } from "node-av/constants";
import {
  AV_PIX_FMT_YUV420P,
  AV_PIX_FMT_YUV420P10LE,
  AV_PIX_FMT_YUV444P,
  AVCOL_RANGE_JPEG,
  AVCOL_SPC_BT709,
} from "node-av/constants";

export interface OddClip {
  encoder: "libx264" | "libvpx-vp9";
  width: number;
  height: number;
  /** Times of the pictures, milliseconds, ascending. */
  times: number[];
  pixels?: "420" | "420p10" | "444";
  /** BT.709, full range. */
  tagged?: boolean;
  /** Shape of a pixel, width to height. */
  aspect?: [number, number];
  settings?: Record<string, string>;
  /** Settings of the container. */
  muxer?: Record<string, string>;
}

const FORMATS = { "420": AV_PIX_FMT_YUV420P, "420p10": AV_PIX_FMT_YUV420P10LE, "444": AV_PIX_FMT_YUV444P } as const;

/** Writes a clip of moving gradients. @returns Its path. */
export function makeOddClip(path: string, clip: OddClip): string {
  const { encoder, width, height, times, pixels = "420", settings = {} } = clip;
  const format = new FormatContext();
  format.allocOutputContext2(null, null, `file:${path}`);
  const codec = Codec.findEncoderByName(encoder as Parameters<typeof Codec.findEncoderByName>[0])!;
  const context = new CodecContext();
  context.allocContext3(codec);
  Object.assign(context, { width, height, pixelFormat: FORMATS[pixels], threadCount: 1 });
  context.timeBase = new Rational(1, 1000);
  context.framerate = new Rational(25, 1);
  if (clip.tagged) Object.assign(context, { colorSpace: AVCOL_SPC_BT709, colorRange: AVCOL_RANGE_JPEG });
  if (clip.aspect) context.sampleAspectRatio = new Rational(...clip.aspect);
  context.setFlags(AV_CODEC_FLAG_GLOBAL_HEADER);
  const own: Record<string, string> = encoder === "libx264"
    ? { preset: "veryfast", crf: "12", "x264-params": "log-level=none" }
    : { deadline: "realtime", "cpu-used": "8", crf: "12", b: "0", "lag-in-frames": "0" };
  for (const [name, value] of Object.entries({ ...own, ...settings })) {
    must(context.setOption(name, value, AV_OPT_TYPE_STRING, AV_OPT_SEARCH_CHILDREN), `${name}=${value}`);
  }
  must(context.open2Sync(codec, null), encoder);
  const stream = format.newStream(null);
  context.parametersFromContext(stream.codecpar);
  stream.timeBase = new Rational(1, 1000);
  must(format.openOutputSync(), "creating");
  for (const [name, value] of Object.entries(clip.muxer ?? {})) {
    must(format.setOption(name, value, AV_OPT_TYPE_STRING, AV_OPT_SEARCH_CHILDREN), `${name}=${value}`);
  }
  must(format.writeHeaderSync(null), "header");
  const packet = new Packet();
  packet.alloc();
  const lasting = new Map(times.slice(1).map((time, i) => [BigInt(times[i]!), BigInt(time - times[i]!)]));
  const encode = (frame: Frame | null) => {
    must(context.sendFrameSync(frame), "encoding");
    while (context.receivePacketSync(packet) >= 0) {
      packet.streamIndex = 0;
      packet.duration = lasting.get(packet.pts) ?? 40n;
      packet.rescaleTs(context.timeBase, format.streams[0]!.timeBase);
      must(format.interleavedWriteFrameSync(packet), "writing");
      packet.unref();
    }
  };
  times.forEach((time, number) => {
    const frame = new Frame();
    frame.alloc();
    Object.assign(frame, { width, height, format: FORMATS[pixels] });
    must(frame.getBuffer(), "a picture");
    const deep = pixels === "420p10";
    frame.data!.forEach((plane, p) => {
      const rows = p > 0 && pixels !== "444" ? Math.ceil(height / 2) : height;
      const columns = p > 0 && pixels !== "444" ? Math.ceil(width / 2) : width;
      const view = new DataView(plane.buffer, plane.byteOffset, plane.byteLength);
      for (let y = 0; y < rows; y++) {
        for (let x = 0; x < columns; x++) {
          const value = 16 + (x * (3 + p) + y * (7 - p) + number * (11 + 5 * p)) % 220;
          if (deep) view.setUint16(y * frame.linesize[p]! + 2 * x, value * 4 + number % 4, true);
          else view.setUint8(y * frame.linesize[p]! + x, value);
        }
      }
    });
    frame.pts = BigInt(time);
    encode(frame);
    frame.free();
  });
  encode(null);
  must(format.writeTrailerSync(), "trailer");
  packet.free();
  context.freeContext();
  format.closeOutputSync();
  format.freeContext();
  return path;
}

/** Even times. */
export function evenly(count: number, stepMs = 40): number[] {
  return Array.from({ length: count }, (_, i) => i * stepMs);
}

/** Turns the pictures of an MP4 by its display matrix, `[a, b, c, d]` of whole numbers. */
export function turnClip(path: string, [a, b, c, d]: [number, number, number, number]): string {
  return patch(path, "tkhd", (view, at) => {
    [a, b, 0, c, d, 0, 0, 0].forEach((value, i) => view.setInt32(at + 44 + 4 * i, value * 65536));
  });
}

/** Makes an MP4's only edit begin `ticks` of the media clock later. */
export function trimStart(path: string, ticks: number): string {
  return patch(path, "elst", (view, at) => view.setInt32(at + 16, view.getInt32(at + 16) + ticks));
}

function patch(path: string, box: string, change: (view: DataView, at: number) => void): string {
  const bytes = Deno.readFileSync(path);
  const at = new TextDecoder("latin1").decode(bytes).indexOf(box);
  if (at < 0) throw new Error(`${path} has no box ${box}`);
  change(new DataView(bytes.buffer), at);
  Deno.writeFileSync(path, bytes);
  return path;
}

function must(code: number, doing: string): void {
  if (code < 0) throw new Error(`libav refuses ${doing} (${code})`);
}
