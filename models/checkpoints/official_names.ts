/**
 * Parameters under the names of published checkpoints, both ways.
 *
 * Two namings are known: that of the official repositories (VideoMAE, AMD; `blocks.0.attn.qkv.weight`) and that of the
 * Hugging Face hub (`videomae.encoder.layer.0.attention.attention.query.weight`). They differ from ours in three points:
 * query, key and value are one matrix in the official files; biases are named `q_bias`, `v_bias` (newer hub files:
 * `query.bias`, `value.bias`); the patch embedding is a convolution `[D, 3, frames, rows, columns]`.
 *
 * MAE's image networks have names of their own on both sides, and on the hub those of `ViTMAE` and `ViT`; here they have
 * VideoMAE's.
 *
 * Left out on purpose: biases of keys, which change nothing in a softmax, and the generators' final norms, which the
 * official code builds and never uses.
 */
import type { ParameterSpec } from "../parameters.ts";
import { CHANNELS, type CubeSize } from "../shapes.ts";
import { sameShape, type Shape, sizeOf } from "../tensor/mod.ts";
import type { StoredTensor } from "./_stored.ts";
import type { TensorToStore } from "./safetensors.ts";

/** Where tensors are read from: open weights, or anything alike. */
export interface TensorSource {
  /** For messages. */
  readonly path: string;
  readonly tensors: ReadonlyMap<string, Pick<StoredTensor, "shape">>;
  /** The numbers of a tensor as f32, row-major. */
  readFloats(name: string): Promise<Float32Array<ArrayBuffer>>;
}

/** Values of a parameter, row-major. */
export interface ParameterValues {
  readonly name: string;
  readonly shape: Shape;
  readonly data: Float32Array;
}

/** A tensor of a file, or one of `parts` equal groups of its rows. */
interface Source {
  readonly name: string;
  readonly part: number;
  readonly parts: number;
}

const PATCH_EMBEDDING = "patch_embed.proj.weight";
/** Rows of the packed matrix, in this order. */
const PACKED = ["q", "k", "v"] as const;

/** How many tensors that do not fit a message lists. */
const SHOWN_MISFITS = 5;

/** What was found in a file. */
export interface LoadedParameters {
  /** f32 values of the parameters that were found, by our names. */
  readonly values: Map<string, Float32Array<ArrayBuffer>>;
  /** Parameters that the file lacks. */
  readonly missing: string[];
  /** Tensors of the file that no parameter took. */
  readonly unused: string[];
  /** Parameters whose tensors have another shape, in words. */
  readonly misfits: string[];
}

/** Options of {@linkcode loadParameters}. */
export interface LoadOptions {
  /** Leave parameters whose tensors have another shape to the caller. @default false */
  readonly allowMisfits?: boolean;
}

/**
 * Reads parameters from a file with our, official or hub names. An encoder's names are found with and without the
 * `encoder.` prefix, so that pre-training, classification and teacher files serve each other; `module.` in front of all
 * names does not matter.
 *
 * @throws {TypeError} if tensors have other shapes than the network's, before any is read; the message names both
 */
export async function loadParameters(
  file: TensorSource,
  specs: readonly ParameterSpec[],
  { allowMisfits = false }: LoadOptions = {},
): Promise<LoadedParameters> {
  const found = specs.map((spec) => {
    const source = inFile(file, sources(spec.name));
    return { spec, source, isFit: source !== undefined && fits(file, spec, source) };
  });
  const misfits = found.flatMap(({ spec, source, isFit }) => source && !isFit ? [misfit(file, spec, source)] : []);
  if (misfits.length > 0 && !allowMisfits) {
    const more = misfits.length > SHOWN_MISFITS ? `; and ${misfits.length - SHOWN_MISFITS} more` : "";
    throw new TypeError(
      `${file.path} is of another network: ${misfits.slice(0, SHOWN_MISFITS).join("; ")}${more}. ` +
        "Is it of another width, patch or tubelet size?",
    );
  }
  const values = new Map<string, Float32Array<ArrayBuffer>>();
  const missing: string[] = [];
  const unused = new Set(file.tensors.keys());
  for (const { spec, source, isFit } of found) {
    if (source === undefined) {
      missing.push(spec.name);
    } else {
      if (isFit) values.set(spec.name, await loadOne(file, spec, source));
      unused.delete(source.name);
    }
  }
  return { values, missing, unused: [...unused], misfits };
}

