/** The files of an exported network, and who can compute it from them: one entry for each format. */
import fs from "node:fs";
import { join } from "node:path";
import { joinCubes } from "../decoders/cubes.ts";
import { viewLayout } from "../decoders/decoder.ts";
import { hubTensors, imageHubTensors } from "../models/checkpoints/official_names.ts";
import { SafetensorsFile, writeSafetensors } from "../models/checkpoints/safetensors.ts";
import { writeOnnx } from "../models/onnx/write_onnx.ts";
import { initialParameters } from "../models/parameters.ts";
import type { Engine } from "../models/runtime/engine.ts";
import { CHANNELS, tokensOf } from "../models/shapes.ts";
import { type Shape, sizeOf } from "../models/tensor/mod.ts";
import { type ComparedClip, LIMIT, type Peer } from "./_export_parity.ts";
import type { ExportedNetwork, ExportedRun, NetworkSizes } from "./_export_network.ts";
import { computeOutputs, hiddenTokens, knownParts, type Outputs, servingProgram } from "./_export_programs.ts";
import { hubArchitecture, hubConfig, hubPreprocessor, hubSizes } from "./_hub_config.ts";
import { type FrameBatch, runOnnx } from "./_onnx_session.ts";
import type { FileWriter } from "./_publish_folder.ts";
import { runTransformers } from "./_transformers.ts";
import { SettingsError } from "./settings.ts";
import type { Json } from "./shards/config_hash.ts";
import { MODEL_FILE, readParameters, testedFile } from "./training/weights.ts";

/** For clips transformers builds one norm with an epsilon of 1e-5, whatever the configuration says. */
const TRANSFORMERS_LIMIT = 2e-4;
const ONNX_FILE = "model.onnx";

/** A network in a format. */
export interface ExportedFiles {
  /** Class that loads the folder, or the kind of model. */
  readonly network: string;
  /** Numbers of all its weights. */
  readonly parameters: number;
  /** What writes each file. */
  readonly contents: readonly (readonly [name: string, write: FileWriter])[];
  readonly notes: readonly string[];
  /** Computes the network from the folder, however that is done. */
  readonly peers: (folder: string, engine: Engine, clips: readonly ComparedClip[]) => Promise<Peer[]>;
}

/** What a format is made from. */
export interface ExportSource {
  readonly run: ExportedRun;
  readonly network: ExportedNetwork;
}

/**
 * For `transformers`: the hub's names and configuration.
 *
 * @throws {SettingsError} if the hub has no such network
 */
export function hubFiles({ run: { settings }, network }: ExportSource): ExportedFiles {
  const { sizes, classes, checkpoint } = network;
  const { form, pooling } = sizes, isClassifier = classes.length > 0, isClips = form === "videomae";
  if (isClassifier && !isClips && pooling === "mean") {
    throw new SettingsError([
      "This classifier averages its tokens, which ViTForImageClassification of the hub does not: fine-tune with " +
      "--pooling class for it, or export with --to onnx or --to pth-names",
    ]);
  }
  const architecture = hubArchitecture(form, isClassifier);
  const { parameters, frozen } = knownParts(sizes);
  return {
    network: architecture,
    parameters: countOf(parameters),
    contents: [
      ["config.json", json(hubConfig(settings, architecture, classes))],
      ["preprocessor_config.json", json(hubPreprocessor(settings))],
      [MODEL_FILE, async (path) => {
        const values = await readParameters(testedFile(checkpoint.path), parameters);
        const named = parameters.map(({ name, shape }) => ({ name, shape, data: values.get(name)! }));
        const tensors = isClips
          ? hubTensors(named, sizes.cube)
          : imageHubTensors(named, sizes.cube, initialParameters(frozen, () => []));
        await writeSafetensors(path, tensors, { format: "pt" });
      }],
    ],
    notes: [
      `Load it with transformers.${architecture}.from_pretrained(FOLDER); ` +
      `pixels as [${isClips ? "clips, frames" : "pictures"}, channels, height, width].`,
      ...isClips
        ? [
          `transformers builds ${isClassifier ? "fc_norm" : "decoder.norm"} with an epsilon of 1e-5 whatever the ` +
          "configuration says, the networks here have 1e-6 everywhere: logits differ by about 1e-5.",
        ]
        : isClassifier
        ? []
        : [
          "ViTMAE hides pictures' tokens by itself, at random: its argument noise says which, those of its largest numbers.",
        ],
    ],
    peers: async (folder, engine, clips) => {
      const config = JSON.parse(fs.readFileSync(join(folder, "config.json"), "utf8"));
      const written = { ...sizes, ...hubSizes(config) };
      const outputs = await computeOutputs(engine, written, join(folder, MODEL_FILE), cubesOf(clips));
      const found = await runTransformers({
        ...frameBatch(sizes, clips),
        folder,
        network: architecture,
        tokens: tokensOf(sizes.grid),
        hidden: isClassifier ? [] : [...hiddenTokens(sizes)],
      });
      const limit = isClips ? TRANSFORMERS_LIMIT : LIMIT;
      return [
        { by: "the written folder, read back", limit: LIMIT, outputs },
        ...found ? [{ by: `transformers ${found.version}`, limit, outputs: split(found.outputs, clips) }] : [],
      ];
    },
  };
}

