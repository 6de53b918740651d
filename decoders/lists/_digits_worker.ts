/** A worker that draws and encodes demo clips: it is sent batches of jobs and answers each batch once it is written. */
import fs from "node:fs";
import { drawClip } from "./_digit_motion.ts";
import { encodeClip } from "./_encode_clip.ts";

/** One clip to make. */
export interface DigitJob {
  /** Where; the ending names the format. */
  path: string;
  digit: Uint8Array;
  motion: number;
  draws: Float64Array;
  frames: number;
  size: number;
}

/** The answer to a batch: null, or what went wrong. */
export type DigitAnswer = string | null;

/** Pictures a second, as many as Something-Something has. */
const FPS = 12;

interface WorkerScope {
  onmessage: (event: MessageEvent<DigitJob[]>) => void;
  postMessage(answer: DigitAnswer): void;
}

const scope = self as unknown as WorkerScope;

scope.onmessage = ({ data: jobs }) => {
  let answer: DigitAnswer = null;
  try {
    jobs.forEach(makeClip);
  } catch (error) {
    answer = error instanceof Error ? error.message : String(error);
  }
  scope.postMessage(answer);
};

function makeClip(job: DigitJob): void {
  const { path, size } = job;
  const temporary = `${path}.partial`;
  const codec = path.endsWith(".webm") ? "vp9" : "h264";
  try {
    encodeClip(temporary, drawClip(job), { width: size, height: size, fps: FPS, codec });
    Deno.renameSync(temporary, path);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw error;
  }
}
