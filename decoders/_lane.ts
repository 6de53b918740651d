/**
 * A decoder lane: a process that decodes the clips it is asked for on stdin, one after the other, and answers on stdout.
 * It ends when its input ends, and so with the process that started it.
 */
import {
  type ClipDecoder,
  CorruptClipError,
  type DecodedView,
  type DecodeRequest,
  decodeViews,
  viewLayout,
  type ViewOutcome,
} from "./decoder.ts";
import { messageHead, MessageReader } from "./_messages.ts";
import { openSlots, writeSlot } from "./_slots.ts";

/** What is asked of a lane: views of one clip. */
export interface LaneRequest {
  id: number;
  requests: DecodeRequest[];
}

/** A view without its cubes, as JSON. */
export interface LaneView extends Omit<DecodedView, "cubes" | "frames" | "ptsUs"> {
  frames: number[];
  /** As texts: JSON has no 64-bit integers. */
  ptsUs: string[];
}

/** An error as JSON. */
export interface LaneError {
  name: string;
  message: string;
  /** Exit code that it asks of a task. */
  exitCode?: number;
  /** Of a clip that cannot be decoded. */
  clip?: Pick<CorruptClipError, "reason" | "detail" | "byteOffset">;
}

/** A view, or why there is none. */
export type LaneOutcome = { view: LaneView } | { error: LaneError };

/**
 * What a lane answers; `ready` once, before anything else. The cubes of the views, one after the other, lie in the slot of
 * the request's number, or follow as the payload.
 */
export type LaneAnswer =
  | { ready: true }
  | { id: number; outcomes: LaneOutcome[]; inSlot: boolean }
  | { id: number; error: LaneError };

async function openDecoder(name: string | undefined, deadlineMs: number): Promise<ClipDecoder> {
  switch (name) {
    case "libav":
      return new (await import("./libav.ts")).LibavDecoder();
    case "ffmpeg":
      return new (await import("./ffmpeg_command.ts")).FfmpegCommandDecoder({ deadlineMs });
    default:
      throw new TypeError(`A decoder lane decodes with "libav" or "ffmpeg", got "${name}"`);
  }
}

function errorContent(error: unknown): LaneError {
  if (!(error instanceof Error)) return { name: "Error", message: String(error) };
  const { name, message } = error;
  if ("exitCode" in error) return { name, message, exitCode: Number(error.exitCode) };
  if (!(error instanceof CorruptClipError)) return { name, message };
  const { reason, detail, byteOffset } = error;
  return { name, message, clip: { reason, detail, byteOffset } };
}

function outcomeContent(outcome: ViewOutcome): LaneOutcome {
  if (outcome instanceof CorruptClipError) return { error: errorContent(outcome) };
  const { cubes: _, frames, ptsUs, ...rest } = outcome;
  return { view: { ...rest, frames: [...frames], ptsUs: Array.from(ptsUs, String) } };
}

function answer(content: LaneAnswer, payload: Uint8Array = new Uint8Array(0)): void {
  for (let bytes of [messageHead(content, payload.length), payload]) {
    while (bytes.length > 0) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
  }
}

async function serve(decoder: ClipDecoder, slots: Deno.FsFile | null): Promise<void> {
  const requests = new MessageReader<LaneRequest>(Deno.stdin.readable);
  let memory = new Uint8Array(0);
  answer({ ready: true });
  for (let message = await requests.next(); message !== null; message = await requests.next()) {
    const { id, requests } = message.content;
    try {
      const sizes = requests.map((request) => viewLayout(request).bytes), ends = [0];
      for (const bytes of sizes) ends.push(ends.at(-1)! + bytes);
      if (memory.length < ends.at(-1)!) memory = new Uint8Array(ends.at(-1)!);
      const into = requests.map((_, i) => memory.subarray(ends[i]!, ends[i + 1]!));
      const outcomes = (await decodeViews(decoder, requests, into)).map(outcomeContent);
      const cubes = memory.subarray(0, ends.at(-1)!), inSlot = writeSlot(slots, id, cubes);
      answer({ id, outcomes, inSlot }, inSlot ? undefined : cubes);
    } catch (error) {
      answer({ id, error: errorContent(error) });
    }
  }
}

if (import.meta.main) {
  const [name, deadlineMs, memoryBytes, slots] = Deno.args;
  new Worker(new URL("./_memory_watch.ts", import.meta.url), { type: "module", name: memoryBytes! });
  await serve(await openDecoder(name, Number(deadlineMs)), slots ? openSlots(slots) : null);
  Deno.exit(0);
}