/** The first source that a file has, as it is or with the prefix of data-parallel training. */
function inFile({ tensors }: TensorSource, sources: readonly Source[]): Source | undefined {
  const wrapped = sources.map((source) => ({ ...source, name: `module.${source.name}` }));
  return [...sources, ...wrapped].find(({ name }) => tensors.has(name));
}

/** Whether a tensor of a patch embedding is a convolution, not our matrix. */
function isConvolution({ name }: ParameterSpec, shape: Shape): boolean {
  return name.endsWith(PATCH_EMBEDDING) && shape.length > 2;
}

function fits(file: TensorSource, spec: ParameterSpec, { name, parts }: Source): boolean {
  const { shape } = file.tensors.get(name)!;
  return isConvolution(spec, shape)
    ? shape[0] === spec.shape[0] && shape[1] === CHANNELS && sizeOf(shape) === sizeOf(spec.shape)
    : sameShape([shape[0]! / parts, ...shape.slice(1)], spec.shape);
}

function misfit(file: TensorSource, spec: ParameterSpec, { name }: Source): string {
  const { shape } = file.tensors.get(name)!;
  return `${name} is [${shape.join(", ")}], which does not fit ${spec.name}, [${spec.shape.join(", ")}]`;
}

async function loadOne(file: TensorSource, spec: ParameterSpec, { name, part, parts }: Source) {
  const { shape } = file.tensors.get(name)!;
  const data = await file.readFloats(name);
  if (isConvolution(spec, shape)) return swapLastAxes(data, shape[0]!, CHANNELS);
  return parts === 1 ? data : data.slice(part * data.length / parts, (part + 1) * data.length / parts);
}

/** Where a parameter may stand in a file; the first name that exists counts. */
function sources(name: string): Source[] {
  const core = coreOf(name);
  const isEncoder = /^(?:(?:patch_embed|blocks|norm)\.|cls_token$)/.test(core);
  const prefixes = isEncoder ? ["encoder.", "", "backbone."] : [""];
  const own = prefixes.map((prefix) => whole(prefix + core));
  const official = officialSources(core).flatMap((source) =>
    prefixes.map((prefix) => ({ ...source, name: prefix + source.name }))
  );
  // A hub model without a head is saved without the prefix.
  const hub = hubNames(name).flatMap((name) => [name, name.replace(/^videomae\./, "")]);
  return [...own, ...official, ...maeSources(core), ...hub.map(whole)];
}

/** A name without the prefix of a pre-training network's encoder. */
function coreOf(name: string): string {
  return name.replace(/^encoder\.(?!projection_heads)/, "");
}

/** Parts of MAE's image networks under its own names, and under those of `ViTMAE` and `ViT` on the hub. */
const MAE_PARTS: readonly (readonly [ours: RegExp, mae: string, ...hub: [string, ...string[]]])[] = [
  // transformers 5.24 reads the first name and writes the second.
  [/^decoder\.blocks\./, "decoder_blocks.", "decoder.decoder_layers.", "decoder.decoder_encoder.layer."],
  [/^decoder\.norm\./, "decoder_norm.", "decoder.decoder_norm."],
  [/^decoder\.head\./, "decoder_pred.", "decoder.decoder_pred."],
  [/^encoder_to_decoder\./, "decoder_embed.", "decoder.decoder_embed."],
  [/^mask_token$/, "mask_token", "decoder.mask_token"],
  [/^norm\./, "norm.", "vit.layernorm."],
  [/^cls_token$/, "cls_token", "vit.embeddings.cls_token"],
  [/^patch_embed\.proj\./, "patch_embed.proj.", "vit.embeddings.patch_embeddings.projection."],
  [/^blocks\./, "blocks.", "vit.encoder.layer."],
  [/^head\./, "head.", "classifier."],
];

