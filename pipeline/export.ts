/**
 * A run's networks for other programs: a folder that `transformers` loads, or the official repositories' names. The newest
 * whole checkpoint is taken. The folder appears at once and whole, or not at all; it holds a README that says what it is
 * and how it is loaded.
 */
import fs from "node:fs";
import { basename, join, resolve } from "node:path";
import { hubTensors } from "../models/checkpoints/official_names.ts";
import { SafetensorsFile, writeSafetensors } from "../models/checkpoints/safetensors.ts";
import { classifierForward } from "../models/classifier.ts";
import type { ParameterSpec } from "../models/parameters.ts";
import { sizeOf } from "../models/tensor/mod.ts";
import { reconstruction } from "../models/videomae.ts";
import { hubConfig, hubPreprocessor } from "./_hub_config.ts";
import { type FileWriter, publishFolder } from "./_publish_folder.ts";
import { type Checkpoint, CheckpointFolder } from "./checkpoint_folder.ts";
import { resolveSettings, type Settings, SettingsError } from "./settings.ts";
import type { Json } from "./shards/config_hash.ts";
import { readRecords, type StageRecord } from "./stage_log.ts";
import { cubeSize, maskSizes, studentShape, tokenGrid } from "./stages/stage_context.ts";
import { MODEL_FILE, readParameters } from "./training/weights.ts";

/** Whose names: the Hugging Face hub's, or the official repositories'. */
export const EXPORT_FORMATS = ["hf", "official"] as const;
/** Which fine-tuned classifier: from the pre-trained student, or from random weights. */
export const CLASSIFIERS = ["student", "scratch"] as const;

/** What to export, and where to. */
export interface ExportOptions {
  /** The run's folder. */
  readonly run: string;
  readonly to: (typeof EXPORT_FORMATS)[number];
  /** The folder to write; may exist if it is empty. */
  readonly out: string;
  /** @default the pre-trained student */
  readonly classifier?: (typeof CLASSIFIERS)[number];
  /** Called with a sentence for every damaged checkpoint passed over. */
  readonly warn?: (message: string) => void;
}

/** What was written. */
export type ExportResult = {
  out: string;
  files: string[];
  /** Class that loads the folder, or the official models' kind. */
  network: string;
  checkpoint: string;
  step: number;
  parameters: number;
  /** What its user should know, one sentence or command each. */
  notes: string[];
};

/**
 * Exports a network of a run.
 *
 * @throws {SettingsError} if the folder is not empty, or the run has no such network
 */
