/**
 * The second decoder: the ffmpeg and ffprobe commands, through fluent-ffmpeg. For machines where the libav package does
 * not load, and as a second opinion; it starts two processes a clip and is several times slower. Same requests, same
 * pictures and same frame numbers as `libav.ts`: packets are listed first, pictures are taken by number and their times
 * compared with the list, and where they differ the whole file is decoded and counted.
 *
 * Differences: of several video streams it takes the one with the largest pictures; damage has no byte offset; a clip
 * whose pictures change size is refused; FFmpeg of 2018 (4.1) lets some pictures pass that it patched up itself, FFmpeg
 * 5.1 does not (what lies between was not tried). fluent-ffmpeg is no longer maintained, hence nothing of it is trusted (see
 * `_ffmpeg_pictures.ts`), and only this decoder depends on it.
 */
import { type CropPlan, planCrop, sourceBox } from "./crops.ts";
import { cutCubes } from "./cubes.ts";
import {
  checkRequest,
  type ClipDecoder,
  CorruptClipError,
  cropPart,
  type DecodedView,
  type DecodeRequest,
  MAX_PIXELS,
} from "./decoder.ts";
import { checkFile } from "./_extent.ts";
import { pictureOptions, probePicture, sequenceOptions, sequenceUrl } from "./_ffmpeg_sequence.ts";
import { ffmpegCommands } from "./_ffmpeg_paths.ts";
import { type FfmpegProgram, type TakenPictures, takePictures } from "./_ffmpeg_pictures.ts";
import { runCommand } from "./_ffmpeg_process.ts";
import { type ProbedVideo, probeVideo } from "./_ffprobe.ts";
import { evenBox } from "./_filters.ts";
import { isFolder, pictureFile, readFrameFolder } from "./_frame_folder.ts";
import { type PictureKind, pictureKind, readPicture } from "./_picture_file.ts";
import { sampleSpan } from "./_sample_span.ts";

export { MissingCommandError } from "./_ffmpeg_process.ts";

/** Which commands, and how long they may take. */
export interface FfmpegCommandOptions {
  /** Name or path. @default `FFMPEG_PATH`, else "ffmpeg" */
  ffmpeg?: string;
  /** Name or path. @default `FFPROBE_PATH`, else "ffprobe" */
  ffprobe?: string;
  /** Time that a clip may take, milliseconds. @default 60_000 */
  deadlineMs?: number;
}

/** Decodes views with the ffmpeg command. */
export class FfmpegCommandDecoder implements ClipDecoder {
  readonly #ffmpeg: string;
  readonly #ffprobe: string;
  readonly #deadlineMs: number;
  #program: Promise<FfmpegProgram> | null = null;

  constructor(options: FfmpegCommandOptions = {}) {
    const commands = ffmpegCommands();
    this.#ffmpeg = options.ffmpeg ?? commands.ffmpeg;
    this.#ffprobe = options.ffprobe ?? commands.ffprobe;
    this.#deadlineMs = options.deadlineMs ?? 60_000;
  }

