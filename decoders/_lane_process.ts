/**
 * The parent's end of one decoder lane: starts the process with the least permissions, keeps its jobs, and kills it when
 * a clip passes its deadline. What has ended stays ended; `lanes.ts` starts another.
 */
import { fileURLToPath } from "node:url";
import { clipErrorOrThrow, CorruptClipError, type DecodeRequest, type ViewOutcome } from "./decoder.ts";
import { ffmpegCommands } from "./_ffmpeg_paths.ts";
import type { LaneAnswer, LaneError, LaneOutcome, LaneRequest } from "./_lane.ts";
import { messageHead, MessageReader, TOO_MUCH_MEMORY } from "./_messages.ts";
import { Slots } from "./_slots.ts";

/** How a lane decodes. */
export interface LaneOptions {
  /** In the lane's process, or by ffmpeg processes that it starts. */
  decoder: "libav" | "ffmpeg";
  /** Time that a clip may take, milliseconds. */
  deadlineMs: number;
  /** Memory that the lane's process may have, bytes; the ffmpeg command limits its own. */
  memoryBytes: number;
}

/** Views of one clip and where the answer goes. */
export interface Job {
  requests: readonly [DecodeRequest, ...DecodeRequest[]];
  /** Receives the cubes of each. */
  into: readonly Uint8Array[];
  resolve: (views: ViewOutcome[]) => void;
  reject: (error: unknown) => void;
}

/** Time that a process may take to start, milliseconds; a machine under load compiles for long. */
const START_LIMIT_MS = 60_000;

/** Time that an idle process may take to end after its input did, milliseconds. */
const CLOSE_LIMIT_MS = 2_000;

/** Time that a lane has to kill its own ffmpeg before it is killed itself, milliseconds. */
const FFMPEG_GRACE_MS = 2_000;

/** Characters of stderr that are kept for an error. */
const STDERR_KEPT = 2_000;

/** One lane. */
export class LaneProcess {
  readonly #options: LaneOptions;
  readonly #slots = new Slots();
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #jobs: Job[] = [];
  readonly #onRoom: () => void;
  #ready = false;
  #late = false;
  #fat = false;
  #killed = false;
  #stopped: { error: unknown } | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sent = 0;
  #answered = 0;
  /** Resolves once the process is gone, to the jobs that another one is to do. */
  readonly ended: Promise<Job[]>;

  /**
   * @param options How to decode.
   * @param onRoom Called after every answer.
   * @throws {Deno.errors.NotCapable} Processes may not be started.
   */
  constructor(options: LaneOptions, onRoom: () => void) {
    this.#options = options;
    this.#onRoom = onRoom;
    try {
      this.#child = startProcess(options, this.#slots.path);
    } catch (error) {
      this.#slots[Symbol.dispose]();
      throw error;
    }
    this.#input = this.#child.stdin.getWriter();
    this.#setTimer();
    this.ended = this.#run();
  }

  /** Jobs given and not answered; endless once the process is going. */
  get load(): number {
    return this.#killed ? Infinity : this.#jobs.length;
  }

