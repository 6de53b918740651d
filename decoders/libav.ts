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
import {
  checkOneClip,
  type ClipDecoder,
  clipErrorOrThrow,
  CorruptClipError,
  type DecodedView,
  type DecodeRequest,
  type ViewOutcome,
} from "./decoder.ts";
import { OpenedVideo } from "./_demux.ts";
import { isFolder } from "./_frame_folder.ts";
import { paintFrameFolder, paintPicture } from "./_paint_frame_folder.ts";
import { pictureKind } from "./_picture_file.ts";
import { decodeByCount, decodeByTime, pictureTime } from "./_pictures.ts";
import { ViewPainter } from "./_scale.ts";
import { ClipInProgress, ViewInProgress } from "./_view_in_progress.ts";

/** Decodes views with libav in this process. Keeps buffers between clips; free it with `using`. */
export class LibavDecoder implements ClipDecoder, Disposable {
  /** One for each view of a clip. */
  readonly #painters: ViewPainter[] = [];

  /**
   * @param request What to decode.
   * @param into Receives the cubes; a fresh buffer when left out.
   * @returns The view.
   * @throws {CorruptClipError} The clip cannot be decoded whole.
   * @throws {RangeError} The request makes no sense.
   */
  decodeSync(request: DecodeRequest, into?: Uint8Array): DecodedView {
    return this.#decodeTogether([request], [into])[0]!;
  }

  /**
   * Reads a clip once for several views. What is wrong with it may lie where only some of them look, so that each is
   * decoded alone where it turns out bad.
   *
   * @param requests Views of one clip.
   * @param into Receives the cubes of each.
   * @returns For each request its view, or why it cannot be made.
   * @throws {RangeError} A request makes no sense.
   */
  decodeViewsSync(requests: readonly DecodeRequest[], into: readonly Uint8Array[]): ViewOutcome[] {
    checkOneClip(requests);
    try {
      return this.#decodeTogether(requests, into);
    } catch (error) {
      const bad = clipErrorOrThrow(error);
      return requests.length === 1 ? [bad] : requests.flatMap((one, i) => this.decodeViewsSync([one], [into[i]!]));
    }
  }

  /** As {@linkcode LibavDecoder.decodeSync}; the thread is busy all the same. */
  // deno-lint-ignore require-await
  async decode(request: DecodeRequest, into?: Uint8Array): Promise<DecodedView> {
    return this.decodeSync(request, into);
  }

  /** As {@linkcode LibavDecoder.decodeViewsSync}; the thread is busy all the same. */
  // deno-lint-ignore require-await
  async decodeViews(requests: readonly DecodeRequest[], into: readonly Uint8Array[]): Promise<ViewOutcome[]> {
    return this.decodeViewsSync(requests, into);
  }

  [Symbol.dispose](): void {
    for (const painter of this.#painters) painter[Symbol.dispose]();
  }

  #decodeTogether(requests: readonly DecodeRequest[], into: readonly (Uint8Array | undefined)[]): DecodedView[] {
    while (this.#painters.length < requests.length) this.#painters.push(new ViewPainter());
    const views = requests.map((request, i) => new ViewInProgress(request, this.#painters[i]!, into[i]));
    const clip = new ClipInProgress(views), [request] = requests as [DecodeRequest];
    if (isFolder(request.path)) paintFrameFolder(request, clip);
    else {
      const kind = pictureKind(request.path);
      if (kind !== null) paintPicture(request, kind, clip);
      else if (!paintByTime(request.path, clip)) paintByCount(request.path, clip);
    }
    return clip.finish();
  }
}

/** @returns False where the times do not hold and the pictures have to be counted. */
function paintByTime(path: string, clip: ClipInProgress): boolean {
  using video = new OpenedVideo(path);
  const index = video.index();
  clip.frameCount = index.count;
  clip.timesListed = index.pts !== null;
  clip.secondsAt = secondsOf(video, index.pts);
  if (index.pts === null) return false;
  const wanted = new Map([...clip.choose(index.count)].map(([frame, takers]) => [index.pts![frame]!, takers]));
  const damage = decodeByTime(video, [...wanted.keys()], (picture, time) => {
    clip.add(picture, wanted.get(time)!, video.turn, microseconds(video, time, 0));
  });
  return damage === null;
}

/** Decodes from the start; where the pictures are not as many as the packets, their true number is sampled instead. */
function paintByCount(path: string, clip: ClipInProgress): void {
  for (let attempt = 0; attempt < 2; attempt++) {
    using video = new OpenedVideo(path);
    const wanted = clip.choose(clip.frameCount);
    const count = decodeByCount(video, (picture, number) => {
      const takers = wanted.get(number);
      if (takers !== undefined) {
        const time = clip.timesListed ? pictureTime(picture) : null;
        clip.add(picture, takers, video.turn, microseconds(video, time, number));
      }
    });
    if (count === clip.frameCount) return;
    if (clip.timesListed) {
      throw new CorruptClipError(path, "damaged", `${count} pictures came out of ${clip.frameCount} listed ones`);
    }
    if (count === 0) throw new CorruptClipError(path, "too-short", "no picture came out of it");
    clip.frameCount = count; // AVI may pack two pictures into one packet: the first pass only guessed
  }
  throw new CorruptClipError(path, "damaged", "it gives another number of pictures each time");
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
