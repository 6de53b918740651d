/**
 * A pre-trained encoder for use from a program: open a checkpoint, decode clips, get one vector a clip. The sizes come from
 * the file itself, from the `config.json` beside it where there is one, and from the caller.
 */
import fs from "node:fs";
import { dirname, join } from "node:path";
import { type CropRule } from "../decoders/crops.ts";
import type { DecodeRequest } from "../decoders/decoder.ts";
import { DecoderLanes } from "../decoders/lanes.ts";
import { openWeights } from "../models/checkpoints/open_weights.ts";
import { clipEncoder } from "../models/clip_encoder.ts";
import type { Engine } from "../models/runtime/engine.ts";
import { openEngine } from "../models/runtime/open_engine.ts";
import {
  type CubeSize,
  cubeValues,
  type Form,
  type TokenGrid,
  tokensOf,
  type TransformerShape,
} from "../models/shapes.ts";
import { hubSizes, isHubConfig } from "./_hub_config.ts";
import { encoderSizes, PUBLISHED_HEADS } from "./_weights_sizes.ts";
import { Network } from "./training/network.ts";
import { readEncoder } from "./training/encoder_weights.ts";
import { MODEL_FILE } from "./training/weights.ts";

/** Options of {@linkcode ClipEncoder.open}. */
export interface ClipEncoderOptions {
  /** Attention heads. @default of `config.json`, else of the published network of this width */
  readonly heads?: number;
  /** Frames of a clip. @default of `config.json`, else 16, or 1 for an encoder of pictures */
  readonly frames?: number;
  /** Width and height of a clip, pixels. @default of `config.json`, else 224 */
  readonly size?: number;
  /** Clips computed at once. @default 1 */
  readonly batch?: number;
  /** @default one that is opened, and closed with the encoder */
  readonly engine?: Engine;
}

/** What an encoder makes of a clip. */
export interface ClipEmbedding {
  /** Mean of the tokens, `[width]`. */
  readonly features: Float32Array;
  /**
   * Tokens of the last block after the encoder's norm where it has one, `[tokens, width]`; `[1 + tokens, width]` where a
   * class token stands in front.
   */
  readonly tokens: Float32Array;
}

/**
 * An open encoder. Dispose of it with `await using`.
 *
 * @example
 * ```ts
 * import { ClipEncoder } from "./clip_encoder.ts";
 * import { assertEquals } from "@std/assert";
 *
 * // A small network, which no config.json describes.
 * const weights = "tests/fixtures/golden/videomae-pretrain-official.safetensors";
 * await using encoder = await ClipEncoder.open(weights, { heads: 4, frames: 8, size: 32 });
 * const { features } = await encoder.embedFile("tests/fixtures/clips/colours.webm", { stride: 1 });
 * assertEquals(features.length, encoder.encoder.width);
 * ```
 */
export class ClipEncoder implements AsyncDisposable {
  readonly #network: Network;
  readonly #ownEngine: Engine | undefined;
  /** Videos come from outside: they are decoded in a process of their own. */
  readonly #decoder = new DecoderLanes({ lanes: 1 });

  private constructor(
    readonly form: Form,
    readonly encoder: TransformerShape,
    readonly grid: TokenGrid,
    readonly cube: CubeSize,
    readonly batch: number,
    network: Network,
    ownEngine: Engine | undefined,
  ) {
    this.#network = network;
    this.#ownEngine = ownEngine;
  }

