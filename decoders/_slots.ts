/**
 * Memory that a process shares with one of its decoder lanes: a temporary file, which takes views in one call where a
 * pipe takes forty for each. It has lost its name by the time that it is used, so that nothing stays behind however the two end.
 * Where there can be none, or the disk is full, cubes go through the pipe.
 */

/** Requests whose views are in the file, which are also the requests that a lane holds at most: one at work, one that need not be awaited. */
export const SLOTS = 2;

/** Bytes from one slot to the next; the file has holes, so that only what is written takes room. */
const SLOT_BYTES = 2 ** 30;

/** Where the cubes of a request lie; the numbers of a lane's requests count up. */
function offsetOf(id: number): number {
  return (id % SLOTS) * SLOT_BYTES;
}

/** The parent's end. */
export class Slots implements Disposable {
  readonly #file: Deno.FsFile | null = null;
  #path: string | null = null;

  constructor() {
    try {
      this.#path = Deno.makeTempFileSync({ prefix: "tubelet_lane_" });
      this.#file = Deno.openSync(this.#path);
    } catch {
      this.hide();
    }
  }

  /** The file as long as it has a name, null where there is none. */
  get path(): string | null {
    return this.#path;
  }

  /** Takes the name away, once both ends have opened the file. */
  hide(): void {
    if (this.#path === null) return;
    try {
      Deno.removeSync(this.#path);
      this.#path = null;
    } catch {
      // Windows keeps files that are open: tried again at the end.
    }
  }

  /** Fills the views of a request with their cubes. */
  read(id: number, views: readonly Uint8Array[]): void {
    const file = this.#file!;
    file.seekSync(offsetOf(id), Deno.SeekMode.Start);
    for (const [view, cubes] of views.entries()) {
      for (let at = 0; at < cubes.length;) {
        const bytes = file.readSync(cubes.subarray(at));
        if (bytes === null) {
          throw new Error(`The slot of request ${id} ends after ${at} of ${cubes.length} bytes of view ${view}`);
        }
        at += bytes;
      }
    }
  }

  [Symbol.dispose](): void {
    this.#file?.close();
    this.hide();
  }
}

/** Opens the lane's end, or nothing where that may not be. */
export function openSlots(path: string): Deno.FsFile | null {
  try {
    return Deno.openSync(path, { write: true });
  } catch {
    return null;
  }
}

/** Fills a slot from the lane's end. @returns Whether the cubes of a request now lie in its slot. */
export function writeSlot(file: Deno.FsFile | null, id: number, cubes: Uint8Array): boolean {
  if (file === null || cubes.length > SLOT_BYTES) return false;
  try {
    file.seekSync(offsetOf(id), Deno.SeekMode.Start);
    return file.writeSync(cubes) === cubes.length;
  } catch {
    return false; // a full disk
  }
}
