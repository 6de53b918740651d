/**
 * Tubelet's public API: settings and the chain of stages, decoders of clips, the networks as traced programs, engines
 * that execute them. The tasks are thin shells over the same functions.
 */
export { type ChainOptions, type ChainResult, runChain } from "./pipeline/chain.ts";
export { type ExportOptions, type ExportResult, exportRun } from "./pipeline/export.ts";
export { type Progress, silentProgress } from "./pipeline/progress.ts";
export { type ResolvedSettings, resolveSettings, type Settings, SettingsError } from "./pipeline/settings.ts";
export { type FramesSet, openFramesSet } from "./pipeline/shards/frame_shards.ts";
export { type FeaturesSet, openFeaturesSet } from "./pipeline/shards/feature_shards.ts";

export { type ClipDecoder, CorruptClipError, type DecodedView, type DecodeRequest } from "./decoders/decoder.ts";
export { DecoderLanes } from "./decoders/lanes.ts";

export { amdStep } from "./models/amd.ts";
export { classifierForward, classifierStep } from "./models/classifier.ts";
export { initialParameters } from "./models/parameters.ts";
export { teacherForward } from "./models/teacher.ts";
export { reconstruction, videoMaeStep } from "./models/videomae.ts";
export { loadParameters } from "./models/checkpoints/official_names.ts";
export { openWeights, type WeightsSource } from "./models/checkpoints/open_weights.ts";
export { SafetensorsFile, writeSafetensors } from "./models/checkpoints/safetensors.ts";
export type { Engine, Executable } from "./models/runtime/engine.ts";
export { openEngine } from "./models/runtime/open_engine.ts";
