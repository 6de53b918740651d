/**
 * A run's networks for other programs: a folder that `transformers` loads, an ONNX model, or the official repositories'
 * names. The newest whole checkpoint is taken. The folder appears at once and whole, or not at all; it holds a README that
 * says what it is and how it is loaded, and `parity.json`: what was computed from the written files beside what our engine
 * computes. An export that computes something else is not written.
 */
import fs from "node:fs";
import { dirname, join } from "node:path";
import { openEngine, type OpenEngineOptions } from "../models/runtime/open_engine.ts";
import { type ExportedFiles, type ExportSource, hubFiles, officialFiles, onnxFiles, text } from "./_export_files.ts";
import { findNetwork, type NetworkChoice, readRun } from "./_export_network.ts";
import { comparedClips, compareExport, type Comparison, sentence } from "./_export_parity.ts";
import { publishFolder } from "./_publish_folder.ts";
import { lockRun, RunLockedError } from "./run_lock.ts";
import { SettingsError } from "./settings.ts";
import { configHash, type Json } from "./shards/config_hash.ts";
import { StageLog } from "./stage_log.ts";

export { CLASSIFIERS } from "./_export_network.ts";
export { sentence } from "./_export_parity.ts";

/** The Hugging Face hub's names, an ONNX model, or the official repositories' names. */
export const EXPORT_FORMATS = ["hf", "onnx", "pth-names"] as const;

/** What to export, and where to. */
export interface ExportOptions extends NetworkChoice {
  readonly to: (typeof EXPORT_FORMATS)[number];
  /** The folder to write; may exist if it is empty. */
  readonly out: string;
  /** What computes our side of the comparison. @default as {@linkcode openEngine} */
  readonly engine?: Pick<OpenEngineOptions, "engine" | "device">;
}

/** What was written. */
export type ExportResult = {
  out: string;
  files: string[];
  /** Class that loads the folder, or the kind of model. */
  network: string;
  checkpoint: string;
  step: number;
  parameters: number;
  /** What the written files compute beside ours. */
  comparisons: Comparison[];
  /** What its user should know, one sentence or command each. */
  notes: string[];
};

const FORMATS: Readonly<Record<ExportOptions["to"], (source: ExportSource) => ExportedFiles | Promise<ExportedFiles>>> =
  {
    hf: hubFiles,
    onnx: onnxFiles,
    "pth-names": officialFiles,
  };

/**
 * Exports a network of a run.
 *
 * @throws {SettingsError} if the folder is not empty, or the run has no such network
 * @throws {Error} if the written files compute something else than the checkpoint
 */
export async function exportRun(options: ExportOptions): Promise<ExportResult> {
  const { out, to, warn = () => {} } = options;
  if (fs.existsSync(out) && (!fs.statSync(out).isDirectory() || fs.readdirSync(out).length > 0)) {
    throw new SettingsError([`--out ${out} is there and not empty: name a new folder`]);
  }
  const began = performance.now();
  const run = readRun(options.run);
  const network = await findNetwork(run, options);
  const files = await FORMATS[to]({ run, network });
  const clips = await comparedClips(network.sizes, run);
  const notes = [
    ...network.notes,
    ...files.notes,
    ...clips.some(({ name }) => name === "real")
      ? []
      : ["Compared on a random clip only: the frame shards of the run are gone."],
  ];
  let comparisons: Comparison[] = [];
  await publishFolder(
    out,
    new Map([
      ...files.contents,
      ["parity.json", async (path) => {
        await using engine = await openEngine({ ...options.engine, warn });
        const peers = await files.peers(dirname(path), engine, clips);
        comparisons = await compareExport(engine, network, clips, peers);
        await text(JSON.stringify({ engine: engine.description, comparisons }, null, 2) + "\n")(path);
      }],
      ["README.md", (path) => {
        const lines = [`# ${network.title}`, ...notes, ...comparisons.map(sentence), "Written by Tubelet"];
        return text(lines.join("\n\n") + "\n")(path);
      }],
    ]),
  );
  const result = {
    out,
    files: fs.readdirSync(out).sort(),
    network: files.network,
    checkpoint: network.checkpoint.path,
    step: network.checkpoint.step,
    parameters: files.parameters,
    comparisons,
    notes,
  };
  keepRecord(options, result, (performance.now() - began) / 1000);
  return result;
}

/** Puts the export into the run's `stages.json`, unless another process works on the run. */
function keepRecord({ run, to, classifier, warn = () => {} }: ExportOptions, result: ExportResult, seconds: number) {
  try {
    using _lock = lockRun(run, { warn });
    const name = ["export", to, ...classifier ? [classifier] : []].join(" ");
    const hash = configHash({ to, checkpoint: result.checkpoint });
    new StageLog(join(run, "stages.json")).keep(name, hash, Math.round(seconds * 1000) / 1000, result as Json);
  } catch (error) {
    if (!(error instanceof RunLockedError)) throw error;
    warn(`The export is not noted in the run: ${error.message}`);
  }
}
