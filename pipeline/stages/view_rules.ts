/** From the settings of views to the rules that decoders follow, one for every view of a clip. */
import { viewLayout } from "../../decoders/decoder.ts";
import type { DecodeRequest } from "../../decoders/decoder.ts";
import type { CropRule } from "../../decoders/crops.ts";
import { samplingDraws, type SamplingRule } from "../../decoders/sampling.ts";
import type { Settings } from "../settings.ts";

/** How a view comes about: a request without its clip and draws. */
export type ViewRules = Omit<DecodeRequest, "path" | "draws">;

/** Views of a clip in a test: `segments` in time, in each of them `crops` along the long side of the picture. */
export interface TestViews {
  readonly segments: number;
  /** 1 is the centre, 2 are the ends, 3 are ends and centre. */
  readonly crops: number;
}

/** The settings that decide the views of a clip. */
export interface ViewSettings {
  readonly clip: Settings["clip"];
  readonly data: Pick<Settings["data"], "views">;
  /** Takes the views of a test in the place of `data.views` alike ones. */
  readonly test?: TestViews;
}

/** The rules of the settings; their crops are named as the decoders name them. */
export function viewRules(clip: Settings["clip"]): ViewRules {
  const { crop, size, tubelet, patch } = clip;
  return { sampling: samplingRule(clip), crop: { kind: crop }, size, tubelet, patch };
}

/** The rules of every view of a clip, in the order of the rows. */
export function rulesOfViews({ clip, data, test }: ViewSettings): ViewRules[] {
  const rules = viewRules(clip);
  return test ? testViews(clip, test).map((view) => ({ ...rules, ...view })) : Array(data.views).fill(rules);
}

/** Which of the views of a test looks at the middle of the clip. */
export function middleView({ segments, crops }: TestViews): number {
  return Math.floor(segments / 2) * crops + Math.floor(crops / 2);
}

/** Segment after segment and in each crop after crop, as the official code goes through them. */
function testViews(clip: Settings["clip"], { segments, crops }: TestViews): Pick<ViewRules, "sampling" | "crop">[] {
  return Array.from({ length: segments }, (_, segment) => {
    const sampling = segmentRule(clip, segments, segment);
    return cropRules(clip, crops).map((crop) => ({ sampling, crop }));
  }).flat();
}

/** Windows of fixed stride where training takes such, else interleaved grids over the whole clip: Kinetics and SSv2. */
function segmentRule(clip: Settings["clip"], segments: number, segment: number): SamplingRule {
  const { sampling, frames, stride } = clip;
  const own = samplingRule(clip);
  if (segments === 1 && samplingDraws(own) === 0) return own;
  return sampling === "k400" || sampling === "dense"
    ? { kind: "segments-k400", frames, segments, segment, stride }
    : { kind: "segments-ssv2", frames, segments, segment };
}

/** Whether views are cut as MAE cuts pictures, which has a test of its own. */
export function cropsAsMae({ crop }: Settings["clip"]): boolean {
  return crop === "random-resized" || crop === "random-resized-flip";
}

/** What MAE's crop was trained on is tested as MAE tests it, on a centre somewhat inside of the picture. */
function cropRules(clip: Settings["clip"], crops: number): CropRule[] {
  if (crops === 1) return [{ kind: cropsAsMae(clip) ? "inner-centre" : "centre" }];
  return ([0, 1, 2] as const).filter((position) => crops === 3 || position !== 1)
    .map((position) => ({ kind: "three-crop", position }));
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
