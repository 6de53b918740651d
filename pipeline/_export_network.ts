/** Which network of a run is exported: its sizes, its weights and what its user should know. */
import fs from "node:fs";
import { basename, join, resolve } from "node:path";
import type { Pooling } from "../models/classifier.ts";
import type { CubeSize, Form, TokenGrid, TransformerShape } from "../models/shapes.ts";
import { type Checkpoint, CheckpointFolder } from "./checkpoint_folder.ts";
import { resolveSettings, type Settings, SettingsError } from "./settings.ts";
import { readRecords, type StageRecord } from "./stage_log.ts";
import { cubeSize, maskSizes, tokenGrid } from "./stages/stage_context.ts";

/** Which fine-tuned classifier: from the pre-trained student, or from random weights. */
export const CLASSIFIERS = ["student", "scratch"] as const;

/** Which network of which run. */
export interface NetworkChoice {
  /** The run's folder. */
  readonly run: string;
  /** @default the pre-trained student */
  readonly classifier?: (typeof CLASSIFIERS)[number];
  /** Called with a sentence for every damaged checkpoint passed over. */
  readonly warn?: (message: string) => void;
}

/** A run as it lies on the disk. */
export interface ExportedRun {
  readonly path: string;
  readonly settings: Settings;
  readonly stages: readonly StageRecord[];
}

/** Names of the methods for people, with their article. */
function methodName({ clip, pretrain }: Settings): string {
  if (pretrain.method === "amd") return "an AMD";
  return clip.form === "mae" ? "an MAE" : "a VideoMAE";
}

/** Sizes of a network: of a classifier, or of a student with its pixel decoder. */
export interface NetworkSizes {
  readonly form: Form;
  readonly pooling: Pooling;
  readonly grid: TokenGrid;
  readonly cube: CubeSize;
  readonly encoder: TransformerShape;
  readonly decoder: TransformerShape;
  /** 0 for a student. */
  readonly classes: number;
  /** Tokens that a student sees when it reconstructs. */
  readonly visible: number;
}

/** A network of a run. */
export interface ExportedNetwork {
  readonly checkpoint: Checkpoint;
  readonly sizes: NetworkSizes;
  /** One line for people. */
  readonly title: string;
  /** Names of its classes; none for the pre-trained student. */
  readonly classes: readonly string[];
  readonly notes: readonly string[];
}

/** @throws {SettingsError} if the folder is no run */
export function readRun(path: string): ExportedRun {
  const config = join(path, "config.json");
  if (!fs.existsSync(config)) throw new SettingsError([`--run ${path} is no run: there is no ${config}`]);
  const { settings } = resolveSettings({ file: JSON.parse(fs.readFileSync(config, "utf8")), flags: {} });
  return { path, settings, stages: readRecords(join(path, "stages.json")) };
}

/**
 * The network with the weights of the newest whole checkpoint.
 *
 * @throws {SettingsError} if the run has no such network
 */
export async function findNetwork(run: ExportedRun, choice: NetworkChoice): Promise<ExportedNetwork> {
  const { path, settings, stages } = run, { classifier } = choice;
  const checkpoint = await newest(choice);
  const { step } = checkpoint;
  const record = stages.find(({ name }) => name === (classifier ? "finetune" : "pretrain"));
  const notes = record?.state === "done" ? [] : [`The training is not done: these are the weights of step ${step}.`];
  const { width, depth, heads, decoderWidth, decoderDepth, decoderHeads } = settings.student;
  const { form, frames, size } = settings.clip;
  const seen = form === "mae" ? "pictures" : `${frames} frames`;
  const network = `ViT ${width} wide, ${depth} deep, ${heads} heads, for ${seen} of ${size} x ${size} pixels`;
  const start = classifier === undefined
    ? `${methodName(settings).replace(/^an? /, "")} student after pre-training`
    : `Classifier ${
      classifier === "scratch"
        ? "trained from random weights"
        : settings.student.weights === null
        ? `fine-tuned from ${methodName(settings)} student`
        : "fine-tuned from a given encoder"
    }`;
  const classes = classifier ? classNames(path, stages) : [];
  const { slots, student } = maskSizes(settings);
  return {
    checkpoint,
    sizes: {
      form,
      pooling: settings.finetune.pooling,
      grid: tokenGrid(settings),
      cube: cubeSize(settings),
      encoder: { width, depth, heads },
      decoder: { width: decoderWidth, depth: decoderDepth, heads: decoderHeads },
      classes: classes.length,
      visible: slots * student,
    },
    title: `${start}, ${network}, step ${step} of ${basename(resolve(path))}`,
    classes,
    notes,
  };
}

async function newest({ run, classifier, warn = () => {} }: NetworkChoice): Promise<Checkpoint> {
  const folder = join(run, "checkpoints", ...(classifier ? [`finetune-${classifier}`] : []));
  const found = await new CheckpointFolder(folder, 1, warn).latest();
  if (found) return found;
  const stage = classifier ? "finetune" : "pretrain";
  throw new SettingsError([`There is no whole checkpoint in ${folder}: run the stage first with deno task ${stage}`]);
}

function classNames(path: string, stages: readonly StageRecord[]): string[] {
  const result = stages.find(({ name }) => name === "prepare")?.result;
  const classes = typeof result === "object" && result !== null && "classes" in result ? result["classes"] : undefined;
  if (Array.isArray(classes) && classes.every((name) => typeof name === "string")) return classes;
  throw new SettingsError([`${join(path, "stages.json")} does not say what the classes are: run deno task prepare`]);
}
