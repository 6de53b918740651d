/** Folders of JPEG pictures that the tests make. */
import { Codec, CodecContext, Frame, Log, Packet, Rational, SoftwareScaleContext } from "node-av/lib";
import { Buffer } from "node:buffer";
import { AV_LOG_QUIET, AV_PIX_FMT_RGB24, AV_PIX_FMT_YUVJ420P, AVCOL_RANGE_JPEG, SWS_BILINEAR } from "node-av/constants";
import { numberedPicture } from "./_clips.ts";

Log.setLevel(AV_LOG_QUIET);

/** @returns A picture as a JPEG file. @param rgb [height, width, 3], uint8; sizes even. */
export function jpeg(rgb: Uint8Array, width: number, height: number): Uint8Array<ArrayBuffer> {
  const codec = Codec.findEncoderByName("mjpeg" as Parameters<typeof Codec.findEncoderByName>[0])!;
  const context = new CodecContext(), frame = new Frame(), packet = new Packet(), scaler = new SoftwareScaleContext();
  context.allocContext3(codec);
  context.width = width;
  context.height = height;
  context.pixelFormat = AV_PIX_FMT_YUVJ420P;
  context.timeBase = new Rational(1, 25);
  context.colorRange = AVCOL_RANGE_JPEG;
  context.setOption("qmin", "1");
  context.setOption("qmax", "1");
  if (context.open2Sync(codec) < 0) throw new Error("libav cannot open its JPEG encoder");
  frame.alloc();
  packet.alloc();
  frame.width = width;
  frame.height = height;
  frame.format = AV_PIX_FMT_YUVJ420P;
  frame.colorRange = AVCOL_RANGE_JPEG;
  frame.pts = 0n;
  frame.getBuffer(0);
  scaler.getContext(width, height, AV_PIX_FMT_RGB24, width, height, AV_PIX_FMT_YUVJ420P, SWS_BILINEAR);
  scaler.scaleSync([Buffer.from(rgb)], [width * 3], 0, height, frame.data!, frame.linesize);
  context.sendFrameSync(frame);
  context.sendFrameSync(null);
  if (context.receivePacketSync(packet) < 0) throw new Error("libav made no JPEG picture");
  const bytes = new Uint8Array(packet.data!);
  packet.free();
  frame.free();
  scaler.freeContext();
  context.freeContext();
  return bytes;
}

/** Makes a folder of numbered pictures `img_00001.jpg` and so on. @returns Its path. */
export function makeFrameFolder(path: string, count: number, { first = 1, width = 64, height = 48 } = {}): string {
  Deno.mkdirSync(path, { recursive: true });
  for (let i = 0; i < count; i++) {
    const name = `img_${String(first + i).padStart(5, "0")}.jpg`;
    Deno.writeFileSync(`${path}/${name}`, jpeg(numberedPicture(i, width, height), width, height));
  }
  return path;
}