function maeSources(core: string): Source[] {
  const [ours, mae] = MAE_PARTS.find(([ours]) => ours.test(core)) ?? [];
  if (ours === undefined) return [];
  const named = core.replace(ours, mae!);
  const onHub = imageHubNames(core).flatMap((name) => [name, name.replace(/^vit\./, "")]);
  return [whole(named), ...officialSources(named), ...onHub.map(whole)];
}

/** The hub's names of a part of an image network; none if its models do not have it. */
function imageHubNames(core: string): string[] {
  const [ours, , ...hub] = MAE_PARTS.find(([ours]) => ours.test(core)) ?? [];
  if (ours === undefined) return [];
  const [, index, rest] = /^(?:decoder\.)?blocks\.(\d+)\.(.*)$/.exec(core) ?? [];
  return hub.flatMap((stem) =>
    rest === undefined ? core.replace(ours, stem) : hubBlockNames(rest).map((name) => `${stem}${index}.${name}`)
  );
}

function officialSources(name: string): Source[] {
  const [, stem, letter, kind] = /^(.*attn\.)([qkv])\.(weight|bias)$/.exec(name) ?? [];
  if (stem === undefined) return [];
  const packed = { name: `${stem}qkv.${kind}`, part: PACKED.indexOf(letter as "q" | "k" | "v"), parts: PACKED.length };
  return kind === "weight" ? [packed] : [whole(`${stem}${letter}_bias`), packed];
}

function whole(name: string): Source {
  return { name, part: 0, parts: 1 };
}

/** Official names of the parts of a block, and the hub's. */
const HUB_BLOCK: readonly (readonly [RegExp, ...string[]])[] = [
  [/^norm1\./, "layernorm_before."],
  [/^norm2\./, "layernorm_after."],
  [/^attn\.proj\./, "attention.output.dense."],
  [/^attn\.q\.weight$/, "attention.attention.query.weight"],
  [/^attn\.k\.weight$/, "attention.attention.key.weight"],
  [/^attn\.v\.weight$/, "attention.attention.value.weight"],
  [/^attn\.q\.bias$/, "attention.attention.q_bias", "attention.attention.query.bias"],
  [/^attn\.v\.bias$/, "attention.attention.v_bias", "attention.attention.value.bias"],
  [/^mlp\.fc1\./, "intermediate.dense."],
  [/^mlp\.fc2\./, "output.dense."],
];

function hubBlockNames(rest: string): string[] {
  const [pattern, ...names] = HUB_BLOCK.find(([pattern]) => pattern.test(rest))!;
  return names.map((hub) => rest.replace(pattern, hub));
}

/** The hub's names of a parameter, the older one first; none if its models do not have it. */
function hubNames(name: string): string[] {
  const [, stack, index, rest] = /^((?:encoder\.|decoder\.)?)blocks\.(\d+)\.(.*)$/.exec(name) ?? [];
  if (rest !== undefined) {
    const prefix = stack === "decoder." ? `decoder.decoder_layers.${index}.` : `videomae.encoder.layer.${index}.`;
    return hubBlockNames(rest).map((hub) => prefix + hub);
  }
  if (/^(?:generators|generator_mask_tokens|encoder\.projection_heads)\./.test(name)) return [];
  return [
    name.replace(/^(?:encoder\.)?patch_embed\.proj\./, "videomae.embeddings.patch_embeddings.projection.")
      .replace(/^encoder\.norm\./, "videomae.layernorm.")
      .replace(/^head\./, "classifier."),
  ];
}

/**
 * Parameters under the names of the official repositories: query, key and value packed, the patch embedding a convolution.
 *
 * @throws {TypeError} if a block lacks one of the three
 */
export function officialTensors(parameters: readonly ParameterValues[], cube: CubeSize): TensorToStore[] {
  const byName = new Map(parameters.map((parameter) => [parameter.name, parameter]));
  return parameters.flatMap((parameter): TensorToStore[] => {
    const { name, shape, data } = parameter;
    const [, stem, letter, kind] = /^(.*attn\.)([qkv])\.(weight|bias)$/.exec(name) ?? [];
    if (stem === undefined) return [name.endsWith(PATCH_EMBEDDING) ? convolution(parameter, cube) : parameter];
    if (kind === "bias") return [{ name: `${stem}${letter}_bias`, shape, data }];
    return letter === "q" ? [packed(byName, stem)] : [];
  });
}

