/**
 * A disk that is full, or a folder that may not be written: which file could not be, and what mends it. The system's own
 * message names no file, or no mend.
 */

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

/** A folder that this user may not write, or that nobody may. */
const FORBIDDEN_CODES = new Set(["EACCES", "EROFS", "EPERM"]);
/** The same where there is a number alone, as Deno's and libav's. */
const FORBIDDEN_MESSAGE = /\((?:os error |-)(?:1|13|30)\)/;

/** The user may not write there. */
export class NotWritableError extends Error {
  override readonly name = "NotWritableError";

  /** @param path The file or folder that could not be written. */
  constructor(readonly path: string, options: { readonly cause: Error }) {
    super(
      `${path} may not be written (${options.cause.message}): change whose it is, or name another folder with --cache ` +
        "(clips and shards) or --run (checkpoints and report)",
      options,
    );
  }
}

/**
 * Does something that writes.
 *
 * @param path What is written, for the message.
 * @throws {DiskFullError} where it fails for want of space
 * @throws {NotWritableError} where it fails for want of permission; other errors pass as they are
 */
export function orDiskFull<T>(path: string, work: () => T): T {
  const fail = (error: unknown): never => {
    if (isFull(error)) throw new DiskFullError(path, { cause: error });
    throw isForbidden(error) ? new NotWritableError(path, { cause: error }) : error;
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

function isForbidden(error: unknown): error is Error {
  if (!(error instanceof Error) || error instanceof NotWritableError) return false;
  return ("code" in error && FORBIDDEN_CODES.has(String(error.code))) || FORBIDDEN_MESSAGE.test(error.message);
}
