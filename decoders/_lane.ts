/**
 * A decoder lane: a process that decodes the clips it is asked for on stdin, one after the other, and answers on stdout.
 * It ends when its input ends, and so with the process that started it.
 */
import { type ClipDecoder, CorruptClipError, type DecodedView, type DecodeRequest, viewLayout } from "./decoder.ts";
import { messageHead, MessageReader } from "./_messages.ts";
import { openSlots, writeSlot } from "./_slots.ts";

/** What is asked of a lane. */
export interface LaneRequest {
  id: number;
  request: DecodeRequest;
}

/** A view without its cubes, as JSON; they lie in the slot of the request's number, or follow as the payload. */
export interface LaneView extends Omit<DecodedView, "cubes" | "frames" | "ptsUs"> {
  inSlot: boolean;
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

/** What a lane answers; `ready` once, before anything else. */
export type LaneAnswer = { ready: true } | { id: number; view: LaneView } | { id: number; error: LaneError };

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
    const { id, request } = message.content;
    try {
      const { bytes } = viewLayout(request);
      if (memory.length !== bytes) memory = new Uint8Array(bytes);
      const { cubes, frames, ptsUs, ...rest } = await decoder.decode(request, memory);
      const inSlot = writeSlot(slots, id, cubes);
      const view = { ...rest, inSlot, frames: [...frames], ptsUs: Array.from(ptsUs, String) };
      answer({ id, view }, inSlot ? undefined : cubes);
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
