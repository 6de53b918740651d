/**
 * One run of the ffmpeg command, started through fluent-ffmpeg: selects pictures by their number, crops and resizes them,
 * and takes them as packed RGB from its output. The times of all pictures on the way come from the `showinfo` filter, so
 * that the caller can check that the numbers meant what they should. Neither the exit code nor the end of the stream is
 * taken for success: both have to come, with the bytes that were asked for.
 */
// @ts-types="@types/fluent-ffmpeg"
import ffmpeg from "fluent-ffmpeg";
import { Writable } from "node:stream";
import { CorruptClipError, MAX_PIXELS } from "./decoder.ts";
import type { CropPlan } from "./crops.ts";
import { INPUT_OPTIONS } from "./_ffprobe.ts";
import { filterChain } from "./_filters.ts";

/** What to take from a file. */
export interface PictureQuery {
  /** The clip, for messages. */
  path: string;
  /** What ffmpeg opens. @default the file at `path` */
  input?: FfmpegInput;
  /** Video stream. */
  stream: number;
  /** Picture numbers, ascending, 0-based in display order. */
  wanted: readonly number[];
  plan: CropPlan;
  /** Whether to stop after the last wanted picture. */
  stop: boolean;
}

/** An input of ffmpeg. */
export interface FfmpegInput {
  url: string;
  /** Options that stand before it. */
  options: readonly string[];
}

/** How to run ffmpeg. */
export interface FfmpegProgram {
  command: string;
  /** Input options that make wrong data an error. */
  strict: readonly string[];
  /** Output options that let every selected picture through, once. */
  passthrough: readonly string[];
}

/** What came. */
export interface TakenPictures {
  /** Pixels of the wanted pictures that came, [came, size, size, 3], uint8 RGB. */
  rgb: Uint8Array;
  came: number;
  /** Times of all pictures on the way, stream time base; null where one has none. */
  pts: (bigint | null)[];
  /** Seconds of a tick of these times, as a fraction. */
  timeBase: { num: bigint; den: bigint };
}

const SHOWN = /^\[Parsed_showinfo_0 @ \w+\] n:\s*(\d+) pts:\s*(\w+)/;
/** What a decoder or ffmpeg itself says of wrong data; lines about the file's own texts begin otherwise. */
const COMPLAINT = /^(?:\[(?!Parsed_)[^\]]*\] )?((?<=\] ).*\b(?:error|invalid|corrupt).*|Error .*)$/i;
const CONFIGURED = /^\[Parsed_showinfo_0 @ \w+\] config in time_base: (\d+)\/(\d+)/;

/**
 * @param query What to take.
 * @param program How to run ffmpeg.
 * @param signal Kills it.
 * @returns The pictures that came.
 * @throws {CorruptClipError} ffmpeg met wrong data, died, or the pictures change their size on the way.
 */
