/**
 * Lists the packets of a clip with the ffprobe command, under the same rules as `_demux.ts` does in process: what is
 * shown, when, and whether the stream is as long as its container says.
 */
import { CorruptClipError, MAX_PIXELS } from "./decoder.ts";
import { checkEnd, CONTAINERS, countsFromStart, type FileExtent } from "./_extent.ts";
import { runCommand } from "./_ffmpeg_process.ts";

/** The video stream of a file, as listed without decoding. */
export interface ProbedVideo {
  /** Stream number. */
  index: number;
  /** Size of a picture as shown (after rotation), pixels. */
  width: number;
  height: number;
  /** Pictures a second, or 0 where unknown. */
  rate: number;
  /** Packets that will be shown. */
  count: number;
  /** Seconds of a tick of its times. */
  timeBase: number;
  /** Times in display order, stream time base; null where some are missing or repeat. */
  pts: bigint[] | null;
}

/** The parts of ffprobe's JSON that are asked for; numbers that need 64 bits or fractions come as texts. */
interface Probe {
  streams?: {
    index: number;
    codec_name?: string;
    width?: number;
    height?: number;
    time_base?: string;
    start_time?: string;
    avg_frame_rate?: string;
    disposition?: { attached_pic?: number };
    side_data_list?: { rotation?: number }[];
  }[];
  packets?: { stream_index: number; pts?: number; duration?: number; flags?: string }[];
  format?: { nb_streams?: number; duration?: string };
}

const ENTRIES = "stream=index,codec_name,width,height,time_base,start_time,avg_frame_rate" +
  ":stream_disposition=attached_pic:stream_side_data=rotation" +
  ":packet=stream_index,pts,duration,flags:format=nb_streams,duration";

/** Options of every input: a plain file in a plain container, small enough pictures. */
export const INPUT_OPTIONS: readonly string[] = [
  "-protocol_whitelist",
  "file",
  "-format_whitelist",
  CONTAINERS,
];

/**
 * @param path A regular file.
 * @param extent What its first bytes say.
 * @param ffprobe The command.
 * @param signal Kills it.
 * @returns Its video stream; of several the one with the largest pictures.
 * @throws {CorruptClipError} The file is not a video, damaged, cut short, or too large.
 */
export async function probeVideo(
  path: string,
  extent: FileExtent,
  ffprobe: string,
  signal: AbortSignal,
): Promise<ProbedVideo> {
  const args = ["-v", "error", ...INPUT_OPTIONS, "-select_streams", "v", "-show_entries", ENTRIES, "-of", "json=c=1"];
  const { success, stdout, stderr } = await runCommand(ffprobe, [...args, `file:${path}`], signal);
  if (!success) {
    throw extent.family === null
      ? new CorruptClipError(path, "not-a-video", "no container format fits its content")
      : new CorruptClipError(path, "damaged", `its ${extent.family} container cannot be read (${lastLine(stderr)})`);
  }
  const probe: Probe = JSON.parse(stdout);
  const streams = (probe.streams ?? []).filter(({ disposition }) => disposition?.attached_pic !== 1);
  const [stream] = streams.toSorted((a, b) => area(b) - area(a));
  if (stream === undefined) {
    throw new CorruptClipError(path, "no-video-stream", `${probe.format?.nb_streams ?? 0} other streams`);
  }
  const { index, codec_name: codec = "unknown", width = 0, height = 0 } = stream;
  if (codec === "unknown" || width === 0 || width * height > MAX_PIXELS) {
    throw new CorruptClipError(path, "unsupported-codec", `a stream of codec ${codec}, ${width}x${height} pixels`);
  }
  const packets = (probe.packets ?? []).filter((packet) => packet.stream_index === index);
  const cut = packets.findIndex(({ flags }) => flags?.includes("C"));
  if (cut >= 0) throw new CorruptClipError(path, "truncated", `packet ${cut} is incomplete`);
  const shown = packets.filter(({ flags }) => !flags?.includes("D"));
  if (shown.length === 0) throw new CorruptClipError(path, "too-short", "its video stream has no picture");

  const timeBase = fraction(stream.time_base);
  const declared = Number(probe.format?.duration);
  const end = Math.max(...shown.slice(-64).map(({ pts = 0, duration = 0 }) => pts + duration)) * timeBase;
  if (declared > 0 && end > 0 && probe.format?.nb_streams === 1) {
    const start = countsFromStart(extent) ? Number(stream.start_time) || 0 : 0;
    checkEnd(path, end - start, declared, shown.length);
  }
  const swapped = stream.side_data_list?.some(({ rotation = 0 }) => Math.abs(Math.round(rotation)) % 180 === 90);
  return {
    index,
    width: swapped ? height : width,
    height: swapped ? width : height,
    rate: fraction(stream.avg_frame_rate),
    timeBase,
    count: shown.length,
    pts: codec === "vp8" ? null : displayTimes(shown), // VP8 lists pictures that are never shown
  };
}

function area({ width = 0, height = 0 }: { width?: number; height?: number }): number {
  return width * height;
}

/** Times ascending, or null where one is missing or comes twice. */
function displayTimes(packets: readonly { pts?: number }[]): bigint[] | null {
  const times = packets.flatMap(({ pts }) => pts === undefined ? [] : [pts]).sort((a, b) => a - b);
  const usable = times.length === packets.length && times.every((time, i) => i === 0 || time > times[i - 1]!);
  return usable ? times.map(BigInt) : null;
}

/** "30000/1001" as a number; 0 where it is none. */
function fraction(text = "0/1"): number {
  const [num, den] = text.split("/").map(Number);
  return num! / den! || 0;
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) || "no message";
}
