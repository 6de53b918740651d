/** From the settings of a view to the rules that decoders follow. */
import { viewLayout } from "../../decoders/decoder.ts";
import type { DecodeRequest } from "../../decoders/decoder.ts";
import type { SamplingRule } from "../../decoders/sampling.ts";
import type { Settings } from "../settings.ts";

/** What all views of a set have in common: a request without its clip and draws. */
export type ViewRules = Omit<DecodeRequest, "path" | "draws">;

/** The rules of the settings; their crops, "multi-scale" and "centre", are named as the decoders name them. */
export function viewRules(clip: Settings["clip"]): ViewRules {
  const { crop, size, tubelet, patch } = clip;
  return { sampling: samplingRule(clip), crop: { kind: crop }, size, tubelet, patch };
}

/** Rules that divide the clip into parts have no stride; the others take the setting's, not the method's default. */
function samplingRule({ sampling: kind, frames, stride }: Settings["clip"]): SamplingRule {
  return kind === "tsn" || kind === "uniform" ? { kind, frames } : { kind, frames, stride };
}

/** Cubes along time, height and width, and the size of a cube with its three channels, as frame sets store them. */
export function viewShape(rules: ViewRules): {
  grid: [number, number, number];
  cube: [number, number, number, number];
  bytes: number;
} {
  const { sampling, size, tubelet, patch } = rules;
  const side = size / patch;
  return {
    grid: [sampling.frames / tubelet, side, side],
    cube: [tubelet, patch, patch, 3],
    bytes: viewLayout(rules).bytes,
  };
}