export async function takePictures(
  query: PictureQuery,
  program: FfmpegProgram,
  signal: AbortSignal,
): Promise<TakenPictures> {
  const { path, wanted, plan: { size } } = query;
  const { url, options } = query.input ?? { url: `file:${path}`, options: INPUT_OPTIONS };
  const pictureBytes = size * size * 3;
  const rgb = new Uint8Array(wanted.length * pictureBytes);
  let bytes = 0;
  const pts: (bigint | null)[] = [];
  let complaint: string | undefined;
  const timeBases: { num: bigint; den: bigint }[] = [];
  const finished = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  // It neither closes nor destroys itself: fluent-ffmpeg would take that for a reason to kill ffmpeg.
  const output = new Writable({
    autoDestroy: false,
    emitClose: false,
    write(chunk: Uint8Array, _encoding, done) {
      rgb.set(chunk.subarray(0, rgb.length - bytes), bytes);
      bytes += chunk.length;
      done();
    },
    final(done) {
      finished.resolve();
      done();
    },
  });
  const run = ffmpeg({ logger: undefined })
    .input(url)
    .inputOptions(["-hide_banner", "-nostats", "-nostdin", "-v", "info", ...program.strict, "-copyts"])
    .inputOptions(["-threads", "1", "-filter_threads", "1", "-max_pixels", String(MAX_PIXELS)])
    .inputOptions([...options])
    .output(output)
    .outputOptions(["-map", `0:${query.stream}`, "-an", ...program.passthrough, "-f", "rawvideo"])
    .outputOptions("-vf", filters(query))
    .outputOptions(query.stop ? ["-frames:v", String(wanted.length)] : [])
    .on("start", () => signal.aborted && run.kill("SIGKILL"))
    .on("stderr", (line: string) => {
      const shown = SHOWN.exec(line);
      if (shown !== null) pts[Number(shown[1])] = /^-?\d+$/.test(shown[2]!) ? BigInt(shown[2]!) : null;
      complaint ??= COMPLAINT.exec(line)?.[1];
      const configured = CONFIGURED.exec(line);
      if (configured !== null) timeBases.push({ num: BigInt(configured[1]!), den: BigInt(configured[2]!) });
    })
    .on("end", () => ended.resolve())
    .on("error", (error: Error) => ended.reject(error));
  run.setFfmpegPath(program.command);
  const kill = () => run.kill("SIGKILL");
  signal.addEventListener("abort", kill);
  try {
    run.run();
    await ended.promise;
    await finished.promise;
  } catch (error) {
    signal.throwIfAborted();
    throw ffmpegError(path, error, complaint);
  } finally {
    signal.removeEventListener("abort", kill);
  }
  if (timeBases.length > 1) {
    throw new CorruptClipError(path, "unsupported-codec", "its pictures change their form; decode it with libav");
  }
  if (bytes % pictureBytes !== 0 || bytes > rgb.length) {
    throw new Error(`ffmpeg gave ${bytes} bytes for ${path}, expected up to ${wanted.length} times ${pictureBytes}`);
  }
  return { rgb, came: bytes / pictureBytes, pts, timeBase: timeBases[0] ?? { num: 0n, den: 1n } };
}

/** The pictures by number, cut and resized, to planar RGB first: that is the path without a bias. */
function filters({ wanted, plan }: PictureQuery): string {
  const { size, left, top, mirrored } = plan, mirror = mirrored ? ",hflip" : "";
  const chain = filterChain({ filter: "", swaps: false }, plan); // the command has turned the pictures by then
  return `showinfo,select='${anyOf(runs(wanted))}',${chain},crop=${size}:${size}:${left}:${top}${mirror},format=rgb24`;
}

/** Neighbouring numbers as one condition each. */
function runs(numbers: readonly number[]): string[] {
  const terms: string[] = [];
  for (let from = 0; from < numbers.length;) {
    let to = from;
    while (numbers[to + 1] === numbers[to]! + 1) to++;
    terms.push(from === to ? `eq(n,${numbers[from]})` : `between(n,${numbers[from]},${numbers[to]})`);
    from = to + 1;
  }
  return terms;
}

/** A sum as a balanced tree: the parser gives up on about a hundred terms in a row. */
function anyOf(terms: readonly string[]): string {
  if (terms.length === 1) return terms[0]!;
  const half = terms.length >> 1;
  return `(${anyOf(terms.slice(0, half))}+${anyOf(terms.slice(half))})`;
}

function ffmpegError(path: string, error: unknown, complaint: string | undefined): unknown {
  if (!(error instanceof Error)) return error;
  const died = /was killed with signal (\w+)/.exec(error.message);
  if (died !== null) return new CorruptClipError(path, "crashed-decoder", `ffmpeg died of ${died[1]}`);
  if (!/ffmpeg exited with code/.test(error.message)) return error;
  const text = complaint ?? error.message.trim().split("\n").at(-1);
  return new CorruptClipError(path, "damaged", `ffmpeg failed: ${text}`);
}
