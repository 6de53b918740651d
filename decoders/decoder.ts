/**
 * The interface of every decoder: one clip, one choice of frames, one crop in; cube patches at the model's resolution
 * out. A clip that cannot be decoded whole is an error with a reason that reports can count; it is never silently
 * resampled from what is left, and never replaced by another clip.
 */
import { type CropBox, cropDraws, type CropRule } from "./crops.ts";
import { type CubeLayout, cubeLayout } from "./cubes.ts";
import { checkDraw, checkRule, samplingDraws, type SamplingRule } from "./sampling.ts";
import { checkSpan, type ClipSpan } from "./span.ts";

/** One view to decode. */
export interface DecodeRequest {
  /** The video file, a folder of numbered pictures, or one picture, which is a clip of one frame. */
  path: string;
  /** Which frames. */
  sampling: SamplingRule;
  /** Which part of the picture. */
  crop: CropRule;
  /** Edge of the output square, pixels. */
  size: number;
  /** Frames of a cube. */
  tubelet: number;
  /** Edge of a cube in the picture, pixels. */
  patch: number;
  /** Uniform numbers in [0, 1): `drawsNeeded` of them, the sampling's first, then the crop's. */
  draws: readonly number[];
  /** Part of the clip that is sampled as if it were the whole. @default the whole clip */
  span?: ClipSpan;
  /** Pictures that a folder of pictures must have; those beyond are left out. @default all there are */
  listedFrames?: number;
}

/** One decoded view. */
export interface DecodedView {
  /** Pixels as cubes in token order, [tokens, tubelet * patch * patch * 3], uint8 RGB. */
  cubes: Uint8Array;
  /** Source frame numbers, [T], 0-based in display order. */
  frames: Int32Array;
  /** Times of these frames on the container's clock, [T], microseconds; from the mean rate where it has none. */
  ptsUs: BigInt64Array;
  /** What the pixels show, in the picture as shown; evaluation crops may fall between pixels. */
  crop: CropBox;
  /** Width of the picture as shown (after rotation), pixels. */
  sourceWidth: number;
  /** Height of the picture as shown (after rotation), pixels. */
  sourceHeight: number;
  /** Frames of the whole clip. */
  frameCount: number;
}

/** Anything that decodes views: a library in this process, a command, a pool of child processes. */
export interface ClipDecoder {
  /**
   * @param request What to decode.
   * @param into Receives the cubes; a fresh buffer when left out.
   * @throws {CorruptClipError} The clip cannot be decoded whole.
   * @throws {RangeError} The request makes no sense.
   */
  decode(request: DecodeRequest, into?: Uint8Array): Promise<DecodedView>;
  /**
   * Decodes several views of one clip, reading it once where the decoder can. The views are those that {@linkcode decode}
   * gives for each request alone, to the byte, and so are the errors. See {@linkcode decodeViews}.
   *
   * @param requests Views of one clip: path, part and listed frames are the same.
   * @param into Receives the cubes of each.
   * @returns For each request its view, or why it cannot be made.
   * @throws {RangeError} A request makes no sense.
   */
  decodeViews?(requests: readonly DecodeRequest[], into: readonly Uint8Array[]): Promise<ViewOutcome[]>;
}

/** Why a clip could not be decoded, with what each reason means. */
export const BAD_CLIP_REASONS = {
  "missing": "no file at that path, or it may not be read",
  "not-a-file": "a folder without numbered pictures, a pipe, device or circular link",
  "empty": "a file of zero bytes",
  "not-a-video": "no known format: text, an unfinished download, a playlist, a picture where views take several frames",
  "no-video-stream": "a container without a video stream, such as audio only",
  "truncated": "the file or its video stream ends before the place its container declares",
  "damaged": "the decoder met wrong data, or pictures that the container lists did not come out",
  "too-short": "a video stream, or the part of it that the list names, without a single picture",
  "unsupported-codec": "no decoder for the stream, or pictures beyond the size limit",
  "timed-out": "the deadline of the clip passed and its decoder was stopped",
  "crashed-decoder": "the process that decoded the clip died, or took more memory than it may",
} as const;

/** Why a clip could not be decoded. */
export type BadClipReason = keyof typeof BAD_CLIP_REASONS;

