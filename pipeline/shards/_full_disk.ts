/** A disk that is full: which file could not be written, and what mends it. The system's own message names no file. */

/** No space, or the user's share of it is used up, or the file would be larger than may be. */
const FULL_CODES = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);
/** How libav, which has no codes, says the first of them. */
const FULL_MESSAGE = /\(-28\)$/;

/** The disk is full. Whatever was complete is kept: the same command goes on once there is space. */
export class DiskFullError extends Error {
  override readonly name = "DiskFullError";

  /** @param path The file or folder that could not be written. */
  constructor(readonly path: string, options?: ErrorOptions) {
    super(
      `No space is left to write ${path}: free some and run the same command again, or name a folder on another disk ` +
        "with --cache (clips and shards) or --run (checkpoints and report)",
      options,
    );
  }
}

/**
 * Does something that writes.
 *
 * @param path What is written, for the message.
 * @throws {DiskFullError} where it fails for want of space; other errors pass as they are
 */
export function orDiskFull<T>(path: string, work: () => T): T {
  const fail = (error: unknown): never => {
    throw isFull(error) ? new DiskFullError(path, { cause: error }) : error;
  };
  try {
    const result = work();
    return result instanceof Promise ? result.catch(fail) as T : result;
  } catch (error) {
    return fail(error);
  }
}

function isFull(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof DiskFullError) return false;
  return ("code" in error && FULL_CODES.has(String(error.code))) || FULL_MESSAGE.test(error.message);
}