export async function exportRun(options: ExportOptions): Promise<ExportResult> {
  const { out, to, classifier } = options;
  if (fs.existsSync(out) && (!fs.statSync(out).isDirectory() || fs.readdirSync(out).length > 0)) {
    throw new SettingsError([`--out ${out} is there and not empty: name a new folder`]);
  }
  const run = readRun(options.run);
  const checkpoint = await newest(options);
  const network = describe(run, classifier, checkpoint.step);
  const files = to === "hf" ? await hubFiles(run, network, checkpoint) : officialFiles(network, checkpoint);
  await publishFolder(out, files.contents);
  await using written = await SafetensorsFile.open(join(out, MODEL_FILE));
  return {
    out,
    files: [...files.contents.keys()],
    network: files.network,
    checkpoint: checkpoint.path,
    step: checkpoint.step,
    parameters: [...written.tensors.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    notes: files.notes,
  };
}

interface Run {
  readonly path: string;
  readonly settings: Settings;
  readonly stages: readonly StageRecord[];
}

function readRun(path: string): Run {
  const config = join(path, "config.json");
  if (!fs.existsSync(config)) throw new SettingsError([`--run ${path} is no run: there is no ${config}`]);
  const { settings } = resolveSettings({ file: JSON.parse(fs.readFileSync(config, "utf8")), flags: {} });
  return { path, settings, stages: readRecords(join(path, "stages.json")) };
}

async function newest({ run, classifier, warn = () => {} }: ExportOptions): Promise<Checkpoint> {
  const folder = join(run, "checkpoints", ...(classifier ? [`finetune-${classifier}`] : []));
  const found = await new CheckpointFolder(folder, 1, warn).latest();
  if (found) return found;
  const stage = classifier ? "finetune" : "pretrain";
  throw new SettingsError([`There is no whole checkpoint in ${folder}: run the stage first with deno task ${stage}`]);
}

/** A network of the run. */
interface Described {
  /** One line for people. */
  readonly title: string;
  /** What the hub's models and the official fine-tuning have of it. */
  readonly parameters: readonly ParameterSpec[];
  /** Names of its classes; none for the pre-trained student. */
  readonly classes: readonly string[];
  readonly notes: string[];
}

function describe(
  { path, settings, stages }: Run,
  classifier: ExportOptions["classifier"],
  step: number,
): Described {
  const record = stages.find(({ name }) => name === (classifier ? "finetune" : "pretrain"));
  const notes = record?.state === "done" ? [] : [`The training is not done: these are the weights of step ${step}.`];
  const { width, depth, heads } = settings.student;
  const size = `ViT ${width} wide, ${depth} deep, ${heads} heads`;
  const { frames, size: pixels } = settings.clip;
  const input = `for ${frames} frames of ${pixels} x ${pixels} pixels, step ${step} of ${basename(resolve(path))}`;
  if (classifier) {
    const classes = classNames(path, stages);
    const shape = { grid: tokenGrid(settings), cube: cubeSize(settings), encoder: settings.student };
    const { parameters } = classifierForward({ ...shape, classes: classes.length, batch: 1, compute: "f32" });
    const start = classifier === "student" ? "fine-tuned from an AMD student" : "trained from random weights";
    return { title: `Classifier ${start}, ${size}, ${input}`, parameters, classes, notes };
  }
  const { slots, student } = maskSizes(settings);
  const { parameters } = reconstruction({
    shape: studentShape(settings),
    batch: 1,
    visible: slots * student,
    compute: "f32",
  });
  return { title: `AMD student after pre-training, ${size}, ${input}`, parameters, classes: [], notes };
}

function classNames(path: string, stages: readonly StageRecord[]): string[] {
  const result = stages.find(({ name }) => name === "prepare")?.result;
  const classes = typeof result === "object" && result !== null && "classes" in result ? result["classes"] : undefined;
  if (Array.isArray(classes) && classes.every((name) => typeof name === "string")) return classes;
  throw new SettingsError([`${join(path, "stages.json")} does not say what the classes are: run deno task prepare`]);
}

interface Files {
  readonly network: string;
  readonly contents: ReadonlyMap<string, FileWriter>;
  readonly notes: string[];
}

async function hubFiles({ settings }: Run, { title, parameters, classes, notes }: Described, from: Checkpoint) {
  const network = classes.length > 0 ? "VideoMAEForVideoClassification" : "VideoMAEForPreTraining";
  const values = await readParameters(join(from.path, MODEL_FILE), parameters);
  const named = parameters.map(({ name, shape }) => ({ name, shape, data: values.get(name)! }));
  const all = [
    ...notes,
    `Load it with transformers.${network}.from_pretrained(FOLDER); pixels as [clips, frames, channels, height, width].`,
    `transformers builds ${classes.length > 0 ? "fc_norm" : "decoder.norm"} with an epsilon of 1e-5 whatever the ` +
    "configuration says, the networks here have 1e-6 everywhere: logits differ by about 1e-5.",
  ];
  return files(network, title, all, [
    ["config.json", json(hubConfig(settings, network, classes))],
    ["preprocessor_config.json", json(hubPreprocessor(settings))],
    [MODEL_FILE, (path) => writeSafetensors(path, hubTensors(named, cubeSize(settings)), { format: "pt" })],
  ]);
}

/** A checkpoint has the official names already, projections and generators among them: its file is copied. */
function officialFiles({ title, classes, notes }: Described, from: Checkpoint): Files {
  const network = classes.length > 0 ? "official fine-tuned model" : "official pre-trained model";
  const all = [
    ...notes,
    "The official scripts load a .pth: " +
    `python -c 'import torch, safetensors.torch as s; torch.save({"model": s.load_file("${MODEL_FILE}")}, "x.pth")'`,
    ...classes.length > 0 ? [] : [
      "The official pre-training model also has final norms in its generators, which it never uses: load with strict=False.",
    ],
  ];
  return files(network, title, all, [[MODEL_FILE, (path) => fs.copyFileSync(join(from.path, MODEL_FILE), path)]]);
}

function files(network: string, title: string, notes: string[], contents: [string, FileWriter][]): Files {
  const readme = [`# ${title}`, ...notes, "Written by Tubelet"].join("\n\n") + "\n";
  return { network, notes, contents: new Map([...contents, ["README.md", text(readme)]]) };
}

function json(value: Json): FileWriter {
  return text(JSON.stringify(value, null, 2) + "\n");
}

function text(content: string): FileWriter {
  return (path) => fs.writeFileSync(path, content);
}
