/**
 * What a benchmark is: rows that each measure one thing of ours, beside a peer's in the same run where there is one.
 * A machine may be busy with other things, so a row alternates between the two and gives medians.
 */

/** What a row found. */
export interface Measured {
  /** Ours, in the row's unit. */
  readonly ours: number;
  /** The peer's, or null where it is not installed. */
  readonly peer: number | null;
  readonly peerName: string | null;
  /** Sizes, spread, machine: what a reader needs beside the numbers. */
  readonly note: string;
}

/** One line of a benchmark. */
export interface BenchRow {
  /** Short, without blanks, such as `videomae-S-f32-b2`. */
  readonly name: string;
  /** Such as `clips/s`. */
  readonly unit: string;
  /** Whether more is better or less; decides how `ratio` is written: above 1 is ours better. @default "more" */
  readonly better?: "more" | "less";
  measure(context: BenchContext): Promise<Measured>;
}

/** A benchmark: a file of this folder exports one as `bench`. */
export interface Bench {
  /** One sentence. */
  readonly about: string;
  readonly rows: readonly BenchRow[];
}

/** What a row may use. */
export interface BenchContext {
  /** A python that has the peers' packages (`TUBELET_PEER_PYTHON`), or null. */
  readonly python: string | null;
  /** A folder of the peers' scripts, or null where there is none. */
  readonly peers: string | null;
  /** How often ours and the peer's take turns. */
  readonly rounds: number;
  /** Tells what is going on, on stderr. */
  say(line: string): void;
}

/** A row's line: `ratio` above 1 says that ours is better. */
export interface BenchLine extends Measured {
  readonly name: string;
  readonly unit: string;
  readonly ratio: number | null;
}

/** Measures a row. */
export async function benchLine(row: BenchRow, context: BenchContext): Promise<BenchLine> {
  const { ours, peer, peerName, note } = await row.measure(context);
  const more = peer === null ? null : ours / peer;
  const ratio = more === null ? null : row.better === "less" ? 1 / more : more;
  return {
    name: row.name,
    unit: row.unit,
    ours: round(ours),
    peer: peer && round(peer),
    peerName,
    ratio: ratio && round(ratio),
    note,
  };
}

/** What a peer's script prints as its last line: the number it is about, and more of them. */
export interface PeerReport {
  readonly value: number;
  readonly detail: Readonly<Record<string, unknown>>;
}

/**
 * Runs a peer's script.
 *
 * @throws {Error} if it fails, with the end of what it said
 */
export async function peerReport(python: string, script: string, args: readonly string[]): Promise<PeerReport> {
  const { success, stdout, stderr } = await new Deno.Command(python, { args: [script, ...args] }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  if (!success) throw new Error(`${script} ${args.join(" ")} failed: ${text(stderr).slice(-500)}`);
  const report: PeerReport = JSON.parse(text(stdout).split("\n").at(-1)!);
  if (typeof report.value !== "number") {
    throw new Error(`${script} ${args.join(" ")} printed no value: ${text(stdout)}`);
  }
  return report;
}

/** The number that a peer's script is about. */
export async function peerValue(python: string, script: string, args: readonly string[]): Promise<number> {
  return (await peerReport(python, script, args)).value;
}

function round(value: number): number {
  return Number(value.toPrecision(5));
}
