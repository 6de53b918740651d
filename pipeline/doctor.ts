/**
 * What works on this machine, and how fast: every part that training needs is tried, not asked for its version. What may
 * end the process by a fault inside a native library is tried in a process of its own.
 */
import { type Part, PARTS, type Probe } from "./_doctor_parts.ts";
import { type Measured, speedText } from "./_doctor_speeds.ts";
import { printable } from "./report/printable.ts";

export { type Finding, type Part, PARTS, type Probe } from "./_doctor_parts.ts";
export { type Measured, speedText } from "./_doctor_speeds.ts";
export { type ProbeOptions, systemProbes } from "./_doctor_probes.ts";

/** One part and how it fared. */
export interface Check {
  readonly part: Part;
  readonly ok: boolean;
  /** What works, or the reason why not and the mend. */
  readonly found: string;
  /** By name and unit; null where nothing was measured. */
  readonly measured: Measured | null;
}

/** The whole finding. */
export interface Diagnosis {
  /** Whether clips can be decoded and an engine works. */
  readonly ready: boolean;
  readonly checks: readonly Check[];
}

/** Of each group, one part has to work. */
const NEEDED: readonly { what: string; parts: readonly Part[] }[] = [
  { what: "no decoder works", parts: ["libav", "ffmpeg"] },
  { what: "no engine works", parts: ["xla", "tfjs", "cuda", "tpu"] },
];

/** Training cannot run here; a task ends with exit code 1. */
export class NotReadyError extends Error {
  override readonly name = "NotReadyError";

  constructor({ checks }: Diagnosis) {
    const reasons = NEEDED.filter(({ parts }) => !anyWorks(checks, parts)).flatMap(({ what, parts }) => [
      what,
      ...checks.filter(({ part }) => parts.includes(part)).map(({ part, found }) => `  ${part}: ${printable(found)}`),
    ]);
    super(`Training cannot run here:\n  ${reasons.join("\n  ")}`);
  }
}

/** Options of {@linkcode diagnose}. */
export interface DiagnoseOptions {
  /** Told as soon as a part was tried. */
  onCheck?: (check: Check) => void;
  /** Stops between two parts. */
  signal?: AbortSignal;
}

/**
 * Tries every part.
 *
 * @param probes How each is tried.
 * @throws the signal's reason
 */
export async function diagnose(
  probes: Readonly<Record<Part, Probe>>,
  { onCheck = () => {}, signal }: DiagnoseOptions = {},
): Promise<Diagnosis> {
  const checks: Check[] = [];
  for (const part of PARTS) {
    const check = await tryOut(part, probes[part]);
    signal?.throwIfAborted();
    checks.push(check);
    onCheck(check);
  }
  return { ready: NEEDED.every(({ parts }) => anyWorks(checks, parts)), checks };
}

/** A check as one line of text, or two. */
export function checkLines({ part, ok, found, measured }: Check): string[] {
  const lines = [`${ok ? "OK" : "missing"}`.padEnd(9) + part.padEnd(8) + printable(found)];
  return measured ? [...lines, " ".repeat(17) + speedText(measured)] : lines;
}

function anyWorks(checks: readonly Check[], parts: readonly Part[]): boolean {
  return checks.some(({ part, ok }) => ok && parts.includes(part));
}

async function tryOut(part: Part, probe: Probe): Promise<Check> {
  try {
    const { found, measured = null } = await probe();
    return { part, ok: true, found, measured };
  } catch (error) {
    return { part, ok: false, found: error instanceof Error ? error.message : String(error), measured: null };
  }
}
