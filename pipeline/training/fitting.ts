/**
 * Compares what a compiled program needs with the memory that is free, before anything is put there: a program that is too
 * large is an error that says by how much, and which batch should fit.
 */
import type { Engine, Executable, MemoryNeed } from "../../models/runtime/engine.ts";
import { type Program, tensorBytes, workingBytes } from "../../models/tensor/mod.ts";
import { formatBytes } from "../units.ts";

/** The setting that a program's batch follows from, and the program for other values of it. */
export interface BatchSetting {
  /** With dashes. */
  readonly flag: string;
  readonly value: number;
  /** How many parts a batch is worked through in; more give the same result in less memory. Absent: it has no parts. */
  readonly parts?: number;
  /** Devices that share it. */
  readonly devices: number;
  readonly programFor: (value: number) => Program;
}

/** A program needs more memory than there is. */
export class TooLittleMemoryError extends Error {
  override readonly name = "TooLittleMemoryError";

  /**
   * @param needBytes What the program needs.
   * @param freeBytes What is free.
   * @param advice What mends it.
   */
  constructor(program: string, readonly needBytes: number, readonly freeBytes: number, advice: string) {
    super(
      `Program ${program} needs ${formatBytes(needBytes)} of memory, ${
        formatBytes(needBytes - freeBytes)
      } more than the ` +
        `${formatBytes(freeBytes)} that are free: ${advice}`,
    );
  }
}

/** Bytes that a program holds while it runs, its inputs and outputs included. */
export function totalBytes({ argumentBytes, outputBytes, aliasBytes, temporaryBytes }: MemoryNeed): number {
  return argumentBytes + outputBytes - aliasBytes + temporaryBytes;
}

/**
 * Compiles a program that is to run next, with nothing of it on the device yet.
 *
 * @param setting What its batch follows from; without it nothing is compared.
 * @throws {TooLittleMemoryError} if it needs more memory than is free
 */
export async function compileFitting(engine: Engine, program: Program, setting?: BatchSetting): Promise<Executable> {
  const executable = await engine.compile(program);
  const need = setting && executable.memory ? totalBytes(executable.memory) : null;
  const free = need === null ? undefined : engine.freeBytes?.(need);
  if (need === null || free === undefined || need <= free) return executable;
  executable[Symbol.dispose]();
  throw new TooLittleMemoryError(program.name, need, free, advice(setting!, need, free));
}

function advice(setting: BatchSetting, need: number, free: number): string {
  const { flag, value, parts, devices } = setting;
  const fits = fittingBatch(setting, need, free);
  if (fits === undefined) {
    return `no smaller batch fits either (${flag} is ${value}); close other programs, take a smaller network or smaller ` +
      "clips, or a machine with more memory";
  }
  const less = `a batch of ${fits} should fit, with ${flag} ${fits} instead of ${value}`;
  if (parts === undefined) return less;
  const more = Array.from({ length: value }, (_, i) => i + 1).find((count) => {
    return value % (count * devices) === 0 && value / count <= fits / parts;
  });
  return more === undefined ? less : `${less}; or work it through in more parts, with --accumulate ${more}`;
}

/**
 * The largest batch that should fit: memory grows by so many bytes a clip. How much is there at no clips is estimated from
 * the graphs of two batches; what a clip adds follows from that and from what the compiler says of the whole batch.
 */
function fittingBatch(setting: BatchSetting, need: number, free: number): number | undefined {
  const { value, devices, parts = 1, programFor } = setting;
  const multiple = devices * parts;
  const smaller = Math.floor(value / 2 / multiple) * multiple;
  if (smaller < multiple) return undefined;
  const [large, small] = [value, smaller].map((batch) => estimatedBytes(programFor(batch))) as [number, number];
  const fixed = Math.max(0, large - (large - small) / (value - smaller) * value);
  if (fixed >= free || fixed >= need) return undefined;
  const batch = Math.floor((free - fixed) / (need - fixed) * value / multiple) * multiple;
  return batch < multiple ? undefined : Math.min(batch, value - multiple);
}

function estimatedBytes(program: Program): number {
  return program.inputs.reduce((sum, { tensor }) => sum + tensorBytes(tensor), 0) + workingBytes(program);
}
