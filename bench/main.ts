/**
 * Runs a benchmark of this folder.
 *
 *     deno task bench NAME [--filter ROW] [--json] [--rounds 3] [--csv FILE]
 *
 * `--json` prints one object a row: name, unit, ours, peer, peerName, ratio (above 1 is ours better), note. `--csv` adds
 * the rows to a file together with date, commit, machine and command. The peers' packages are looked for in the python
 * that TUBELET_PEER_PYTHON names; without it the peer's columns are null. What is measured runs in a child process, set up
 * as that of every task.
 */
import { parseArgs } from "@std/cli/parse-args";
import { LAUNCHER } from "../tasks/_last_words.ts";
import { launch } from "../tasks/_launch.ts";
import { meetLauncher } from "../tasks/_launched.ts";
import { type Bench, type BenchContext, type BenchLine, benchLine } from "./_bench.ts";

if (Deno.env.get(LAUNCHER) === undefined) Deno.exit(await launch(import.meta.filename!, Deno.args, ["all"]));
meetLauncher();

const FOLDER = new URL("./", import.meta.url);
/** Scripts of this folder that are called by themselves. */
const NO_ROWS = ["main.ts", "amd_vs_videomae.ts"];
/** Scripts of the peers: one JSON line each. */
const PEERS = new URL("../../shared/baselines", import.meta.url).pathname;

const flags = parseArgs(Deno.args, {
  string: ["filter", "csv", "rounds"],
  boolean: ["json", "help"],
  default: { rounds: "3" },
});
const [name] = flags._.map(String);
const known = [...Deno.readDirSync(FOLDER)].map((entry) => entry.name)
  .filter((file) => /^[a-z][a-z_0-9]*\.ts$/.test(file) && !NO_ROWS.includes(file)).map((file) => file.slice(0, -3))
  .sort();
if (flags.help || name === undefined || !known.includes(name)) {
  console.error(`Usage: deno task bench NAME [--filter ROW] [--json] [--rounds 3] [--csv FILE]`);
  console.error(`NAME is one of ${known.join(", ")}${name === undefined || flags.help ? "" : `, not ${name}`}`);
  Deno.exit(flags.help ? 0 : 2);
}
const rounds = Number(flags.rounds);
if (!Number.isSafeInteger(rounds) || rounds < 1) {
  console.error(`--rounds needs a whole number of at least 1, found ${flags.rounds}`);
  Deno.exit(2);
}

const { bench }: { bench: Bench } = await import(new URL(`${name}.ts`, FOLDER).href);
const rows = bench.rows.filter((row) => row.name.includes(flags.filter ?? ""));
if (rows.length === 0) {
  console.error(`No row of ${name} matches ${flags.filter}: it has ${bench.rows.map((row) => row.name).join(", ")}`);
  Deno.exit(2);
}
const context: BenchContext = {
  python: Deno.env.get("TUBELET_PEER_PYTHON") ?? null,
  peers: isFolder(PEERS) ? PEERS : null,
  rounds,
  say: (line) => console.error(line),
};
for (const row of rows) {
  const line = await benchLine(row, context);
  console.log(flags.json ? JSON.stringify(line) : readable(line));
  if (flags.csv !== undefined) appendCsv(flags.csv, line);
}
Deno.exit(0);

function readable({ name, unit, ours, peer, peerName, ratio, note }: BenchLine): string {
  const beside = peer === null ? "no peer" : `${peerName} ${peer} ${unit}, ratio ${ratio}`;
  return `${name.padEnd(28)} ${ours} ${unit} (${beside}) ${note}`;
}

function appendCsv(file: string, line: BenchLine): void {
  const columns = ["date", "commit", "machine", "command", ...Object.keys(line)];
  const commit = new TextDecoder().decode(
    new Deno.Command("git", { args: ["describe", "--always", "--dirty"], cwd: FOLDER }).outputSync().stdout,
  ).trim();
  const command = `deno task bench ${Deno.args.join(" ")}`;
  const cells = [new Date().toISOString().slice(0, 10), commit, machine(), command, ...Object.values(line)];
  const text = (row: readonly unknown[]) => `${row.map(cell).join(",")}\n`;
  const isNew = !exists(file);
  Deno.writeTextFileSync(file, (isNew ? text(columns) : "") + text(cells), { append: true });
}

function cell(value: unknown): string {
  const text = String(value ?? "");
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Processor and cores, such as `AMD EPYC, 2 cores`. */
function machine(): string {
  const model = Deno.build.os === "linux"
    ? Deno.readTextFileSync("/proc/cpuinfo").match(/model name\s*:\s*(.*)/)?.[1]
    : undefined;
  return `${model ?? `${Deno.build.os} ${Deno.build.arch}`}, ${navigator.hardwareConcurrency} cores`;
}

function isFolder(path: string): boolean {
  return exists(path) && Deno.statSync(path).isDirectory;
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
