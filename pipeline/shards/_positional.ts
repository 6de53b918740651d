/** Reads and writes at a byte position that finish what they begin, or throw. */
import fs from "node:fs";
import { promisify } from "node:util";
import zlib from "node:zlib";

const readInBackground = promisify(fs.read);

/** The bytes of any typed array, without a copy. */
export function bytesOf(data: ArrayBufferView): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** CRC-32 (zlib's), continuing from `start`. */
export function crc32(bytes: Uint8Array, start = 0): number {
  return zlib.crc32(bytes, start) >>> 0;
}

/** Writes all bytes at an offset; a full disk throws here. */
export function writeAt(fd: number, bytes: Uint8Array, offset: number): void {
  for (let done = 0; done < bytes.length;) {
    const written = fs.writeSync(fd, bytes, done, bytes.length - done, offset + done);
    if (written === 0) throw new Error(`No byte could be written at offset ${offset + done}`);
    done += written;
  }
}

/** Fills `into` from an offset. Returns the bytes read: fewer than wanted only where the file ends. */
export function readAt(fd: number, into: Uint8Array, offset: number): number {
  let done = 0;
  while (done < into.length) {
    const read = fs.readSync(fd, into, done, into.length - done, offset + done);
    if (read === 0) break;
    done += read;
  }
  return done;
}

/** {@linkcode readAt} in the background; reads of one descriptor wait for each other. */
export async function readAtAsync(fd: number, into: Uint8Array, offset: number): Promise<number> {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await readInBackground(fd, into, done, into.length - done, offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}
