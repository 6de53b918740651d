/**
 * Decodes clips side by side in child processes of this same Deno. A clip that blocks its decoder or kills it is
 * reported and costs one process, which is replaced; other clips are decoded as if nothing had happened. A process that
 * dies or grows too large after it had decoded others gives its clip to a fresh one. Answers come as they are ready:
 * whoever needs an order keeps the promises in order.
 */
import {
  checkOneClip,
  checkRequest,
  type ClipDecoder,
  clipErrorOrThrow,
  CorruptClipError,
  type DecodedView,
  type DecodeRequest,
  type ViewOutcome,
} from "./decoder.ts";
import { type Job, type LaneOptions, LaneProcess } from "./_lane_process.ts";
import { SLOTS } from "./_slots.ts";

/** How to decode. */
export interface DecoderLanesOptions extends Partial<LaneOptions> {
  /** Processes side by side. @default one a core */
  lanes?: number;
  /** Stops all lanes; requests not answered are rejected with its reason. */
  signal?: AbortSignal;
}

/** A pool of decoding processes, each started when it is first needed. Free it with `await using`. */
export class DecoderLanes implements ClipDecoder, AsyncDisposable {
  readonly #options: LaneOptions;
  readonly #most: number;
  readonly #signal: AbortSignal | undefined;
  readonly #lanes = new Set<LaneProcess>();
  readonly #queue: Job[] = [];
  #closed: { error: unknown } | null = null;

  /**
   * @param options How to decode; "libav", a deadline of 60 s and 2 GiB a lane unless told: room for pictures of 8K.
   * @throws {RangeError} A number makes no sense.
   */
  constructor(options: DecoderLanesOptions = {}) {
    const { lanes = navigator.hardwareConcurrency, decoder = "libav", signal } = options;
    const { deadlineMs = 60_000, memoryBytes = 2 ** 31 } = options;
    if (!Number.isInteger(lanes) || lanes < 1) throw new RangeError(`Lanes must be at least 1, got ${lanes}`);
    if (!(deadlineMs > 0 && deadlineMs < 2 ** 31 - 10_000)) {
      throw new RangeError(`The deadline of a clip must be above 0 and below 24 days, got ${deadlineMs} ms`);
    }
    if (!(memoryBytes >= 2 ** 27)) throw new RangeError(`A lane needs at least 128 MiB, got ${memoryBytes} bytes`);
    this.#options = { decoder, deadlineMs, memoryBytes };
    this.#most = lanes;
    this.#signal = signal;
    signal?.addEventListener("abort", this.#onAbort);
    if (signal?.aborted) this.#onAbort();
  }

  /**
   * Decodes a view; calls beyond the lanes' room wait their turn.
   *
   * @param request What to decode.
   * @param into Receives the cubes; a fresh buffer when left out. It belongs to the decoder until the promise settles.
   * @returns The view.
   * @throws {CorruptClipError} The clip cannot be decoded whole; "timed-out" past its deadline, "crashed-decoder" where
   * the process died of it or took too much memory.
   * @throws {RangeError} The request makes no sense.
   */
  async decode(request: DecodeRequest, into?: Uint8Array): Promise<DecodedView> {
    const [view] = await this.#ask([request], [checkRequest(request, into).cubes]);
    if (view instanceof CorruptClipError) throw view;
    return view!;
  }

  /**
   * Decodes several views of one clip in one lane, which reads the clip once. Where the lane does not come through with
   * all of them, within the time and the memory of one view, each is decoded alone.
   *
   * @param requests Views of one clip.
   * @param into Receives the cubes of each; they belong to the decoder until the promise settles.
   * @returns For each request its view, or why it cannot be made.
   * @throws {RangeError} A request makes no sense.
   */
  async decodeViews(requests: readonly DecodeRequest[], into: readonly Uint8Array[]): Promise<ViewOutcome[]> {
    checkOneClip(requests);
    for (const [i, request] of requests.entries()) checkRequest(request, into[i]);
    const [first, ...more] = requests as [DecodeRequest, ...DecodeRequest[]];
    try {
      return await this.#ask([first, ...more], into);
    } catch (error) {
      const bad = clipErrorOrThrow(error);
      if (more.length === 0) return [bad];
      const alone = await Promise.all(requests.map((request, i) => this.decodeViews([request], [into[i]!])));
      return alone.flat();
    }
  }

  /** Ends all processes. Requests not answered are rejected. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close(new Error("The decoder lanes were closed"));
  }

  readonly #onAbort = (): void => {
    this.#close(this.#signal!.reason);
  };

  #ask(requests: Job["requests"], into: Job["into"]): Promise<ViewOutcome[]> {
    if (this.#closed !== null) throw this.#closed.error;
    const { promise, resolve, reject } = Promise.withResolvers<ViewOutcome[]>();
    this.#queue.push({ requests, into, resolve, reject });
    this.#dispatch();
    return promise;
  }

  async #close(error: unknown): Promise<void> {
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#closed ??= { error };
    for (const { reject } of this.#queue.splice(0)) reject(this.#closed.error);
    await Promise.all(Array.from(this.#lanes, (lane) => lane.stop(this.#closed!.error)));
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      let lane: LaneProcess | undefined;
      try {
        lane = this.#laneWithRoom();
      } catch (error) {
        for (const { reject } of this.#queue.splice(0)) reject(error);
      }
      if (lane === undefined) return;
      lane.give(this.#queue.shift()!);
    }
  }

  /** An idle lane if there is one, else a new one if it may be, else the one with the fewest jobs if it has room. */
  #laneWithRoom(): LaneProcess | undefined {
    let best: LaneProcess | undefined;
    for (const lane of this.#lanes) if (lane.load < (best?.load ?? SLOTS)) best = lane;
    if (best?.load === 0 || this.#lanes.size >= this.#most) return best;
    return this.#start();
  }

  #start(): LaneProcess {
    const lane = new LaneProcess(this.#options, () => this.#dispatch());
    this.#lanes.add(lane);
    lane.ended.then((left) => {
      this.#lanes.delete(lane);
      this.#queue.unshift(...left);
      this.#dispatch();
    });
    return lane;
  }
}
