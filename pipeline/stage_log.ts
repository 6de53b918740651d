/**
 * `stages.json` of a run: for every stage its name, the hash of all it depends on, how far it came, its seconds and what
 * it reported. A stage that is done under the same hash is skipped; jobs of a CI read the file to hand results on.
 */
import fs from "node:fs";
import type { Json } from "./shards/config_hash.ts";
import { errorCode, writeFileAtomically } from "./shards/_publish.ts";

/** How far a stage came. A stage that reads "running" although no process holds the run's lock was killed. */
export type StageState = "running" | "done" | "failed" | "interrupted";

/** One entry of `stages.json`. */
export interface StageRecord {
  name: string;
  /** Hash of the settings and input files that the result depends on. */
  hash: string;
  state: StageState;
  /** Working time under this hash, all attempts together. */
  seconds: number;
  /** Whether the last run found the stage done. */
  skipped: boolean;
  /** What the stage reported when it was done. */
  result: Json;
}

/** What {@linkcode StageLog.run} gives back. */
export interface StageOutcome<T> {
  result: T;
  seconds: number;
  skipped: boolean;
}

/** Options of {@linkcode StageLog.run}. */
export interface RunStageOptions<T> {
  /** Whether the files of an earlier result are still there. @default always */
  isWhole?: (result: T) => boolean | Promise<boolean>;
  /** Work even if the stage is done. @default false */
  force?: boolean;
}

/** The open `stages.json`; every change is on the disk at return. */
export class StageLog {
  readonly #records = new Map<string, StageRecord>();

  /**
   * @param path The file; it need not exist.
   * @param clock Milliseconds that never run backwards.
   * @throws {SyntaxError} if the file cannot be read as a list of stages
   */
  constructor(readonly path: string, private readonly clock: () => number = () => performance.now()) {
    for (const record of readRecords(path)) this.#records.set(record.name, record);
  }

  /** The stages so far, in the order in which they first ran. */
  get records(): readonly StageRecord[] {
    return [...this.#records.values()];
  }

  /** The entry of a stage; undefined if it never began. */
  find(name: string): StageRecord | undefined {
    return this.#records.get(name);
  }

  /**
   * Runs a stage, or skips it if it is done under the same hash.
   *
   * @param name The stage.
   * @param hash Hash of all that the result depends on.
   * @param work Does the work and returns a short report, kept for runs that skip the stage.
   */
  async run<T extends Json>(
    name: string,
    hash: string,
    work: () => Promise<T>,
    options: RunStageOptions<T> = {},
  ): Promise<StageOutcome<T>> {
    const known = this.#records.get(name);
    const same = known?.hash === hash;
    if (known && same && known.state === "done" && !options.force) {
      const result = known.result as T;
      if (await (options.isWhole?.(result) ?? true)) {
        this.#put({ ...known, skipped: true });
        return { result, seconds: known.seconds, skipped: true };
      }
    }
    const before = same && known.state !== "done" ? known.seconds : 0;
    const record: StageRecord = { name, hash, state: "running", seconds: before, skipped: false, result: null };
    this.#put(record);
    const start = this.clock();
    const seconds = () => before + Math.round(this.clock() - start) / 1000;
    try {
      const result = await work();
      this.#put({ ...record, state: "done", seconds: seconds(), result });
      return { result, seconds: seconds(), skipped: false };
    } catch (error) {
      const state = error instanceof DOMException && error.name === "AbortError" ? "interrupted" : "failed";
      this.#put({ ...record, state, seconds: seconds() });
      throw error;
    }
  }

  /** Keeps the report of work that was done beside the chain, such as an export. */
  keep(name: string, hash: string, seconds: number, result: Json): void {
    this.#put({ name, hash, state: "done", seconds, skipped: false, result });
  }

  #put(record: StageRecord): void {
    this.#records.set(record.name, record);
    writeFileAtomically(this.path, JSON.stringify(this.records, null, 2) + "\n");
  }
}

/** Reads `stages.json`; a file that is not there holds no stages. @throws {SyntaxError} */
export function readRecords(path: string): StageRecord[] {
  let text: string;
  try {
    text = fs.readFileSync(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
  const records = parse(text);
  if (records) return records;
  throw new SyntaxError(`${path} is no list of stages: remove it to run every stage again`);
}

function parse(text: string): StageRecord[] | undefined {
  try {
    const list = JSON.parse(text);
    const isWhole = (r: StageRecord) =>
      typeof r?.name === "string" && typeof r.hash === "string" && Number.isFinite(r.seconds);
    return Array.isArray(list) && list.every(isWhole) ? list : undefined;
  } catch {
    return undefined;
  }
}
