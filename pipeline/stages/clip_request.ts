/** What a decoder is told of a listed clip beside the rules of the view. */
import type { DecodeRequest } from "../../decoders/decoder.ts";
import type { ListedClip } from "../../decoders/lists/clip_list.ts";

/** Path, part and number of pictures of a clip, as its list says. */
export function clipRequest(
  { path, span, frames }: ListedClip,
): Pick<DecodeRequest, "path" | "span" | "listedFrames"> {
  return { path, ...(span && { span }), ...(frames !== undefined && { listedFrames: frames }) };
}
