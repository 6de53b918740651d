/**
 * Turns decoded pictures into cubes with libav's scaler. Crop and resize go to planar RGB (`gbrp`), which is unbiased and
 * cheaper than packed RGB; the small result is then cut into cubes.
 *
 * The scaler called directly assumes BT.601, limited range and no rotation. It is used only where that holds, the filter
 * graph (which reads the tags, as the ffmpeg command does) otherwise; both give the same bytes where both apply.
 */
import { Buffer } from "node:buffer";
import { Filter, type FilterContext, FilterGraph, Frame, SoftwareScaleContext } from "node-av/lib";
import {
  AV_BUFFERSRC_FLAG_KEEP_REF,
  AV_PIX_FMT_GBRP,
  AV_PIX_FMT_YUV420P,
  AVCOL_RANGE_JPEG,
  AVCOL_SPC_BT470BG,
  AVCOL_SPC_SMPTE170M,
  AVCOL_SPC_UNSPECIFIED,
  SWS_ACCURATE_RND,
  SWS_BILINEAR,
} from "node-av/constants";
import type { CropPlan } from "./crops.ts";
import { type CubeLayout, cutPlanes } from "./cubes.ts";
import { evenBox, filterChain } from "./_filters.ts";
import type { Turn } from "./_rotation.ts";

/** As in {@linkcode filterChain}. */
const SCALING = (SWS_BILINEAR | SWS_ACCURATE_RND) as typeof SWS_BILINEAR;

/** Bytes behind each plane that vector code of the scaler may touch. */
const GUARD = 64;

/**
 * Collects the resized pictures of one view as planes [T * scaledHeight, stride] and cuts them into cubes. Buffers and
 * scalers are kept from clip to clip where sizes allow.
 */
export class ViewPainter implements Disposable {
  #memory = Buffer.alloc(0);
  #planes: Buffer[] = [];
  #stride = 0;
  #plan: CropPlan | null = null;
  #direct: { key: string; scaler: SoftwareScaleContext } | null = null;
  #graph: PictureGraph | null = null;

  /** Prepares for the pictures of one view. */
  begin(plan: CropPlan, frames: number): void {
    this.#plan = plan;
    this.#stride = Math.ceil(plan.scaledWidth / 64) * 64;
    const planeBytes = frames * plan.scaledHeight * this.#stride + GUARD;
    if (this.#memory.length < 3 * planeBytes) this.#memory = Buffer.alloc(3 * planeBytes);
    this.#planes = [0, 1, 2].map((i) => this.#memory.subarray(i * planeBytes, (i + 1) * planeBytes));
  }

  /**
   * Crops and resizes one picture into the places of some frames.
   *
   * @param picture As decoded.
   * @param turn How to turn it first.
   * @param plan What to cut, in the turned picture; may differ from picture to picture in its box only.
   * @param slots Frames of the view that show this picture.
   */
  paint(picture: Frame, turn: Turn, plan: CropPlan, slots: readonly number[]): void {
    const first = slots[0]!;
    if (scalesDirectly(picture, turn)) this.#paintDirectly(picture, plan, first);
    else this.#paintByGraph(picture, turn, plan, first);
    const bytes = plan.scaledHeight * this.#stride;
    for (const slot of slots.slice(1)) {
      for (const plane of this.#planes) plane.copyWithin(slot * bytes, first * bytes, (first + 1) * bytes);
    }
  }

  /** Cuts the window of all frames into cubes, [tokens, bytesPerToken]. */
  finish(layout: CubeLayout, cubes: Uint8Array): void {
    const { scaledHeight: rows, left, top, mirrored } = this.#plan!;
    const [green, blue, red] = this.#planes as [Buffer, Buffer, Buffer];
    if (mirrored) this.#mirror(layout);
    cutPlanes({ red, green, blue, stride: this.#stride, rows, left, top }, layout, cubes);
  }

  #mirror({ frames, width, height }: CubeLayout): void {
    const { scaledHeight, left, top } = this.#plan!;
    for (const plane of this.#planes) {
      for (let frame = 0; frame < frames; frame++) {
        for (let y = 0; y < height; y++) {
          const from = (frame * scaledHeight + top + y) * this.#stride + left;
          plane.subarray(from, from + width).reverse();
        }
      }
    }
  }

  [Symbol.dispose](): void {
    this.#direct?.scaler.freeContext();
    this.#graph?.[Symbol.dispose]();
    this.#direct = this.#graph = null;
  }

  #paintDirectly(picture: Frame, plan: CropPlan, slot: number): void {
    const box = evenBox(plan).box;
    const key = `${box.width} ${box.height} ${plan.scaledWidth} ${plan.scaledHeight}`;
    if (this.#direct?.key !== key) {
      this.#direct?.scaler.freeContext();
      const scaler = new SoftwareScaleContext();
      scaler.getContext(
        box.width,
        box.height,
        AV_PIX_FMT_YUV420P,
        plan.scaledWidth,
        plan.scaledHeight,
        AV_PIX_FMT_GBRP,
        SCALING,
      );
      this.#direct = { key, scaler };
    }
    const data = picture.data!;
    const lines = picture.linesize;
    const corner = (plane: number, shift: number) =>
      data[plane]!.subarray((box.y >> shift) * lines[plane]! + (box.x >> shift));
    const at = slot * plan.scaledHeight * this.#stride;
    this.#direct.scaler.scaleSync(
      [corner(0, 0), corner(1, 1), corner(2, 1)],
      [lines[0]!, lines[1]!, lines[2]!],
      0,
      box.height,
      this.#planes.map((plane) => plane.subarray(at)),
      [this.#stride, this.#stride, this.#stride],
    );
  }

  #paintByGraph(picture: Frame, turn: Turn, plan: CropPlan, slot: number): void {
    const key = graphKey(picture, turn, plan);
    if (this.#graph?.key !== key) {
      this.#graph?.[Symbol.dispose]();
      this.#graph = null;
      this.#graph = new PictureGraph(key, picture, turn, plan);
    }
    this.#graph.run(picture, (scaled) => {
      const data = scaled.data!;
      const lines = scaled.linesize;
      const at = slot * plan.scaledHeight * this.#stride;
      this.#planes.forEach((plane, i) => {
        for (let y = 0; y < plan.scaledHeight; y++) {
          const from = y * lines[i]!;
          plane.set(data[i]!.subarray(from, from + plan.scaledWidth), at + y * this.#stride);
        }
      });
    });
  }
}

