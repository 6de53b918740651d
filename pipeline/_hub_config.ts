/**
 * `config.json` and `preprocessor_config.json` of the Hugging Face hub for VideoMAE, ViTMAE and ViT models, as transformers
 * 4 and 5 read them. The epsilon of the layer norms is that of the official code, not the hub's default.
 */
import { PIXEL_DEVIATION, PIXEL_MEAN } from "../models/patch_embed.ts";
import { CHANNELS, type CubeSize, type Form, type TokenGrid, type TransformerShape } from "../models/shapes.ts";
import type { Settings } from "./settings.ts";
import type { Json } from "./shards/config_hash.ts";

/** Width of an MLP by width of its block. */
const MLP_RATIO = 4;
const NORM_EPSILON = 1e-6;
/** Pillow's number of the bilinear filter. */
const BILINEAR = 2;

/** Networks of the hub: pre-trained, and classifiers. */
const ARCHITECTURES = {
  videomae: ["VideoMAEForPreTraining", "VideoMAEForVideoClassification"],
  mae: ["ViTMAEForPreTraining", "ViTForImageClassification"],
} as const;

/** A network of the hub. */
export type HubArchitecture = (typeof ARCHITECTURES)[Form][number];

/** The hub's network for one of ours. */
export function hubArchitecture(form: Form, isClassifier: boolean): HubArchitecture {
  return ARCHITECTURES[form][isClassifier ? 1 : 0];
}

/** `model_type` in `config.json`. */
const MODEL_TYPES: Readonly<Record<HubArchitecture, string>> = {
  VideoMAEForPreTraining: "videomae",
  VideoMAEForVideoClassification: "videomae",
  ViTMAEForPreTraining: "vit_mae",
  ViTForImageClassification: "vit",
};

/** `config.json`; a classifier's has the names of its classes. */
export function hubConfig(
  { clip, student, masks }: Settings,
  architecture: HubArchitecture,
  classes: readonly string[],
): Json {
  const isClips = clip.form === "videomae";
  return {
    architectures: [architecture],
    model_type: MODEL_TYPES[architecture],
    image_size: clip.size,
    patch_size: clip.patch,
    num_channels: CHANNELS,
    ...(isClips && { num_frames: clip.frames, tubelet_size: clip.tubelet }),
    hidden_size: student.width,
    num_hidden_layers: student.depth,
    num_attention_heads: student.heads,
    intermediate_size: MLP_RATIO * student.width,
    ...(architecture !== "ViTForImageClassification" && {
      decoder_hidden_size: student.decoderWidth,
      decoder_num_hidden_layers: student.decoderDepth,
      decoder_num_attention_heads: student.decoderHeads,
      decoder_intermediate_size: MLP_RATIO * student.decoderWidth,
      norm_pix_loss: true,
    }),
    ...(architecture === "ViTMAEForPreTraining" && { mask_ratio: masks.studentRatio }),
    hidden_act: "gelu",
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
    initializer_range: 0.02,
    layer_norm_eps: NORM_EPSILON,
    ...(isClips
      ? { qv_bias: true, use_mean_pooling: architecture === "VideoMAEForVideoClassification" }
      : { qkv_bias: true }),
    torch_dtype: "float32",
    ...(classes.length > 0 && {
      id2label: Object.fromEntries(classes.map((name, id) => [id, name])),
      label2id: Object.fromEntries(classes.map((name, id) => [name, id])),
    }),
  };
}

/** `preprocessor_config.json`: the centre crop of validation, and the pixels' statistics. */
export function hubPreprocessor({ clip: { size, form } }: Settings): Json {
  return {
    // ViT's own processor knows no crops.
    ...(form === "videomae"
      ? { image_processor_type: "VideoMAEImageProcessor", feature_extractor_type: "VideoMAEFeatureExtractor" }
      : { image_processor_type: "BitImageProcessor" }),
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
  readonly form: Form;
  readonly grid: TokenGrid;
  readonly cube: CubeSize;
  readonly encoder: TransformerShape;
  /** None in a classifier of pictures. */
  readonly decoder?: TransformerShape;
}

/** Whether a `config.json` is of a model whose sizes {@linkcode hubSizes} reads. */
export function isHubConfig(config: Readonly<Record<string, unknown>>): boolean {
  return Object.values(MODEL_TYPES).includes(config["model_type"] as string);
}

/**
 * The sizes that a `config.json` of a VideoMAE, ViTMAE or ViT model tells.
 *
 * @throws {SyntaxError} if it is none
 */
export function hubSizes(config: Readonly<Record<string, unknown>>): HubSizes {
  const size = (name: string, otherwise?: number) => {
    const value = config[name] ?? otherwise;
    if (Number.isSafeInteger(value) && (value as number) > 0) return value as number;
    throw new SyntaxError(
      `A config.json of VideoMAE, ViTMAE or ViT has a whole number ${name}, found ${JSON.stringify(value)}`,
    );
  };
  const transformer = (prefix: string) => ({
    width: size(`${prefix}hidden_size`),
    depth: size(`${prefix}num_hidden_layers`),
    heads: size(`${prefix}num_attention_heads`),
  });
  const form = config["model_type"] === "vit" || config["model_type"] === "vit_mae" ? "mae" : "videomae";
  const isPicture = form === "mae", patch = size("patch_size", 16);
  const cube = { tubelet: isPicture ? 1 : size("tubelet_size", 2), patch };
  const side = size("image_size", 224) / patch;
  return {
    form,
    grid: { slots: isPicture ? 1 : size("num_frames", 16) / cube.tubelet, rows: side, columns: side },
    cube,
    encoder: transformer(""),
    ...(config["model_type"] !== "vit" && { decoder: transformer("decoder_") }),
  };
}