  /**
   * Opens a checkpoint.
   *
   * @param path A file of weights, or a folder of the hub with `config.json` and `model.safetensors`.
   * @throws {TypeError} if the file is of no such network
   * @throws {RangeError} if the sizes do not fit each other, or the heads are not known
   */
  static async open(path: string, options: ClipEncoderOptions = {}): Promise<ClipEncoder> {
    const file = fs.statSync(path).isDirectory() ? weightsOf(path) : path;
    const { form, encoder, grid, cube, finalNorm } = await sizesOf(file, options);
    const { batch = 1 } = options;
    const forward = clipEncoder({ form, encoder, grid, cube, batch, compute: "f32", finalNorm });
    const values = await readEncoder(file, {
      specs: forward.parameters,
      depth: encoder.depth,
      grid,
      strict: true,
      uniforms: () => [],
      warn: () => {},
    });
    const own = options.engine ? undefined : await openEngine();
    try {
      const network = await Network.load(options.engine ?? own!, forward, values);
      return new ClipEncoder(form, encoder, grid, cube, batch, network, own);
    } catch (error) {
      await own?.[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** A request for the middle of a video: frames `stride` apart, the centre of the picture. */
  request(path: string, { stride = 4 }: { readonly stride?: number } = {}): DecodeRequest {
    const frames = this.grid.slots * this.cube.tubelet, crop: CropRule = { kind: "centre" };
    const sampling = { kind: "segments-k400" as const, frames, segments: 1, segment: 0, stride };
    return { path, sampling, crop, size: this.grid.rows * this.cube.patch, ...this.cube, draws: [] };
  }

  /**
   * Embeds a video file.
   *
   * @throws {CorruptClipError} if it cannot be decoded whole
   */
  async embedFile(path: string, options: { readonly stride?: number } = {}): Promise<ClipEmbedding> {
    const [embedding] = await this.embed([(await this.#decoder.decode(this.request(path, options))).cubes]);
    return embedding!;
  }

  /**
   * Embeds decoded clips.
   *
   * @param clips Cubes of each clip, `[tokens, values of a cube]`, as decoders give them.
   * @throws {RangeError} if a clip has another size
   */
  async embed(clips: readonly Uint8Array[]): Promise<ClipEmbedding[]> {
    const bytes = tokensOf(this.grid) * cubeValues(this.cube), embeddings: ClipEmbedding[] = [];
    for (const { length } of clips) {
      if (length !== bytes) throw new RangeError(`A clip of this encoder has ${bytes} bytes, found ${length}`);
    }
    for (let start = 0; start < clips.length; start += this.batch) {
      const cubes = new Uint8Array(this.batch * bytes), part = clips.slice(start, start + this.batch);
      part.forEach((clip, i) => cubes.set(clip, i * bytes));
      const outputs = await this.#network.run(new Map([["cubes", cubes]]));
      const of = (name: string, i: number) => {
        const values = outputs.get(name) as Float32Array, size = values.length / this.batch;
        return values.slice(i * size, (i + 1) * size);
      };
      embeddings.push(...part.map((_, i) => ({ features: of("features", i), tokens: of("last_hidden_state", i) })));
    }
    return embeddings;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#decoder[Symbol.asyncDispose]();
    this.#network[Symbol.dispose]();
    await this.#ownEngine?.[Symbol.asyncDispose]();
  }
}

/** The weights in a folder of the hub, in one file or several. */
function weightsOf(folder: string): string {
  const names = [MODEL_FILE, `${MODEL_FILE}.index.json`, "pytorch_model.bin", "pytorch_model.bin.index.json"];
  const found = names.map((name) => join(folder, name)).find((path) => fs.existsSync(path));
  if (found !== undefined) return found;
  throw new TypeError(`${folder} holds no weights: expected one of ${names.join(", ")}`);
}

async function sizesOf(file: string, { heads, frames, size }: ClipEncoderOptions) {
  const path = join(dirname(file), "config.json");
  const config = fs.existsSync(path) ? JSON.parse(fs.readFileSync(path, "utf8")) : {};
  const hub = isHubConfig(config ?? {}) ? hubSizes(config) : undefined;
  await using weights = await openWeights(file);
  const sizes = encoderSizes(weights);
  if (sizes === undefined) throw new TypeError(`${file} holds no patch embedding of a network for videos or pictures`);
  const { form, width, depth, cube } = sizes, count = heads ?? hub?.encoder.heads ?? PUBLISHED_HEADS[width];
  if (count === undefined) {
    throw new RangeError(`${file} is ${width} wide, and nothing says how many heads it has: give the option heads`);
  }
  const usual = form === "mae" ? 1 : 16 / cube.tubelet;
  const slots = frames === undefined ? hub?.grid.slots ?? usual : frames / cube.tubelet;
  const side = size === undefined ? hub?.grid.rows ?? 224 / cube.patch : size / cube.patch;
  if (![slots, side].every((count) => Number.isSafeInteger(count) && count > 0)) {
    throw new RangeError(
      `Clips of ${file} are cut into cubes of ${cube.tubelet} x ${cube.patch} x ${cube.patch} pixels`,
    );
  }
  const grid: TokenGrid = { slots, rows: side, columns: side };
  const finalNorm = weights.tensors.keys().some((name) =>
    /^(?:module\.)?(?:(?:encoder\.)?norm|(?:(?:videomae|vit)\.)?layernorm)\./.test(name)
  );
  return { form, encoder: { width, depth, heads: count }, grid, cube, finalNorm };
}
