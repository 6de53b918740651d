/** How fast the disk of a folder is: a file is written, waited for, read and removed. */
import fs from "node:fs";
import type { Measured } from "./_doctor_speeds.ts";

const BLOCK = 4 * 2 ** 20;
const BLOCKS = 32;
/** A disk so full is not filled further. */
const LEAST_FREE = 10 * BLOCK * BLOCKS;

/** Measures; nothing on a disk that is nearly full. */
export function measureDisk(folder: string, now = () => performance.now()): Measured | undefined {
  const { bavail, bsize } = fs.statfsSync(folder);
  if (bavail * bsize < LEAST_FREE) return undefined;
  const path = Deno.makeTempFileSync({ dir: folder, prefix: ".doctor-" });
  try {
    const block = new Uint8Array(BLOCK);
    // Numbers that no file system can compress.
    for (let at = 0; at < BLOCK; at += 65_536) crypto.getRandomValues(block.subarray(at, at + 65_536));
    const bytes = BLOCK * BLOCKS;
    const written = seconds(now, () =>
      withFile(path, "w", (file) => {
        for (let i = 0; i < BLOCKS; i++) fs.writeSync(file, block);
        fs.fsyncSync(file);
      }));
    const read = seconds(now, () =>
      withFile(path, "r", (file) => {
        for (let i = 0; i < BLOCKS; i++) fs.readSync(file, block);
      }));
    return { writtenBytesPerSecond: bytes / written, readBytesPerSecond: bytes / read };
  } finally {
    Deno.removeSync(path);
  }
}

function withFile(path: string, flags: string, body: (file: number) => void): void {
  const file = fs.openSync(path, flags);
  try {
    body(file);
  } finally {
    fs.closeSync(file);
  }
}

function seconds(now: () => number, body: () => void): number {
  const started = now();
  body();
  return (now() - started) / 1000;
}
