/**
 * The default decoder: libav inside this process (node-av), synchronous, one thread. Frame-exact: packets are listed
 * first, frame numbers are turned into times, and the pictures at exactly these times are taken; files without usable
 * times are decoded from the start and counted. A crash of libav takes the process along, so that runs decode in
 * child processes (`lanes.ts`). Sample aspect ratios are ignored, as the method's users do.
 */
import type { Frame } from "node-av/lib";
import { type CropPlan, planCrop, sourceBox } from "./crops.ts";
import type { CubeLayout } from "./cubes.ts";
import {
  checkRequest,
  type ClipDecoder,
  CorruptClipError,
  cropPart,
  type DecodedView,
  type DecodeRequest,
  MAX_PIXELS,
} from "./decoder.ts";
import { sampleFrames } from "./sampling.ts";
import { OpenedVideo } from "./_demux.ts";
import { evenBox } from "./_filters.ts";
import { decodeByCount, decodeByTime, pictureTime } from "./_pictures.ts";
import { ViewPainter } from "./_scale.ts";

/** Decodes views with libav in this process. Keeps buffers between clips; free it with `using`. */
export class LibavDecoder implements ClipDecoder, Disposable {
  readonly #painter = new ViewPainter();

  /**
   * @param request What to decode.
   * @param into Receives the cubes; a fresh buffer when left out.
   * @returns The view.
   * @throws {CorruptClipError} The clip cannot be decoded whole.
   * @throws {RangeError} The request makes no sense.
   */
  decodeSync(request: DecodeRequest, into?: Uint8Array): DecodedView {
    const { layout, cubes } = checkRequest(request, into);
    const view = new ViewInProgress(request, this.#painter, layout);
    if (!paintByTime(request, view)) paintByCount(request, view);
    this.#painter.finish(layout, cubes);
    return view.result(cubes);
  }

  /** As {@linkcode LibavDecoder.decodeSync}; the thread is busy all the same. */
  // deno-lint-ignore require-await
  async decode(request: DecodeRequest, into?: Uint8Array): Promise<DecodedView> {
    return this.decodeSync(request, into);
  }

  [Symbol.dispose](): void {
    this.#painter[Symbol.dispose]();
  }
}

/** @returns False where the times do not hold and the pictures have to be counted. */
function paintByTime(request: DecodeRequest, view: ViewInProgress): boolean {
  using video = new OpenedVideo(request.path);
  const index = video.index();
  view.frameCount = index.count;
  view.timesListed = index.pts !== null;
  if (index.pts === null) return false;
  const slots = view.choose(index.count);
  const wanted = new Map([...slots].map(([frame, places]) => [index.pts![frame]!, places]));
  const damage = decodeByTime(video, [...wanted.keys()], (picture, time) => {
    view.add(picture, wanted.get(time)!, video, time);
  });
  return damage === null;
}

/** Decodes from the start; where the pictures are not as many as the packets, their true number is sampled instead. */
function paintByCount(request: DecodeRequest, view: ViewInProgress): void {
  for (let attempt = 0; attempt < 2; attempt++) {
    using video = new OpenedVideo(request.path);
    const slots = view.choose(view.frameCount);
    const count = decodeByCount(video, (picture, number) => {
      const places = slots.get(number);
      if (places !== undefined) {
        view.add(picture, places, video, view.timesListed ? pictureTime(picture) : null, number);
      }
    });
    if (count === view.frameCount) return;
    if (view.timesListed) {
      throw new CorruptClipError(
        request.path,
        "damaged",
        `${count} pictures came out of ${view.frameCount} listed ones`,
      );
    }
    if (count === 0) throw new CorruptClipError(request.path, "too-short", "no picture came out of it");
    view.frameCount = count; // AVI may pack two pictures into one packet: the first pass only guessed
  }
  throw new CorruptClipError(request.path, "damaged", "it gives another number of pictures each time");
}

/** What is known of a view while its pictures come. */
class ViewInProgress {
  frameCount = 0;
  /** Whether every packet had its own time. */
  timesListed = false;
  #frames = new Int32Array(0);
  #ptsUs = new BigInt64Array(0);
  #plan: CropPlan | null = null;
  #width = 0;
  #height = 0;

  constructor(
    readonly request: DecodeRequest,
    readonly painter: ViewPainter,
    readonly layout: CubeLayout,
  ) {}

  /** Samples frame numbers. @returns Places in the view for each number, numbers ascending. */
  choose(frameCount: number): Map<number, number[]> {
    this.#frames = sampleFrames(this.request.sampling, frameCount, this.request.draws) as Int32Array<ArrayBuffer>;
    this.#ptsUs = new BigInt64Array(this.#frames.length);
    this.#plan = null;
    const slots = new Map<number, number[]>();
    this.#frames.forEach((frame, slot) => {
      const places = slots.get(frame);
      if (places === undefined) slots.set(frame, [slot]);
      else places.push(slot);
    });
    return slots;
  }

  /** Takes one wanted picture. */
  add(picture: Frame, slots: readonly number[], video: OpenedVideo, time: bigint | null, number = 0): void {
    const width = video.turn.swaps ? picture.height : picture.width;
    const height = video.turn.swaps ? picture.width : picture.height;
    const plan = width === this.#width && height === this.#height && this.#plan !== null
      ? this.#plan
      : this.#replan(width, height);
    this.painter.paint(picture, video.turn, plan, slots);
    const us = microseconds(video, time, number);
    for (const slot of slots) this.#ptsUs[slot] = us;
  }

  result(cubes: Uint8Array): DecodedView {
    return {
      cubes,
      frames: this.#frames,
      ptsUs: this.#ptsUs,
      crop: sourceBox(this.#plan!),
      sourceWidth: this.#width,
      sourceHeight: this.#height,
      frameCount: this.frameCount,
    };
  }

  /** The crop for pictures of this size. A stream whose size changes keeps its first output geometry. */
  #replan(width: number, height: number): CropPlan {
    const { request, layout } = this;
    const plan = evenBox(planCrop(request.crop, width, height, request.size, cropPart(request)));
    if (plan.scaledWidth * plan.scaledHeight > MAX_PIXELS) {
      throw new CorruptClipError(
        request.path,
        "damaged",
        `a picture of ${width}x${height} pixels is too long and thin to be resized to ${request.size}`,
      );
    }
    if (this.#plan === null) {
      this.#plan = plan;
      this.#width = width;
      this.#height = height;
      this.painter.begin(plan, layout.frames);
      return plan;
    }
    if (plan.scaledWidth !== this.#plan.scaledWidth || plan.scaledHeight !== this.#plan.scaledHeight) {
      throw new CorruptClipError(
        request.path,
        "damaged",
        `its pictures change from ${this.#width}x${this.#height} to ${width}x${height} pixels`,
      );
    }
    return plan;
  }
}

/** Time of a picture; where the packets do not all have one, its number at the stream's mean rate. */
function microseconds(video: OpenedVideo, time: bigint | null, number: number): bigint {
  const { num, den } = video.timeBase;
  if (time !== null) return time * 1_000_000n * BigInt(num) / BigInt(den);
  const rate = video.stream.avgFrameRate;
  return rate.num > 0 ? BigInt(Math.round(number * 1e6 * rate.den / rate.num)) : 0n;
}
