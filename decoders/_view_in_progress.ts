/** Views while their pictures come in: which frames they want, what of each picture, and where the pixels go. */
import type { Frame } from "node-av/lib";
import { type CropPlan, planCrop, sourceBox } from "./crops.ts";
import type { CubeLayout } from "./cubes.ts";
import {
  checkRequest,
  CorruptClipError,
  cropPart,
  type DecodedView,
  type DecodeRequest,
  MAX_PIXELS,
} from "./decoder.ts";
import { evenBox } from "./_filters.ts";
import type { Turn } from "./_rotation.ts";
import { sampleSpan } from "./_sample_span.ts";
import type { ViewPainter } from "./_scale.ts";

/** Who wants a picture: views, each with its frames that show it. */
export type Takers = readonly { readonly view: ViewInProgress; readonly slots: number[] }[];

/** The views of one clip that are decoded together, and what is known of the clip. */
export class ClipInProgress {
  frameCount = 0;
  /** Whether every packet had its own time. */
  timesListed = false;
  /** Seconds from the first picture to another, or null where there is no clock. */
  secondsAt: ((frame: number) => number) | null = null;

  constructor(readonly views: readonly ViewInProgress[]) {}

  /** Samples frame numbers for all views. @returns Who wants which picture, numbers ascending. */
  choose(frameCount: number): Map<number, Takers> {
    const takers = this.views.flatMap((view) =>
      [...view.choose(frameCount, this.secondsAt)].map(([frame, slots]) => ({ frame, view, slots }))
    );
    return Map.groupBy(takers.sort((a, b) => a.frame - b.frame), ({ frame }) => frame);
  }

  /**
   * Takes one wanted picture.
   *
   * @param picture As decoded.
   * @param takers Who wants it.
   * @param turn How to turn it.
   * @param us Its time, microseconds.
   */
  add(picture: Frame, takers: Takers, turn: Turn, us: bigint): void {
    for (const { view, slots } of takers) view.add(picture, slots, turn, us);
  }

  /** Cuts the cubes of all views. */
  finish(): DecodedView[] {
    return this.views.map((view) => view.finish(this.frameCount));
  }
}

/** What is known of a view while its pictures come. */
export class ViewInProgress {
  readonly #painter: ViewPainter;
  readonly #layout: CubeLayout;
  readonly #cubes: Uint8Array;
  #frames = new Int32Array(0);
  #ptsUs = new BigInt64Array(0);
  #plan: CropPlan | null = null;
  #width = 0;
  #height = 0;

  /**
   * @param request What the view is.
   * @param painter Collects its pictures.
   * @param into Receives the cubes; a fresh buffer when left out.
   * @throws {RangeError} The request makes no sense.
   */
  constructor(readonly request: DecodeRequest, painter: ViewPainter, into: Uint8Array | undefined) {
    const { layout, cubes } = checkRequest(request, into);
    this.#painter = painter;
    this.#layout = layout;
    this.#cubes = cubes;
  }

  /** Samples frame numbers. @returns Places in the view for each number, numbers ascending. */
  choose(frameCount: number, secondsAt: ((frame: number) => number) | null): Map<number, number[]> {
    this.#frames = sampleSpan(this.request, frameCount, secondsAt);
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

  /**
   * Takes one wanted picture.
   *
   * @param picture As decoded.
   * @param slots Frames of the view that show it.
   * @param turn How to turn it.
   * @param us Its time, microseconds.
   */
  add(picture: Frame, slots: readonly number[], turn: Turn, us: bigint): void {
    const width = turn.swaps ? picture.height : picture.width;
    const height = turn.swaps ? picture.width : picture.height;
    const plan = width === this.#width && height === this.#height && this.#plan !== null
      ? this.#plan
      : this.#replan(width, height);
    this.#painter.paint(picture, turn, plan, slots);
    for (const slot of slots) this.#ptsUs[slot] = us;
  }

  /** Cuts the pictures into cubes. */
  finish(frameCount: number): DecodedView {
    this.#painter.finish(this.#layout, this.#cubes);
    return {
      cubes: this.#cubes,
      frames: this.#frames,
      ptsUs: this.#ptsUs,
      crop: sourceBox(this.#plan!),
      sourceWidth: this.#width,
      sourceHeight: this.#height,
      frameCount,
    };
  }

  /** The crop for pictures of this size. A stream whose size changes keeps its first output geometry. */
  #replan(width: number, height: number): CropPlan {
    const { request } = this;
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
      this.#painter.begin(plan, this.#layout.frames);
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