/** Whether the scaler's assumptions hold: 8-bit 4:2:0, BT.601 or untagged, limited range, not turned. */
function scalesDirectly(picture: Frame, turn: Turn): boolean {
  const space = picture.colorSpace;
  return turn.filter === "" && picture.format === AV_PIX_FMT_YUV420P && picture.colorRange !== AVCOL_RANGE_JPEG &&
    (space === AVCOL_SPC_UNSPECIFIED || space === AVCOL_SPC_BT470BG || space === AVCOL_SPC_SMPTE170M);
}

function graphKey(picture: Frame, turn: Turn, plan: CropPlan): string {
  const { width, height, format, colorSpace, colorRange } = picture;
  return [width, height, format, colorSpace, colorRange, filterChain(turn, plan)].join(" ");
}

/** A configured filter graph for pictures of one size, format and colour tag. */
class PictureGraph implements Disposable {
  readonly #graph = new FilterGraph();
  readonly #source: FilterContext;
  readonly #sink: FilterContext;
  readonly #scaled = new Frame();

  constructor(readonly key: string, picture: Frame, turn: Turn, plan: CropPlan) {
    this.#graph.alloc();
    this.#graph.nbThreads = 1;
    const { width, height, format, colorSpace, colorRange } = picture;
    const source = this.#graph.createFilter(
      Filter.getByName("buffer")!,
      "in",
      `video_size=${width}x${height}:pix_fmt=${format}:time_base=1/1000:pixel_aspect=1/1` +
        `:colorspace=${colorSpace}:range=${colorRange}`,
    );
    const sink = this.#graph.createFilter(Filter.getByName("buffersink")!, "out", null);
    if (source === null || sink === null) throw new Error("libav cannot make a filter graph");
    this.#source = source;
    this.#sink = sink;
    let last = source;
    for (const [i, part] of filterChain(turn, plan).split(",").entries()) {
      const [name, settings] = part.split(/=(.*)/s, 2);
      const filter = this.#graph.createFilter(Filter.getByName(name!)!, `f${i}`, settings ?? null);
      if (filter === null || last.link(0, filter, 0) < 0) throw new Error(`libav refuses the filter "${part}"`);
      last = filter;
    }
    if (last.link(0, sink, 0) < 0 || this.#graph.configSync() < 0) {
      throw new Error(`libav cannot configure the filters "${filterChain(turn, plan)}" for ${key}`);
    }
    this.#scaled.alloc();
  }

  run(picture: Frame, take: (scaled: Frame) => void): void {
    const code = this.#source.buffersrcAddFrameSync(picture, AV_BUFFERSRC_FLAG_KEEP_REF);
    if (code < 0 || this.#sink.buffersinkGetFrameSync(this.#scaled) < 0) {
      throw new Error(`libav cannot filter a picture (${code})`);
    }
    take(this.#scaled);
    this.#scaled.unref();
  }

  [Symbol.dispose](): void {
    this.#scaled.free();
    this.#graph.free();
  }
}
