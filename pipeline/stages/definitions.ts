/**
 * The stages of a run in order: when each applies, what its result depends on, what it does. Modules that do the work
 * are loaded when there is work, so that a run in which all is done ends at once.
 */
import fs from "node:fs";
import { join } from "node:path";
import type { Stage } from "../settings.ts";
import { contentSha256, type Json } from "../shards/config_hash.ts";
import { readManifest } from "../shards/manifest.ts";
import type { ProbeParts } from "./_probing.ts";
import type { ChainState, StageResults } from "./chain_state.ts";
import { demoFolder, readClipSources } from "./clip_sources.ts";
import { middleView } from "./view_rules.ts";
import { fileBytes } from "./file_bytes.ts";
import type { PrepareResult } from "./prepare_splits.ts";
import { learnsFrom } from "./stage_context.ts";
import { resolveStudent, type Student } from "./student.ts";
import { resolveTeacher, type Teacher } from "./teacher.ts";

/** A stage, whatever its result is. */
export interface StageDefinition {
  readonly name: Stage;
  /** Whether the run has this stage at all. */
  readonly applies: (state: ChainState) => boolean | Promise<boolean>;
  /** Hashes of what the stage reads; the settings that affect it are added. */
  readonly inputs: (state: ChainState) => Json | Promise<Json>;
  /** @param hash of settings and inputs */
  readonly work: (state: ChainState, hash: string) => Promise<Json>;
  /** Whether the files of a result are still there. */
  readonly isWhole: (result: Json) => boolean;
  /** What another run left in the cache, for a run that begins after this stage; undefined if it is not there. */
  readonly find?: (state: ChainState) => Promise<Json | undefined>;
  /** Puts a result where later stages look for it. */
  readonly keep: (state: ChainState, result: Json) => void;
}

/** A stage with the type of its result. */
type Typed<N extends keyof StageResults> = {
  readonly name: N;
  readonly applies: StageDefinition["applies"];
  readonly inputs: StageDefinition["inputs"];
  readonly work: (state: ChainState, hash: string) => Promise<NonNullable<StageResults[N]>>;
  /** Files that must be there for a result to count as whole. */
  readonly files: (result: NonNullable<StageResults[N]>) => readonly string[];
  readonly find?: (state: ChainState) => Promise<NonNullable<StageResults[N]> | undefined>;
  /** Whether what the result was made from is still the same, as far as hashes do not tell. */
  readonly isFresh?: (result: NonNullable<StageResults[N]>) => boolean;
};

function define<N extends keyof StageResults>({ files, isFresh, ...stage }: Typed<N>): StageDefinition {
  type Result = NonNullable<StageResults[N]>;
  return {
    ...stage,
    isWhole: (result) => {
      return files(result as Result).every((path) => fs.existsSync(path)) && (isFresh?.(result as Result) ?? true);
    },
    keep: (state, result) => state.results[stage.name] = result as StageResults[N],
  };
}

const demo = define({
  name: "demo",
  applies: ({ settings }) => settings.data.data === null,
  inputs: (state) => ({ folder: demoFolder(state) }),
  work: async (state) => (await import("./make_demo.ts")).makeDemo(state),
  find: async (state) => {
    // Written last, by whichever demo it is.
    const isMade = fs.existsSync(join(demoFolder(state), `${state.settings.demo.kind}.json`));
    return isMade ? (await import("./make_demo.ts")).makeDemo(state) : undefined;
  },
  files: ({ train, val }) => [train, val],
});

const prepare = define({
  name: "prepare",
  applies: () => true,
  inputs: async (state) => {
    state.sources = await readClipSources(state, state.results.demo);
    const { train, val, classes } = state.sources;
    return { train: train.sha256, val: val?.sha256 ?? null, classes };
  },
  work: async (state) => (await import("./prepare_splits.ts")).prepareSplits(state, state.sources!),
  find: async (state) => (await import("./prepare_splits.ts")).findPrepared(state.settings, state.sources!),
  files: ({ train, val }) => [train, val].flatMap((part) => part ? [join(part.folder, "manifest.json")] : []),
  // A bad clip whose file was mended is decoded again; another run may have done so.
  isFresh: ({ train, val }) => {
    return [...train.bad, ...val?.bad ?? []].every((clip) => fileBytes(clip.path) === clip.fileBytes) &&
      [train, val].every((part) => !part || manifestHash(part.folder) === part.contentSha256);
  },
});

