/** What a decoder is asked for a listed clip. */
import { type DecodeRequest, drawsNeeded } from "../../decoders/decoder.ts";
import type { ListedClip } from "../../decoders/lists/clip_list.ts";
import { uniforms } from "../random.ts";
import type { ViewRules } from "./view_rules.ts";

/** Path, part and number of pictures of a clip, as its list says. */
export function clipRequest(
  { path, span, frames }: ListedClip,
): Pick<DecodeRequest, "path" | "span" | "listedFrames"> {
  return { path, ...(span && { span }), ...(frames !== undefined && { listedFrames: frames }) };
}

/**
 * The request for one view of a clip, with draws that depend on nothing but seed, clip and view.
 *
 * @param clip The clip.
 * @param rules Rules of all its views.
 * @param view Number of the view.
 * @param seed Of the run.
 */
export function viewRequest(clip: ListedClip, rules: readonly ViewRules[], view: number, seed: number): DecodeRequest {
  const rule = rules[view]!;
  return { ...rule, ...clipRequest(clip), draws: [...uniforms(drawsNeeded(rule), seed, "view", clip.name, view)] };
}