  /**
   * Looks whether both commands can be started.
   *
   * @throws {MissingCommandError} One cannot.
   */
  async check(): Promise<void> {
    await (this.#program ??= findProgram(this.#ffmpeg));
    await runCommand(this.#ffprobe, ["-version"]);
  }

  /**
   * @param request What to decode.
   * @param into Receives the cubes; a fresh buffer when left out.
   * @returns The view.
   * @throws {CorruptClipError} The clip cannot be decoded whole.
   * @throws {RangeError} The request makes no sense.
   * @throws {MissingCommandError} ffmpeg or ffprobe cannot be started.
   */
  async decode(request: DecodeRequest, into?: Uint8Array): Promise<DecodedView> {
    const { layout, cubes } = checkRequest(request, into);
    const program = await (this.#program ??= findProgram(this.#ffmpeg));
    const extent = isFolder(request.path) ? null : checkFile(request.path);
    const kind = extent === null ? null : pictureKind(request.path);
    const late = new CorruptClipError(
      request.path,
      "timed-out",
      `decoding took longer than ${this.#deadlineMs / 1000} s`,
    );
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(late), this.#deadlineMs);
    try {
      const { video, plan, taken } = extent === null
        ? await takeFolder(request, this.#ffprobe, program, deadline.signal)
        : kind !== null
        ? await takePicture(request, kind, program, deadline.signal)
        : await takeVideo(
          request,
          await probeVideo(request.path, extent, this.#ffprobe, deadline.signal),
          program,
          deadline.signal,
        );
      cutCubes(spread(taken, request.size), layout, cubes);
      return {
        cubes,
        frames: taken.frames,
        ptsUs: BigInt64Array.from(taken.frames, (frame) => microseconds(taken, video, frame)),
        crop: sourceBox(plan),
        sourceWidth: video.width,
        sourceHeight: video.height,
        frameCount: video.count,
      };
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Pictures with the numbers they were asked for by. */
interface Taken extends TakenPictures {
  /** Frame numbers of the view, [T]. */
  frames: Int32Array<ArrayBuffer>;
  /** The same numbers without repeats. */
  wanted: number[];
}

/** The pictures of a view with what is known of their clip. */
interface TakenView {
  video: ProbedVideo;
  plan: CropPlan;
  taken: Taken;
}

async function takeVideo(
  request: DecodeRequest,
  video: ProbedVideo,
  program: FfmpegProgram,
  signal: AbortSignal,
): Promise<TakenView> {
  const { path } = request;
  const plan = planOf(request, video);
  const take = async (count: number, stop: boolean): Promise<Taken> => {
    const frames = sampleSpan(request, count, secondsOf(video));
    const wanted = [...new Set(frames)];
    return {
      frames,
      wanted,
      ...await takePictures({ path, stream: video.index, wanted, plan, stop }, program, signal),
    };
  };
  return { video, plan, taken: await takeByTime(video, take) ?? await takeByCount(path, video, take) };
}

/** Takes pictures of a folder: ffmpeg reads those from the first to the last wanted one, as a sequence. */
async function takeFolder(
  request: DecodeRequest,
  ffprobe: string,
  program: FfmpegProgram,
  signal: AbortSignal,
): Promise<TakenView> {
  const { path } = request;
  const folder = readFrameFolder(path, request.listedFrames);
  const frames = sampleSpan(request, folder.count, null);
  const wanted = [...new Set(frames)], first = wanted[0]!, last = wanted.at(-1)!;
  const files = Array.from({ length: last - first + 1 }, (_, i) => pictureFile(folder, first + i));
  const size = await probePicture(path, files[0]!, ffprobe, signal);
  const video = { index: 0, ...size, rate: 0, timeBase: 0, count: folder.count, pts: null };
  const plan = planOf(request, video);
  const input = { url: sequenceUrl(folder), options: sequenceOptions(folder, first) };
  const shifted = wanted.map((frame) => frame - first);
  const pictures = await takePictures({ path, input, stream: 0, wanted: shifted, plan, stop: true }, program, signal);
  if (pictures.came !== wanted.length) {
    throw new CorruptClipError(path, "damaged", `${pictures.came} pictures came out of ${wanted.length} wanted ones`);
  }
  return { video, plan, taken: { frames, wanted, ...pictures } };
}

/** Takes one picture as a clip of one frame. */
async function takePicture(
  request: DecodeRequest,
  kind: PictureKind,
  program: FfmpegProgram,
  signal: AbortSignal,
): Promise<TakenView> {
  const { path } = request;
  const { width, height } = readPicture(request, kind);
  const video = { index: 0, width, height, rate: 0, timeBase: 0, count: 1, pts: null };
  const plan = planOf(request, video);
  const input = { url: `file:${path}`, options: pictureOptions(kind) };
  const pictures = await takePictures({ path, input, stream: 0, wanted: [0], plan, stop: true }, program, signal);
  if (pictures.came !== 1) throw new CorruptClipError(path, "damaged", "no picture came out of it");
  return { video, plan, taken: { frames: sampleSpan(request, 1, null), wanted: [0], ...pictures } };
}

type Take = (count: number, stop: boolean) => Promise<Taken>;

/** @returns Null where the listed times do not hold and the pictures have to be counted. */
async function takeByTime(video: ProbedVideo, take: Take): Promise<Taken | null> {
  if (video.pts === null) return null;
  const taken = await take(video.count, true);
  const asListed = taken.came === taken.wanted.length &&
    taken.wanted.every((frame) => taken.pts[frame] === video.pts![frame]);
  return asListed ? taken : null;
}

/** Decodes to the end; where no times were listed and another number of pictures comes, that number is sampled. */
async function takeByCount(path: string, video: ProbedVideo, take: Take): Promise<Taken> {
  for (let attempt = 0; attempt < 2; attempt++) {
    const taken = await take(video.count, false);
    const count = taken.pts.length;
    if (count === video.count && taken.came === taken.wanted.length) return taken;
    if (video.pts !== null) {
      throw new CorruptClipError(path, "damaged", `${count} pictures came out of ${video.count} listed ones`);
    }
    if (count === 0) throw new CorruptClipError(path, "too-short", "no picture came out of it");
    video.count = count;
  }
  throw new CorruptClipError(path, "damaged", "it gives another number of pictures each time");
}

function planOf(request: DecodeRequest, { width, height }: ProbedVideo): CropPlan {
  const plan = evenBox(planCrop(request.crop, width, height, request.size, cropPart(request)));
  if (plan.scaledWidth * plan.scaledHeight <= MAX_PIXELS) return plan;
  throw new CorruptClipError(
    request.path,
    "damaged",
    `a picture of ${width}x${height} pixels is too long and thin to be resized to ${request.size}`,
  );
}

/** The pictures of a view, [T, size, size, 3]: repeated frames repeat their picture. */
function spread({ frames, wanted, rgb }: Taken, size: number): Uint8Array {
  if (wanted.length === frames.length) return rgb;
  const bytes = size * size * 3;
  const clip = new Uint8Array(frames.length * bytes);
  const places = new Map(wanted.map((frame, place) => [frame, place]));
  frames.forEach((frame, slot) => {
    const place = places.get(frame)!;
    clip.set(rgb.subarray(place * bytes, (place + 1) * bytes), slot * bytes);
  });
  return clip;
}

/** Time of a picture; from the mean rate where the stream has no times of its own. */
function microseconds({ pts, timeBase }: Taken, video: ProbedVideo, frame: number): bigint {
  const time = pts[frame] ?? null;
  if (video.pts !== null && time !== null) return time * 1_000_000n * timeBase.num / timeBase.den;
  return video.rate > 0 ? BigInt(Math.round(frame * 1e6 / video.rate)) : 0n;
}

/**
 * Options that changed with version 5.1 (libavutil 57.28): it brought `-fps_mode`, which later ones ask for, and older
 * ones hand on pictures with wrong data unless their decoders are told to stop at it.
 */
async function findProgram(command: string): Promise<FfmpegProgram> {
  const { stdout } = await runCommand(command, ["-version"]);
  const [, major, minor] = /^libavutil\s+(\d+)\.\s*(\d+)/m.exec(stdout) ?? [];
  const old = major !== undefined && (Number(major) < 57 || Number(major) === 57 && Number(minor) < 28);
  return old
    ? { command, strict: ["-xerror", "-err_detect", "explode"], passthrough: ["-vsync", "passthrough"] }
    : { command, strict: ["-xerror"], passthrough: ["-fps_mode", "passthrough"] };
}

/** Seconds from the first picture to another, or null where there is no clock. */
function secondsOf({ pts, rate, timeBase }: ProbedVideo): ((frame: number) => number) | null {
  if (pts !== null) return (frame) => Number(pts[frame]! - pts[0]!) * timeBase;
  return rate > 0 ? (frame) => frame / rate : null;
}