  /** Gives the lane another job. */
  give(job: Job): void {
    this.#jobs.push(job);
    const message: LaneRequest = { id: this.#sent++, requests: [...job.requests] };
    this.#input.write(messageHead(message)).catch(() => {}); // a process that is gone is noticed where it is read
    if (this.#jobs.length === 1) this.#setTimer();
  }

  /** Ends the process; jobs under way are rejected with `error`. */
  async stop(error: unknown): Promise<void> {
    this.#stopped = { error };
    if (this.#jobs.length > 0 || !this.#ready) {
      this.#kill();
    } else {
      this.#input.close().catch(() => {});
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#kill(), CLOSE_LIMIT_MS);
    }
    await this.ended;
  }

  async #run(): Promise<Job[]> {
    const stderr = keepTail(this.#child.stderr, (tail) => {
      if (!tail.includes(TOO_MUCH_MEMORY)) return;
      this.#fat = true;
      this.#kill();
    });
    let broken: unknown;
    try {
      await this.#readAnswers();
    } catch (error) {
      broken = error;
    }
    this.#kill();
    const status = await this.#child.status;
    clearTimeout(this.#timer);
    this.#input.abort().catch(() => {});
    this.#slots[Symbol.dispose]();
    return this.#settle(status, await stderr, broken);
  }

  async #readAnswers(): Promise<void> {
    const answers = new MessageReader<LaneAnswer>(this.#child.stdout);
    for (let message = await answers.next(); message !== null; message = await answers.next()) {
      const { content } = message;
      if ("ready" in content) {
        this.#ready = true;
        this.#slots.hide();
      } else {
        const job = this.#jobs[0]!, [{ path }] = job.requests;
        if ("outcomes" in content) {
          if (content.inSlot) this.#slots.read(content.id, job.into);
          else for (const cubes of job.into) if (!await answers.payload(cubes)) return;
        }
        this.#jobs.shift();
        this.#answered++;
        if ("error" in content) job.reject(errorOf(content.error, path));
        else job.resolve(content.outcomes.map((outcome, i) => outcomeOf(outcome, job.into[i]!, path)));
        this.#onRoom();
      }
      this.#setTimer();
    }
  }

  /**
   * Rejects what cannot be answered any more. A clip is blamed for a death only if it was the first of its process: an
   * earlier one may have left damage or filled the memory. @returns The jobs to do elsewhere.
   */
  #settle(status: Deno.CommandStatus, stderr: string, broken: unknown): Job[] {
    const jobs = this.#jobs.splice(0);
    const how = `${status.signal === null ? `exit code ${status.code}` : status.signal}${stderr && `: ${stderr}`}`;
    if (this.#stopped !== null) {
      for (const { reject } of jobs) reject(this.#stopped.error);
      return [];
    }
    if (!this.#ready) {
      const limit = this.#late ? ` within ${START_LIMIT_MS / 1000} s` : "";
      for (const { reject } of jobs) reject(new Error(`A decoder process did not start${limit} (${how})`));
      return [];
    }
    if (this.#answered > 0 && !this.#late && broken === undefined) return jobs;
    const [head, ...left] = jobs;
    if (head === undefined) return left;
    const [{ path }] = head.requests;
    if (this.#late) {
      const seconds = this.#options.deadlineMs / 1000;
      head.reject(new CorruptClipError(path, "timed-out", `decoding took longer than ${seconds} s`));
    } else if (this.#fat) {
      const mebibytes = Math.round(this.#options.memoryBytes / 2 ** 20);
      head.reject(new CorruptClipError(path, "crashed-decoder", `decoding took more than ${mebibytes} MiB of memory`));
    } else if (broken !== undefined) {
      head.reject(new Error(`A decoder process answered nonsense for ${path}`, { cause: broken }));
    } else {
      head.reject(new CorruptClipError(path, "crashed-decoder", `its process died (${how})`));
    }
    return left;
  }

  /** Starts the time of the start or of the first job, or stops it where there is none. */
  #setTimer(): void {
    clearTimeout(this.#timer);
    if (this.#ready && this.#jobs.length === 0) return;
    const grace = this.#options.decoder === "ffmpeg" ? FFMPEG_GRACE_MS : 0;
    this.#timer = setTimeout(() => {
      this.#late = true;
      this.#kill();
    }, this.#ready ? this.#options.deadlineMs + grace : START_LIMIT_MS);
  }

  #kill(): void {
    this.#killed = true;
    try {
      this.#child.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof Deno.errors.NotFound)) throw error; // already gone
    }
  }
}

function startProcess({ decoder, deadlineMs, memoryBytes }: LaneOptions, slots: string | null): Deno.ChildProcess {
  const permissions = ["--allow-read", "--allow-env", "--allow-sys"];
  permissions.push(decoder === "libav" ? "--allow-ffi" : `--allow-run=${Object.values(ffmpegCommands()).join(",")}`);
  if (slots !== null) permissions.push(`--allow-write=${slots}`);
  const script = fileURLToPath(new URL("./_lane.ts", import.meta.url));
  const limits = [deadlineMs, memoryBytes].map(String);
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", ...permissions, script, decoder, ...limits, slots ?? ""],
    clearEnv: true,
    env: laneEnvironment(),
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    // A group of its own: Ctrl-C means the parent, which lets its step finish.
    detached: Deno.build.os !== "windows",
  }).spawn();
}

/**
 * This process's environment without the engine's allocator settings and without loader variables, which Deno only hands
 * on with the permission to run anything.
 */
function laneEnvironment(): Record<string, string> {
  const entries = Object.entries(Deno.env.toObject());
  return Object.fromEntries(entries.filter(([name]) => !/^(?:GLIBC_TUNABLES$|LD_|DYLD_)/.test(name)));
}

/**
 * Reads a stream to its end, which keeps the writer from blocking.
 *
 * @param onText Called with the end of the text whenever there is more of it.
 * @returns The end of its text.
 */
async function keepTail(stream: ReadableStream<Uint8Array>, onText: (tail: string) => void): Promise<string> {
  let tail = "";
  for await (const part of stream.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)) {
    tail = (tail + part).slice(-STDERR_KEPT);
    onText(tail);
  }
  return tail.trim();
}

function outcomeOf(outcome: LaneOutcome, cubes: Uint8Array, path: string): ViewOutcome {
  if ("error" in outcome) return clipErrorOrThrow(errorOf(outcome.error, path));
  const { frames, ptsUs, ...rest } = outcome.view;
  return { ...rest, cubes, frames: Int32Array.from(frames), ptsUs: BigInt64Array.from(ptsUs, BigInt) };
}

function errorOf({ name, message, exitCode, clip }: LaneError, path: string): Error {
  if (clip !== undefined) return new CorruptClipError(path, clip.reason, clip.detail, clip.byteOffset);
  if (exitCode !== undefined) return Object.assign(new Error(message), { name, exitCode });
  if (name === "RangeError") return new RangeError(message);
  return name === "TypeError" ? new TypeError(message) : new Error(message);
}
