/**
 * Tubelet's public API: settings and the chain of stages, decoders of clips, the networks as traced programs, engines
 * that execute them. The tasks are thin shells over the same functions.
 *
 * @example How alike two clips are to a pre-trained encoder
 * ```ts
 * import { ClipEncoder } from "./mod.ts";
 * import { assertAlmostEquals } from "@std/assert";
 *
 * const weights = "tests/fixtures/golden/videomae-pretrain-hf.safetensors";
 * await using encoder = await ClipEncoder.open(weights, { heads: 4, frames: 8, size: 32 });
 * const { features: a } = await encoder.embedFile("tests/fixtures/clips/colours.webm", { stride: 1 });
 * const { features: b } = await encoder.embedFile("tests/fixtures/clips/colours.webm", { stride: 1 });
 * const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, value, i) => sum + value * y[i]!, 0);
 * assertAlmostEquals(dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)), 1, 1e-5);
 * ```
 *
 * @module
 */
export { type ChainOptions, type ChainResult, runChain } from "./pipeline/chain.ts";
export { embedClips, type EmbedClipsOptions, type EmbeddedClips } from "./pipeline/embed_clips.ts";
export { type ClipEmbedding, ClipEncoder, type ClipEncoderOptions } from "./pipeline/clip_encoder.ts";
export { type ExportOptions, type ExportResult, exportRun } from "./pipeline/export.ts";
export { type Progress, silentProgress } from "./pipeline/progress.ts";
export { type ResolvedSettings, resolveSettings, type Settings, SettingsError } from "./pipeline/settings.ts";
export { type FramesSet, openFramesSet } from "./pipeline/shards/frame_shards.ts";
export { type FeaturesSet, openFeaturesSet } from "./pipeline/shards/feature_shards.ts";

export { type ClipDecoder, CorruptClipError, type DecodedView, type DecodeRequest } from "./decoders/decoder.ts";
export { DecoderLanes } from "./decoders/lanes.ts";

export { amdStep } from "./models/amd.ts";
export { clipEncoder } from "./models/clip_encoder.ts";
export { classifierForward, classifierStep } from "./models/classifier.ts";
export { initialParameters } from "./models/parameters.ts";
export { teacherForward } from "./models/teacher.ts";
export { reconstruction, videoMaeStep } from "./models/videomae.ts";
export { loadParameters } from "./models/checkpoints/official_names.ts";
export { openWeights, type WeightsSource } from "./models/checkpoints/open_weights.ts";
export { writeOnnx } from "./models/onnx/write_onnx.ts";
export { SafetensorsFile, writeSafetensors } from "./models/checkpoints/safetensors.ts";
export type { Engine, Executable } from "./models/runtime/engine.ts";
export { openEngine } from "./models/runtime/open_engine.ts";
