/**
 * Reads how long a video file claims to be, from the outermost boxes of its container (ISO base media, Matroska/WebM,
 * RIFF). A file that is shorter was cut: demuxers deliver the surviving part of many such files without a word. Also the
 * checks that come before any demuxer sees the path: regular file, not empty.
 */
import { type BadClipReason, CorruptClipError } from "./decoder.ts";

/** Containers that hold one file's worth of video, as libav calls them: no playlists, devices, picture sequences. */
export const CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpegts,mpeg,asf,ogg,nut,ivf,mxf,rm";

/** Spare seconds that a stream may end before its container's duration: rounding, last-frame durations. */
const END_TOLERANCE_S = 0.5;

/** What the first bytes of a file say. */
export interface FileExtent {
  /** Container family, or null where the first bytes fit none of the three. */
  family: "iso" | "matroska" | "riff" | null;
  /** Bytes that the container declares, or null where it does not say. */
  declared: number | null;
  /** Bytes that are there. */
  size: number;
}

/** Boxes that begin an ISO base media or QuickTime file. */
const ISO_STARTS = ["ftyp", "moov", "mdat", "free", "skip", "wide", "pnot", "styp", "moof"];

/** Boxes whose loss matters; trailing padding may be cut without harm. */
const ISO_VITAL = ["moov", "mdat", "moof"];

/** Fragmented files have many boxes; past this many the rest is left to the demuxer. */
const MAX_BOXES = 4096;

/**
 * Checks that a path is a regular file with content and not cut short.
 *
 * @param path The file; links are followed.
 * @returns What its container declares.
 * @throws {CorruptClipError} It is missing, not a file, empty or truncated.
 */
export function checkFile(path: string): FileExtent {
  // Every test comes before the file is opened: opening a pipe without a writer would wait for ever.
  const { isFile, size } = statClip(path);
  if (!isFile) throw new CorruptClipError(path, "not-a-file", "it is a folder, pipe or device");
  if (size === 0) throw new CorruptClipError(path, "empty", "it has zero bytes", 0);

  let extent: FileExtent;
  try {
    using file = Deno.openSync(path);
    extent = readExtent(file, size);
  } catch (error) {
    throw fileError(path, error);
  }
  if (extent.declared !== null && extent.declared > size) {
    throw new CorruptClipError(
      path,
      "truncated",
      `its container declares ${extent.declared} bytes, it has ${size}`,
      size,
    );
  }
  return extent;
}

/** Whether a container's duration begins with its first picture; that of Matroska begins at time zero. */
export function countsFromStart({ family }: FileExtent): boolean {
  return family !== "matroska";
}

/**
 * Checks that the pictures of a file last about as long as its container says.
 *
 * @param path The file.
 * @param seconds Where the last picture ends, counted as the container's duration is.
 * @param declaredSeconds What the container declares.
 * @param count Pictures.
 * @throws {CorruptClipError} They end before.
 */
export function checkEnd(path: string, seconds: number, declaredSeconds: number, count: number): void {
  const tolerance = Math.max(END_TOLERANCE_S, 2 * declaredSeconds / count, declaredSeconds * 0.02);
  if (seconds + tolerance >= declaredSeconds) return;
  throw new CorruptClipError(
    path,
    "truncated",
    `its pictures end after ${seconds.toFixed(2)} s of a declared ${declaredSeconds.toFixed(2)} s`,
  );
}

function statClip(path: string): Deno.FileInfo {
  try {
    return Deno.statSync(path);
  } catch (error) {
    throw fileError(path, error);
  }
}

/** A defect of the clip where the file system refuses, anything else (such as a missing permission flag) as it is. */
function fileError(path: string, error: unknown): unknown {
  if (error instanceof Deno.errors.NotCapable || !(error instanceof Error)) return error;
  let reason: BadClipReason;
  if (error instanceof Deno.errors.FilesystemLoop) reason = "not-a-file";
  else if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) reason = "missing";
  else if (error instanceof Deno.errors.PermissionDenied) reason = "missing";
  else if ("code" in error) reason = "missing"; // name too long, input/output error
  else return error;
  return new CorruptClipError(path, reason, error.message.split(/: (?:stat|open) '/)[0]!);
}

function readExtent(file: Deno.FsFile, size: number): FileExtent {
  const head = readAt(file, 0, 64);
  const view = new DataView(head.buffer, 0, head.length);
  if (head.length >= 12 && ascii(head, 0) === "RIFF") {
    const riff = view.getUint32(4, true);
    return { family: "riff", declared: riff === 0 || riff === 0xffffffff ? null : 8 + riff, size };
  }
  if (head.length >= 8 && view.getUint32(0) === 0x1a45dfa3) {
    return { family: "matroska", declared: matroskaEnd(file, head), size };
  }
  if (head.length >= 8 && ISO_STARTS.includes(ascii(head, 4))) {
    return { family: "iso", declared: isoEnd(file, size), size };
  }
  return { family: null, declared: null, size };
}

/** End of the first vital box that reaches past the end of the file, else null. */
function isoEnd(file: Deno.FsFile, size: number): number | null {
  let at = 0;
  for (let box = 0; box < MAX_BOXES && at + 8 <= size; box++) {
    const head = readAt(file, at, 16);
    const view = new DataView(head.buffer, 0, head.length);
    let length = view.getUint32(0);
    if (length === 1 && head.length >= 16) length = Number(view.getBigUint64(8));
    if (length < 8) return null; // 0: to the end of the file; other: not a box, the demuxer will say
    const end = at + length;
    if (end > size) return ISO_VITAL.includes(ascii(head, 4)) ? end : null;
    at = end;
  }
  return null;
}

/** End of the segment, or null where a live writer left its size open. */
function matroskaEnd(file: Deno.FsFile, head: Uint8Array): number | null {
  const header = vint(head, 4);
  if (header === null) return null;
  const at = 4 + header.bytes + header.value;
  const segment = readAt(file, at, 12);
  if (segment.length < 12 || new DataView(segment.buffer).getUint32(0) !== 0x18538067) return null;
  const size = vint(segment, 4);
  return size === null || size.unknown ? null : at + 4 + size.bytes + size.value;
}

/** A Matroska variable-length number: leading zero bits tell the length, all ones means unknown. */
function vint(bytes: Uint8Array, at: number): { value: number; bytes: number; unknown: boolean } | null {
  const first = bytes[at];
  if (first === undefined || first === 0) return null;
  const length = Math.clz32(first) - 23;
  if (at + length > bytes.length) return null;
  let value = first & (0xff >> length);
  let ones = value === (0xff >> length);
  for (let i = 1; i < length; i++) {
    value = value * 256 + bytes[at + i]!;
    ones &&= bytes[at + i] === 0xff;
  }
  return { value, bytes: length, unknown: ones };
}

function readAt(file: Deno.FsFile, at: number, count: number): Uint8Array {
  file.seekSync(at, Deno.SeekMode.Start);
  const bytes = new Uint8Array(count);
  let got = 0;
  while (got < count) {
    const n = file.readSync(bytes.subarray(got));
    if (n === null) break;
    got += n;
  }
  return bytes.subarray(0, got);
}

function ascii(bytes: Uint8Array, at: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + 4));
}
