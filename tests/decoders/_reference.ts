/**
 * An independent way to the same pictures: a plain sequential decode of the whole file with no seek, no skipping and no
 * packet list, every picture through libav's filter graph. Slow and simple on purpose.
 */
import { Codec, CodecContext, Filter, FilterGraph, FormatContext, Frame, Packet } from "node-av/lib";
import { AVMEDIA_TYPE_VIDEO } from "node-av/constants";

export interface ReferenceOptions {
  /** Filters before the scaling, "" for none. */
  before: string;
  /** Size after the scaling, pixels. */
  width: number;
  height: number;
  /** Receives the times of the pictures, stream time base. */
  times?: bigint[];
}

/** All pictures of a file as interleaved RGB, [height, width, 3] each. */
export function sequentialPictures(path: string, options: ReferenceOptions): Uint8Array[] {
  const format = new FormatContext();
  if (format.openInputSync(path, null, null) < 0) throw new Error(`Cannot open ${path}`);
  format.findStreamInfoSync(null);
  const index = format.findBestStream(AVMEDIA_TYPE_VIDEO);
  const parameters = format.streams[index]!.codecpar;
  const codec = Codec.findDecoder(parameters.codecId)!;
  const context = new CodecContext();
  context.allocContext3(codec);
  context.parametersToContext(parameters);
  context.threadCount = 1;
  context.open2Sync(codec, null);

  const packet = new Packet();
  packet.alloc();
  const frame = new Frame();
  frame.alloc();
  const pictures: Uint8Array[] = [];
  let convert: ((frame: Frame) => Uint8Array) | null = null;
  const receive = () => {
    while (context.receiveFrameSync(frame) >= 0) {
      convert ??= converter(frame, options);
      options.times?.push(frame.bestEffortTimestamp); // before the filters take the frame
      pictures.push(convert(frame));
      frame.unref();
    }
  };
  while (format.readFrameSync(packet) >= 0) {
    if (packet.streamIndex === index) {
      context.sendPacketSync(packet);
      receive();
    }
    packet.unref();
  }
  context.sendPacketSync(null);
  receive();
  packet.free();
  frame.free();
  context.freeContext();
  format.closeInputSync();
  return pictures;
}

function converter(first: Frame, { before, width, height }: ReferenceOptions): (frame: Frame) => Uint8Array {
  const graph = new FilterGraph();
  graph.alloc();
  const source = graph.createFilter(
    Filter.getByName("buffer")!,
    "in",
    `video_size=${first.width}x${first.height}:pix_fmt=${first.format}:time_base=1/1:pixel_aspect=1/1` +
      `:colorspace=${first.colorSpace}:range=${first.colorRange}`,
  )!;
  const sink = graph.createFilter(Filter.getByName("buffersink")!, "out", null)!;
  const chain = `${before},scale=${width}:${height}:flags=bilinear+accurate_rnd,format=gbrp,format=rgb24`.replace(
    /^,/,
    "",
  );
  let last = source;
  for (const [i, part] of chain.split(",").entries()) {
    const at = part.indexOf("=");
    const [name, settings] = at < 0 ? [part, null] : [part.slice(0, at), part.slice(at + 1)];
    const filter = graph.createFilter(Filter.getByName(name)!, `f${i}`, settings)!;
    if (last.link(0, filter, 0) < 0) throw new Error(`Cannot link ${part}`);
    last = filter;
  }
  last.link(0, sink, 0);
  if (graph.configSync() < 0) throw new Error(`Cannot configure ${chain}`);
  const out = new Frame();
  out.alloc();
  return (frame) => {
    source.buffersrcAddFrameSync(frame);
    if (sink.buffersinkGetFrameSync(out) < 0) throw new Error("no picture from the graph");
    const rgb = new Uint8Array(width * height * 3);
    for (let y = 0; y < height; y++) {
      const from = y * out.linesize[0]!;
      rgb.set(out.data![0]!.subarray(from, from + width * 3), y * width * 3);
    }
    out.unref();
    return rgb;
  };
}

/** A window of an interleaved RGB picture. */
export function cut(rgb: Uint8Array, width: number, left: number, top: number, size: number): Uint8Array {
  const out = new Uint8Array(size * size * 3);
  for (let y = 0; y < size; y++) {
    const from = ((top + y) * width + left) * 3;
    out.set(rgb.subarray(from, from + size * 3), y * size * 3);
  }
  return out;
}