const trainTeacher = define({
  name: "train-teacher",
  applies: ({ settings }) => settings.teacher.weights === null && learnsFrom(settings) === "teacher",
  inputs: ({ results }) => ({ frames: results.prepare!.train.contentSha256 }),
  work: async (state, hash) => {
    const { trainTeacher } = await import("./train_teacher.ts");
    using frames = await openFrames(state.results.prepare!.train.folder);
    return await trainTeacher(state, frames, hash);
  },
  files: ({ checkpoint }) => [join(checkpoint, "state.json")],
});

const teach = define({
  name: "teach",
  applies: ({ settings }) => settings.alignment.teacherMode === "cached" && learnsFrom(settings) === "teacher",
  inputs: async (state) => ({
    frames: state.results.prepare!.train.contentSha256,
    teacher: (await teacherOf(state))!.sha256,
  }),
  work: async (state) => {
    const { teach } = await import("./teach.ts");
    using frames = await openFrames(state.results.prepare!.train.folder);
    return await teach(state, frames, (await teacherOf(state))!);
  },
  find: async (state) => {
    const { findTaught } = await import("./teach.ts");
    using frames = await openFrames(state.results.prepare!.train.folder);
    return await findTaught(state, frames, (await teacherOf(state))!);
  },
  files: ({ folder }) => [join(folder, "manifest.json")],
});

const pretrain = define({
  name: "pretrain",
  applies: ({ settings }) => learnsFrom(settings) !== "nothing",
  inputs: async (state) => ({
    frames: state.results.prepare!.train.contentSha256,
    features: state.results.teach?.contentSha256 ?? null,
    teacher: (await teacherOf(state))?.sha256 ?? null,
  }),
  work: async (state, hash) => {
    const { pretrain } = await import("./pretrain.ts");
    const { openFeaturesSet } = await import("../shards/feature_shards.ts");
    const { prepare, teach } = state.results;
    using frames = await openFrames(prepare!.train.folder);
    using features = teach ? openFeaturesSet(teach.folder) : undefined;
    const isProbed = state.settings.pretrain.probeEpochs > 0 && hasProbes(prepare!);
    using probed = isProbed ? await openProbed(state) : undefined;
    return await pretrain(state, frames, features, await teacherOf(state), hash, probed);
  },
  files: ({ checkpoint }) => [join(checkpoint, "state.json")],
});

const finetune = define({
  name: "finetune",
  applies: ({ results, settings, print }) => {
    if (results.prepare!.train.labelled > 0 && results.prepare!.classes.length > 1) return true;
    if (settings.run.only === "finetune" || settings.run.only === null) {
      print("No fine-tuning: fewer than two classes among the labels of the clips that were decoded");
    }
    return false;
  },
  inputs: async (state) => ({
    frames: state.results.prepare!.train.contentSha256,
    classes: state.results.prepare!.classes,
    student: (await studentOf(state)).sha256,
  }),
  work: async (state, hash) => {
    const { finetune } = await import("./finetune.ts");
    const { itemLabels } = await import("./prepare_splits.ts");
    const { prepare } = state.results;
    using frames = await openFrames(prepare!.train.folder);
    const data = {
      frames,
      labels: itemLabels(frames),
      classes: prepare!.classes.length,
      student: await studentOf(state),
    };
    return await finetune(state, data, hash);
  },
  files: ({ student, scratch }) => {
    return [student, scratch].flatMap((trained) => trained ? [join(trained.checkpoint, "state.json")] : []);
  },
});

