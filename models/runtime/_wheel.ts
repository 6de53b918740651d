/**
 * One member of a wheel (a zip file) streamed to disk. Reads the central directory (APPNOTE.TXT 4.3.12 and 4.3.16);
 * stored and deflated members below 4 GB; no checksum of its own: callers compare SHA-256.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { type Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createInflateRaw } from "node:zlib";

const END_BYTES = 22;
const LONGEST_COMMENT = 65_535;

/** SHA-256 of a file, in hex. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}

/**
 * Writes one member of a zip file to a new file.
 *
 * @param onProgress called with the bytes written so far
 * @returns SHA-256 of what was written, in hex
 * @throws {SyntaxError} if the file is no zip file or lacks the member
 */
export async function unpackMember(
  zip: string,
  member: string,
  into: string,
  onProgress: (bytes: number) => void = () => {},
  signal?: AbortSignal,
): Promise<string> {
  const { start, bytes, deflated } = await findMember(zip, member);
  const hash = createHash("sha256");
  let done = 0;
  const watch = new Transform({
    transform(chunk, _encoding, next) {
      hash.update(chunk);
      onProgress(done += chunk.length);
      next(null, chunk);
    },
  });
  const packed: Readable = createReadStream(zip, { start, end: start + bytes - 1 });
  const file = createWriteStream(into, { flags: "wx" });
  const options = signal ? { signal } : {};
  await (deflated
    ? pipeline(packed, createInflateRaw(), watch, file, options)
    : pipeline(packed, watch, file, options));
  return hash.digest("hex");
}

/** Where the packed bytes of a member lie. */
async function findMember(zip: string, member: string): Promise<{ start: number; bytes: number; deflated: boolean }> {
  const file = await open(zip, "r");
  try {
    const entry = await findEntry(file, zip, member);
    const local = await readAt(file, entry.readUInt32LE(42), 30);
    const start = entry.readUInt32LE(42) + 30 + local.readUInt16LE(26) + local.readUInt16LE(28);
    const method = entry.readUInt16LE(10);
    if (method !== 0 && method !== 8) throw new SyntaxError(`${zip} packs ${member} by the unknown method ${method}`);
    return { start, bytes: entry.readUInt32LE(20), deflated: method === 8 };
  } finally {
    await file.close();
  }
}

/** The central directory's entry of a member. */
async function findEntry(file: FileHandle, zip: string, member: string): Promise<Buffer> {
  const { size } = await file.stat();
  const tail = await readAt(file, Math.max(0, size - END_BYTES - LONGEST_COMMENT), END_BYTES + LONGEST_COMMENT);
  const end = tail.lastIndexOf(Buffer.from("PK\x05\x06", "latin1"));
  if (end < 0 || tail.length < end + END_BYTES) throw new SyntaxError(`${zip} is no whole zip file`);
  const directory = await readAt(file, tail.readUInt32LE(end + 16), tail.readUInt32LE(end + 12));
  for (let at = 0; at + 46 <= directory.length;) {
    const nameBytes = directory.readUInt16LE(at + 28);
    const next = at + 46 + nameBytes + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
    if (directory.toString("utf8", at + 46, at + 46 + nameBytes) === member) return directory.subarray(at, next);
    at = next;
  }
  throw new SyntaxError(`${zip} holds no ${member}`);
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, position);
  return buffer.subarray(0, bytesRead);
}