function packed(byName: ReadonlyMap<string, ParameterValues>, stem: string): TensorToStore {
  const parts = PACKED.map((letter) => {
    const found = byName.get(`${stem}${letter}.weight`);
    if (found === undefined) throw new TypeError(`Cannot pack ${stem}qkv.weight: ${stem}${letter}.weight is missing`);
    return found;
  });
  const [rows, columns] = parts[0]!.shape as [number, number];
  const data = new Float32Array(PACKED.length * rows * columns);
  parts.forEach((part, i) => data.set(part.data, i * rows * columns));
  return { name: `${stem}qkv.weight`, shape: [PACKED.length * rows, columns], data };
}

/**
 * Parameters under the hub's names, for `VideoMAEForPreTraining` and `VideoMAEForVideoClassification`. Projections,
 * generators and their tokens, which those models do not have, are left out.
 */
export function hubTensors(parameters: readonly ParameterValues[], cube: CubeSize): TensorToStore[] {
  return parameters.flatMap((parameter) => {
    const [name] = hubNames(parameter.name);
    if (name === undefined) return [];
    const tensor = parameter.name.endsWith(PATCH_EMBEDDING) ? convolution(parameter, cube) : parameter;
    return [{ ...tensor, name }];
  });
}

/**
 * An image network under the hub's names: for `ViTForImageClassification` a classifier that pools by its class token, for
 * `ViTMAEForPreTraining` a pre-trained network. Both want position tables, and biases of keys, which are 0. Projections,
 * generators and their tokens are left out.
 *
 * @param tables Position tables by name, `positions.WIDTH`.
 * @throws {TypeError} if the network classifies by the mean of its patches, which no such model does
 */
export function imageHubTensors(
  parameters: readonly ParameterValues[],
  cube: CubeSize,
  tables: ReadonlyMap<string, Float32Array>,
): TensorToStore[] {
  return parameters.flatMap((parameter): TensorToStore[] => {
    const { shape, data } = parameter, core = coreOf(parameter.name);
    if (core.startsWith("fc_norm.")) {
      throw new TypeError(
        "ViTForImageClassification takes the class token, not the mean: fine-tune with class pooling",
      );
    }
    // Biases: the newer of both names.
    const name = imageHubNames(core).find((name) => !/[qv]_bias$/.test(name));
    if (name === undefined) return [];
    const table = (name: string) => {
      const width = shape.at(-1)!, values = tables.get(`positions.${width}`);
      if (values === undefined) throw new TypeError(`${name} needs the position table positions.${width}`);
      return { name, shape: [1, values.length / width, width], data: values };
    };
    if (core === PATCH_EMBEDDING) {
      const { shape: [width, channels, , ...sides], data } = convolution(parameter, cube);
      return [{ name, shape: [width!, channels!, ...sides], data }];
    }
    const stored = { name, shape, data };
    if (core === "cls_token") return [stored, table("vit.embeddings.position_embeddings")];
    if (core === "mask_token") return [stored, table("decoder.decoder_pos_embed")];
    const ofKey = { name: name.replace("query.bias", "key.bias"), shape, data: new Float32Array(data.length) };
    return core.endsWith("attn.q.bias") ? [stored, ofKey] : [stored];
  });
}

/** `[D, (frame, row, column, channel)]` as `[D, channel, frame, row, column]`. */
function convolution({ name, shape, data }: ParameterValues, { tubelet, patch }: CubeSize): TensorToStore {
  const width = shape[0]!;
  return {
    name,
    shape: [width, CHANNELS, tubelet, patch, patch],
    data: swapLastAxes(data, width, data.length / width / CHANNELS),
  };
}

/** `[outer, rows, columns]` as `[outer, columns, rows]`; columns follow from the length. */
function swapLastAxes(data: Float32Array, outer: number, rows: number): Float32Array<ArrayBuffer> {
  const swapped = new Float32Array(data.length);
  const columns = data.length / outer / rows;
  let from = 0;
  for (let start = 0; start < data.length; start += rows * columns) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) swapped[start + column * rows + row] = data[from++]!;
    }
  }
  return swapped;
}