const evaluate = define({
  name: "evaluate",
  applies: ({ results }) => results.finetune !== undefined && (results.prepare!.val?.labelled ?? 0) > 0,
  inputs: ({ results }) => ({
    frames: results.prepare!.val!.contentSha256,
    student: results.finetune!.student.sha256,
    scratch: results.finetune!.scratch?.sha256 ?? null,
  }),
  work: async (state, hash) => {
    const { evaluate } = await import("./evaluate.ts");
    const { itemLabels } = await import("./prepare_splits.ts");
    const { prepare, finetune } = state.results;
    using frames = await openFrames(prepare!.val!.folder);
    return await evaluate(state, {
      frames,
      labels: itemLabels(frames),
      classes: prepare!.classes,
      student: finetune!.student.checkpoint,
      scratch: finetune!.scratch?.checkpoint ?? null,
    }, hash);
  },
  files: () => [],
});

const probe = define({
  name: "probe",
  applies: ({ results: { prepare }, settings, print }) => {
    if (hasProbes(prepare!)) return true;
    if (settings.run.only === "probe") print("No probe: it needs training and validation clips of two classes or more");
    return false;
  },
  inputs: async (state) => ({
    train: state.results.prepare!.train.contentSha256,
    val: state.results.prepare!.val!.contentSha256,
    classes: state.results.prepare!.classes,
    student: (await studentOf(state)).sha256,
  }),
  work: async (state) => {
    const { probe } = await import("./probe.ts");
    using probed = await openProbed(state);
    return await probe(state, { ...probed, student: await studentOf(state) });
  },
  files: () => [],
});

const report = define({
  name: "report",
  applies: () => true,
  inputs: ({ run, resolved }) => ({
    stages: run.stages.records.filter(({ name }) => name !== "report").map(({ name, hash }) => [name, hash]),
    // How a run talks to its user is no part of its report.
    origins: Object.entries(resolved.origins).filter(([path]) => path !== "run.json" && path !== "run.quiet"),
  }),
  work: async (state) => (await import("./report_run.ts")).reportRun(state),
  files: ({ path }) => [path],
});

/** All stages, in order. */
export const stageDefinitions: readonly StageDefinition[] = [
  demo,
  prepare,
  trainTeacher,
  teach,
  pretrain,
  finetune,
  evaluate,
  probe,
  report,
];

/** Hash of what the shards of a set hold, by its manifest; undefined if there is none that can be read. */
function manifestHash(folder: string): string | undefined {
  const shards = readManifest(folder)?.shards;
  return shards && contentSha256(shards.map(({ sha256 }) => sha256));
}

async function openFrames(folder: string) {
  const { openFramesSet } = await import("../shards/frame_shards.ts");
  return openFramesSet(folder);
}

/** Whether there are labelled clips to learn from and to ask about. */
function hasProbes({ train, val, classes }: PrepareResult): boolean {
  return train.labelled > 0 && classes.length > 1 && (val?.labelled ?? 0) > 0;
}

/** The clips that probes see. */
async function openProbed({ results, settings }: ChainState): Promise<ProbeParts & Disposable> {
  const { itemLabels } = await import("./prepare_splits.ts");
  const { prepare } = results, { evalSegments: segments, evalCrops: crops } = settings.finetune;
  using opened = new DisposableStack();
  const train = opened.use(await openFrames(prepare!.train.folder));
  const val = opened.use(await openFrames(prepare!.val!.folder));
  const kept = opened.move();
  return {
    train: { frames: train, labels: itemLabels(train), view: 0 },
    val: { frames: val, labels: itemLabels(val), view: middleView({ segments, crops }) },
    classes: prepare!.classes.length,
    [Symbol.dispose]: () => kept.dispose(),
  };
}

/** The teacher; none where the student learns from pixels alone. */
async function teacherOf(state: ChainState): Promise<Teacher | undefined> {
  if (learnsFrom(state.settings) !== "teacher") return undefined;
  return state.teacher ??= await resolveTeacher(state.settings, state.results["train-teacher"], state.warn);
}

/** The encoder that is fine-tuned and probed: pre-trained by this run, or given. */
async function studentOf(state: ChainState): Promise<Student> {
  const { settings, results } = state;
  return state.student ??= await resolveStudent(settings, results.pretrain, state.warn);
}
