/** SHA-256 of files: small ones at once, large ones in a thread of their own. */
import { createHash } from "node:crypto";
import fs from "node:fs";

/** From this size on a file gets a thread, which takes some 30 ms to start. */
const THREAD_BYTES = 32 * 2 ** 20;
const CHUNK_BYTES = 2 ** 20;

/** What a thread is asked. */
export interface HashJob {
  readonly path: string;
  readonly head: Uint8Array;
}

/** What it answers: the hash, or an error's text and the system's name of it. */
export type HashAnswer = { readonly sha256: string } | { readonly message: string; readonly code: string | undefined };

/**
 * SHA-256 of a file.
 *
 * @param path The file.
 * @param head Stands for the file's first bytes, which may have yet to be written. @default none
 * @returns 64 hexadecimal digits.
 * @throws The system's error, if the file cannot be read.
 */
// deno-lint-ignore require-await -- so that an error of the small file is a rejection too
export async function sha256OfFile(path: string, head: Uint8Array = new Uint8Array()): Promise<string> {
  return fs.statSync(path).size < THREAD_BYTES ? sha256OfReads(path, head) : sha256ByThread({ path, head });
}

/** As {@linkcode sha256OfFile}, in this thread. */
export function sha256OfReads(path: string, head: Uint8Array): string {
  const hash = createHash("sha256").update(head), chunk = new Uint8Array(CHUNK_BYTES);
  const fd = fs.openSync(path, "r");
  try {
    for (let at = head.length;;) {
      const read = fs.readSync(fd, chunk, 0, chunk.length, at);
      if (read === 0) return hash.digest("hex");
      hash.update(chunk.subarray(0, read));
      at += read;
    }
  } finally {
    fs.closeSync(fd);
  }
}

async function sha256ByThread(job: HashJob): Promise<string> {
  const worker = new Worker(new URL("./_hash_worker.ts", import.meta.url), { type: "module" });
  try {
    const { promise, resolve, reject } = Promise.withResolvers<HashAnswer>();
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(`The thread that hashes ${job.path} failed: ${event.message}`));
    };
    worker.postMessage(job);
    const answer = await promise;
    if ("sha256" in answer) return answer.sha256;
    throw Object.assign(new Error(answer.message), answer.code !== undefined && { code: answer.code });
  } finally {
    worker.terminate();
  }
}
