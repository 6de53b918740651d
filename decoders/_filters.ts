/** A crop as libav's filters: the one description for the filter graph in this process and for the ffmpeg command. */
import type { CropPlan } from "./crops.ts";
import type { Turn } from "./_rotation.ts";

/**
 * A box begins at even pixels, because colour is stored at half resolution; an odd box moves left or up by one pixel.
 *
 * @returns The plan with its box so moved.
 */
export function evenBox(plan: CropPlan): CropPlan {
  const { x, y, width, height } = plan.box;
  return { ...plan, box: { x: x - x % 2, y: y - y % 2, width, height } };
}

/**
 * The filter chain that turns, cuts and resizes a picture to planar RGB. `accurate_rnd` does not change a resized picture;
 * it keeps FFmpeg 6 and later from a short cut for pictures of the right size already, which is a level too dark and
 * takes colour from one place in four.
 */
export function filterChain(turn: Turn, plan: CropPlan): string {
  const { box, scaledWidth, scaledHeight } = evenBox(plan);
  const parts = [
    `crop=${box.width}:${box.height}:${box.x}:${box.y}:exact=1`,
    `scale=${scaledWidth}:${scaledHeight}:flags=bilinear+accurate_rnd`,
    "format=gbrp",
  ];
  return (turn.filter === "" ? parts : [turn.filter, ...parts]).join(",");
}