/** A clip that cannot be decoded. */
export class CorruptClipError extends Error {
  override name = "CorruptClipError";

  /**
   * @param path The clip.
   * @param reason What kind of defect.
   * @param detail What was found, a phrase without a final stop.
   * @param byteOffset Where in the file, or null where unknown. For damage: the start of the packet at hand.
   */
  constructor(
    readonly path: string,
    readonly reason: BadClipReason,
    readonly detail: string,
    readonly byteOffset: number | null = null,
  ) {
    super(`Cannot decode ${path} (${reason}): ${detail}${byteOffset === null ? "" : `, at byte ${byteOffset}`}`);
  }
}

/** A view, or why it cannot be made. */
export type ViewOutcome = DecodedView | CorruptClipError;

/** Decodes several views of one clip, one after the other where the decoder knows no better way. */
export async function decodeViews(
  decoder: ClipDecoder,
  requests: readonly DecodeRequest[],
  into: readonly Uint8Array[],
): Promise<ViewOutcome[]> {
  if (decoder.decodeViews) return await decoder.decodeViews(requests, into);
  const views: ViewOutcome[] = [];
  for (const [i, request] of requests.entries()) {
    views.push(await decoder.decode(request, into[i]).catch(clipErrorOrThrow));
  }
  return views;
}

/** Gives back what says that a clip cannot be decoded. @throws Any other error. */
export function clipErrorOrThrow(error: unknown): CorruptClipError {
  if (error instanceof CorruptClipError) return error;
  throw error;
}

/**
 * Checks that requests are views of one clip.
 *
 * @throws {RangeError} They are not, or there is none.
 */
export function checkOneClip(requests: readonly DecodeRequest[]): void {
  const clipOf = ({ path, span, listedFrames }: DecodeRequest) =>
    JSON.stringify([path, span?.start, span?.end, listedFrames]);
  if (new Set(requests.map(clipOf)).size !== 1) {
    throw new RangeError("Views can be decoded together if they are of one clip and the same part of it");
  }
}

/** Largest picture that a decoder accepts, pixels: room for 8K, refused before memory is taken. */
export const MAX_PIXELS = 2 ** 25;

/** How many uniform draws a request needs. */
export function drawsNeeded(request: Pick<DecodeRequest, "sampling" | "crop">): number {
  return samplingDraws(request.sampling) + cropDraws(request.crop);
}

/**
 * Sizes of the view that a request asks for.
 *
 * @throws {RangeError} The sizes do not divide.
 */
export function viewLayout(request: Pick<DecodeRequest, "sampling" | "size" | "tubelet" | "patch">): CubeLayout {
  return cubeLayout(request.sampling.frames, request.size, request.size, request.tubelet, request.patch);
}

/**
 * Checks a request and the buffer for its result.
 *
 * @returns The sizes of the view and the buffer, made here if there was none.
 * @throws {RangeError} A setting is out of range, draws are missing, or the buffer has another size.
 * @throws {TypeError} The path cannot be a path.
 */
export function checkRequest(
  request: DecodeRequest,
  into?: Uint8Array,
): { layout: CubeLayout; cubes: Uint8Array } {
  if (typeof request.path !== "string" || request.path === "" || request.path.includes("\0")) {
    throw new TypeError(`The path of a clip must be a text that is not empty, got ${JSON.stringify(request.path)}`);
  }
  checkRule(request.sampling);
  if (request.span) checkSpan(request.span);
  const needed = drawsNeeded(request);
  if (request.draws.length < needed) {
    throw new RangeError(
      `Decoding with sampling "${request.sampling.kind}" and crop "${request.crop.kind}" needs ${needed} draws, ` +
        `got ${request.draws.length}`,
    );
  }
  for (let i = 0; i < needed; i++) checkDraw(request.draws[i]!);
  const layout = viewLayout(request);
  const cubes = into ?? new Uint8Array(layout.bytes);
  if (cubes.length !== layout.bytes) {
    throw new RangeError(`The buffer for the cubes has ${cubes.length} bytes, expected ${layout.bytes}`);
  }
  return { layout, cubes };
}

/** Draws of the crop: those after the sampling's. */
export function cropPart(request: DecodeRequest): readonly number[] {
  return request.draws.slice(samplingDraws(request.sampling));
}