/** The official names; a checkpoint has them already, projections and generators among them: its file is copied. */
export async function officialFiles({ network: { sizes, classes, checkpoint } }: ExportSource): Promise<ExportedFiles> {
  await using trained = await SafetensorsFile.open(testedFile(checkpoint.path));
  return {
    parameters: countOf(trained.tensors.values()),
    network: classes.length > 0 ? "official fine-tuned model" : "official pre-trained model",
    contents: [[MODEL_FILE, (path) => fs.copyFileSync(testedFile(checkpoint.path), path)]],
    notes: [
      "The official scripts load a .pth: " +
      `python -c 'import torch, safetensors.torch as s; torch.save({"model": s.load_file("${MODEL_FILE}")}, "x.pth")'`,
      ...classes.length > 0 ? [] : [
        "The official pre-training model also has final norms in its generators, which it never uses: load with strict=False.",
      ],
    ],
    peers: async (folder, engine, clips) => {
      const outputs = await computeOutputs(engine, sizes, join(folder, MODEL_FILE), cubesOf(clips));
      return [{ by: "the written file, read back", limit: LIMIT, outputs }];
    },
  };
}

/** An ONNX model: frames in, any number of clips at once. */
export function onnxFiles({ network }: ExportSource): ExportedFiles {
  const { sizes, classes, checkpoint, title } = network;
  const { parameters, frozen } = servingProgram(sizes, 1, "frames");
  const write = async (path: string) => {
    const read = await readParameters(testedFile(checkpoint.path), parameters);
    await writeOnnx(path, {
      trace: (batch) => servingProgram(sizes, batch, "frames").program,
      weights: new Map([
        ...Array.from(read, ([name, values]) => [`parameter/${name}`, values] as const),
        ...Array.from(initialParameters(frozen, () => []), ([name, values]) => [`frozen/${name}`, values] as const),
      ]),
      metadata: { title, ...(classes.length > 0 && { classes: JSON.stringify(classes) }) },
    });
  };
  const outputs = classes.length > 0
    ? "`logits` [batch, classes]"
    : "`last_hidden_state` [batch, tokens, width] and `features` [batch, width], the mean of the tokens before the last norm";
  return {
    network: classes.length > 0 ? "ONNX classifier" : "ONNX encoder",
    parameters: countOf(parameters),
    contents: [[ONNX_FILE, write]],
    notes: [
      `Run it with onnxruntime.InferenceSession("${ONNX_FILE}"). Input: \`frames\`, uint8 ` +
      `[batch, ${frameShape(sizes).join(", ")}], RGB from 0 to 255; normalised inside. Outputs: ${outputs}. ` +
      "Any batch.",
    ],
    peers: async (folder, _engine, clips) => {
      const { runtime, outputs } = await runOnnx(join(folder, ONNX_FILE), frameBatch(sizes, clips));
      return [{ by: runtime, limit: LIMIT, outputs: split(outputs, clips) }];
    },
  };
}

function countOf(tensors: Iterable<{ readonly shape: Shape }>): number {
  let count = 0;
  for (const { shape } of tensors) count += sizeOf(shape);
  return count;
}

function cubesOf(clips: readonly ComparedClip[]): Uint8Array[] {
  return clips.map(({ cubes }) => cubes);
}

/** Frames, height, width, channels. */
function frameShape({ grid: { slots, rows, columns }, cube: { tubelet, patch } }: NetworkSizes): number[] {
  return [slots * tubelet, rows * patch, columns * patch, CHANNELS];
}

function frameBatch(sizes: NetworkSizes, clips: readonly ComparedClip[]): FrameBatch {
  const shape = frameShape(sizes), [frames, size] = shape as [number, number];
  const layout = viewLayout({ sampling: { kind: "uniform", frames }, size, ...sizes.cube });
  const bytes = clips.map(({ cubes }) => joinCubes(cubes, layout));
  const joined = new Uint8Array(bytes.reduce((sum, { length }) => sum + length, 0));
  bytes.forEach((clip, i) => joined.set(clip, i * clip.length));
  return { shape: [clips.length, ...shape], frames: joined };
}

/** Outputs of a batch as those of each clip. */
function split(outputs: ReadonlyMap<string, Float32Array>, clips: readonly ComparedClip[]): Outputs[] {
  return clips.map((_, i) =>
    new Map(Array.from(outputs, ([name, values]) => {
      const size = values.length / clips.length;
      return [name, values.subarray(i * size, (i + 1) * size)];
    }))
  );
}

function json(value: Json): FileWriter {
  return text(JSON.stringify(value, null, 2) + "\n");
}

/** Writes a text. */
export function text(content: string): FileWriter {
  return (path) => fs.writeFileSync(path, content);
}
