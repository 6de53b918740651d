/**
 * `config.json` and `preprocessor_config.json` of the Hugging Face hub for VideoMAE models, as transformers 4 and 5 read
 * them. The epsilon of the layer norms is that of the official code, not the hub's default.
 */
import { PIXEL_DEVIATION, PIXEL_MEAN } from "../models/patch_embed.ts";
import { CHANNELS, type CubeSize, type TokenGrid, type TransformerShape } from "../models/shapes.ts";
import type { Settings } from "./settings.ts";
import type { Json } from "./shards/config_hash.ts";

/** Width of an MLP by width of its block. */
const MLP_RATIO = 4;
const NORM_EPSILON = 1e-6;
/** Pillow's number of the bilinear filter. */
const BILINEAR = 2;

/** A network of the hub. */
export type HubArchitecture = "VideoMAEForPreTraining" | "VideoMAEForVideoClassification";

/** `config.json`; a classifier's has the names of its classes. */
export function hubConfig(
  { clip, student }: Settings,
  architecture: HubArchitecture,
  classes: readonly string[],
): Json {
  return {
    architectures: [architecture],
    model_type: "videomae",
    image_size: clip.size,
    patch_size: clip.patch,
    num_channels: CHANNELS,
    num_frames: clip.frames,
    tubelet_size: clip.tubelet,
    hidden_size: student.width,
    num_hidden_layers: student.depth,
    num_attention_heads: student.heads,
    intermediate_size: MLP_RATIO * student.width,
    decoder_hidden_size: student.decoderWidth,
    decoder_num_hidden_layers: student.decoderDepth,
    decoder_num_attention_heads: student.decoderHeads,
    decoder_intermediate_size: MLP_RATIO * student.decoderWidth,
    hidden_act: "gelu",
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
    initializer_range: 0.02,
    layer_norm_eps: NORM_EPSILON,
    qv_bias: true,
    use_mean_pooling: architecture === "VideoMAEForVideoClassification",
    norm_pix_loss: true,
    torch_dtype: "float32",
    ...(classes.length > 0 && {
      id2label: Object.fromEntries(classes.map((name, id) => [id, name])),
      label2id: Object.fromEntries(classes.map((name, id) => [name, id])),
    }),
  };
}

/** `preprocessor_config.json`: the centre crop of validation, and the pixels' statistics. */
export function hubPreprocessor({ clip: { size } }: Settings): Json {
  return {
    image_processor_type: "VideoMAEImageProcessor",
    feature_extractor_type: "VideoMAEFeatureExtractor",
    do_resize: true,
    size: { shortest_edge: size },
    resample: BILINEAR,
    do_center_crop: true,
    crop_size: { height: size, width: size },
    do_rescale: true,
    rescale_factor: 1 / 255,
    do_normalize: true,
    image_mean: PIXEL_MEAN,
    image_std: PIXEL_DEVIATION,
  };
}

/** Sizes of a hub's network. */
export interface HubSizes {
  readonly grid: TokenGrid;
  readonly cube: CubeSize;
  readonly encoder: TransformerShape;
  readonly decoder: TransformerShape;
}

/**
 * The sizes that a `config.json` of a VideoMAE model tells.
 *
 * @throws {SyntaxError} if it is none
 */
export function hubSizes(config: Readonly<Record<string, unknown>>): HubSizes {
  const size = (name: string, otherwise?: number) => {
    const value = config[name] ?? otherwise;
    if (Number.isSafeInteger(value) && (value as number) > 0) return value as number;
    throw new SyntaxError(`A config.json of VideoMAE has a whole number ${name}, found ${JSON.stringify(value)}`);
  };
  const transformer = (prefix: string) => ({
    width: size(`${prefix}hidden_size`),
    depth: size(`${prefix}num_hidden_layers`),
    heads: size(`${prefix}num_attention_heads`),
  });
  const cube = { tubelet: size("tubelet_size", 2), patch: size("patch_size", 16) };
  const side = size("image_size", 224) / cube.patch;
  return {
    grid: { slots: size("num_frames", 16) / cube.tubelet, rows: side, columns: side },
    cube,
    encoder: transformer(""),
    decoder: transformer("decoder_"),
  };
}
