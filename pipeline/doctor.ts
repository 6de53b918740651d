/**
 * What works on this machine: every part that training needs is tried, not asked for its version. Engines come last,
 * since a fault inside a native library ends the process; what was found before has been told by then.
 */
import { printable } from "./report/printable.ts";

export { systemProbes } from "./_doctor_probes.ts";

/** The parts, in the order in which they are tried. */
export const PARTS = ["cores", "memory", "cache", "libav", "ffmpeg", "tfjs", "xla"] as const;
export type Part = typeof PARTS[number];

/** Tries a part: says what works, or throws what is missing and what mends it. */
export type Probe = () => string | Promise<string>;

/** One part and how it fared. */
export interface Check {
  readonly part: Part;
  readonly ok: boolean;
  /** What works, or the reason why not and the mend. */
  readonly found: string;
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
  { what: "no engine works", parts: ["xla", "tfjs"] },
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

/**
 * Tries every part.
 *
 * @param probes How each is tried.
 * @param onCheck Told as soon as a part was tried.
 */
export async function diagnose(
  probes: Readonly<Record<Part, Probe>>,
  onCheck: (check: Check) => void = () => {},
): Promise<Diagnosis> {
  const checks: Check[] = [];
  for (const part of PARTS) {
    const check = await tryOut(part, probes[part]);
    checks.push(check);
    onCheck(check);
  }
  return { ready: NEEDED.every(({ parts }) => anyWorks(checks, parts)), checks };
}

/** A check as a line of text. */
export function checkLine({ part, ok, found }: Check): string {
  return `${ok ? "OK" : "missing"}`.padEnd(9) + part.padEnd(8) + printable(found);
}

function anyWorks(checks: readonly Check[], parts: readonly Part[]): boolean {
  return checks.some(({ part, ok }) => ok && parts.includes(part));
}

async function tryOut(part: Part, probe: Probe): Promise<Check> {
  try {
    return { part, ok: true, found: await probe() };
  } catch (error) {
    return { part, ok: false, found: error instanceof Error ? error.message : String(error) };
  }
}
