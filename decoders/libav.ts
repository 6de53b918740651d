/**
 * The default decoder: libav inside this process (node-av), synchronous, one thread. Frame-exact: packets are listed
 * first, frame numbers are turned into times, and the pictures at exactly these times are taken; files without usable
 * times are decoded from the start and counted. A crash of libav takes the process along, so that runs decode in
 * child processes (`lanes.ts`). A folder of pictures is a clip too, and so is one picture (`_paint_frame_folder.ts`).
 *
 * As the method's users do: frames are counted, so that uneven times change nothing; sample aspect ratios are ignored.
 * As the ffmpeg command does: pictures are turned by their display matrix before the crop is computed, frames that an
 * edit list hides do not exist, colour tags, full range and ten bits are converted. Odd sizes stay; a crop begins at even
 * pixels. `frame_exact_test.ts` holds both decoders to all of it.
 */
import { checkRequest, type ClipDecoder, CorruptClipError, type DecodedView, type DecodeRequest } from "./decoder.ts";
import { OpenedVideo } from "./_demux.ts";
import { isFolder } from "./_frame_folder.ts";
import { paintFrameFolder, paintPicture } from "./_paint_frame_folder.ts";
import { pictureKind } from "./_picture_file.ts";
import { decodeByCount, decodeByTime, pictureTime } from "./_pictures.ts";
import { ViewPainter } from "./_scale.ts";
import { ViewInProgress } from "./_view_in_progress.ts";

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
    if (isFolder(request.path)) paintFrameFolder(request, view);
    else {
      const kind = pictureKind(request.path);
      if (kind !== null) paintPicture(request, kind, view);
      else if (!paintByTime(request, view)) paintByCount(request, view);
    }
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
  view.secondsAt = secondsOf(video, index.pts);
  if (index.pts === null) return false;
  const slots = view.choose(index.count);
  const wanted = new Map([...slots].map(([frame, places]) => [index.pts![frame]!, places]));
  const damage = decodeByTime(video, [...wanted.keys()], (picture, time) => {
    view.add(picture, wanted.get(time)!, video.turn, microseconds(video, time, 0));
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
        const time = view.timesListed ? pictureTime(picture) : null;
        view.add(picture, places, video.turn, microseconds(video, time, number));
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

/** Time of a picture; where the packets do not all have one, its number at the stream's mean rate. */
function microseconds(video: OpenedVideo, time: bigint | null, number: number): bigint {
  const { num, den } = video.timeBase;
  if (time !== null) return time * 1_000_000n * BigInt(num) / BigInt(den);
  const rate = video.stream.avgFrameRate;
  return rate.num > 0 ? BigInt(Math.round(number * 1e6 * rate.den / rate.num)) : 0n;
}

/** Seconds from the first picture to another: by the listed times, else by the mean rate; null where there is neither. */
function secondsOf(video: OpenedVideo, pts: readonly bigint[] | null): ((frame: number) => number) | null {
  const { num, den } = video.timeBase;
  if (pts !== null) return (frame) => Number(pts[frame]! - pts[0]!) * num / den;
  const rate = video.stream.avgFrameRate;
  return rate.num > 0 ? (frame) => frame * rate.den / rate.num : null;
}
