/**
 * Weighted nearest neighbours on frozen features, as the field measures them (Wu et al., CVPR 2018; Caron et al., ICCV
 * 2021): the 20 training clips with the largest cosine similarity vote with `exp(similarity / 0.07)`. Nothing is trained.
 */
import { type ClipFeatures, isHit } from "./features.ts";

/** Neighbours that vote. */
export const NEIGHBOURS = 20;
const TEMPERATURE = 0.07;

/** What the measure can be given. */
export interface NeighbourOptions {
  /** Neighbours that vote; all training clips where there are fewer. @default 20 */
  readonly neighbours?: number;
  /** Called after every clip; what it throws ends the work. */
  readonly pause?: () => void | Promise<void>;
}

/**
 * The share of the validation clips whose class wins the vote. Of equally similar training clips the earlier ones are
 * taken; a tie of votes is no hit.
 */
export async function neighbourAccuracy(
  train: ClipFeatures,
  val: ClipFeatures,
  classes: number,
  { neighbours = NEIGHBOURS, pause }: NeighbourOptions = {},
): Promise<number> {
  const { width } = train, clips = train.labels.length;
  const known = directions(train), asked = directions(val);
  const similarities = new Float64Array(clips);
  let hits = 0;
  for (let clip = 0; clip < val.labels.length; clip++) {
    for (let other = 0, at = 0; other < clips; other++) {
      let sum = 0;
      for (let i = clip * width; i < (clip + 1) * width; i++) sum += asked[i]! * known[at++]!;
      similarities[other] = sum;
    }
    const votes = new Float64Array(classes);
    for (const other of largest(similarities, neighbours)) {
      votes[train.labels[other]!]! += Math.exp(similarities[other]! / TEMPERATURE);
    }
    if (isHit(votes, val.labels[clip]!)) hits++;
    await pause?.();
  }
  return hits / val.labels.length;
}

/** Every row at length 1; one of zeros stays as it is, similar to nothing. */
function directions({ values, width }: ClipFeatures): Float32Array {
  const scaled = new Float32Array(values.length);
  for (let start = 0; start < values.length; start += width) {
    const row = values.subarray(start, start + width);
    const length = Math.hypot(...row) || 1;
    row.forEach((value, i) => scaled[start + i] = value / length);
  }
  return scaled;
}

/** Places of the `count` largest values, the earlier one of equals first. One pass with a short sorted list. */
function largest(values: Float64Array, count: number): number[] {
  const places: number[] = [];
  values.forEach((value, place) => {
    if (places.length === count && !(value > values[places.at(-1)!]!)) return;
    let at = places.length;
    while (at > 0 && value > values[places[at - 1]!]!) at--;
    places.splice(at, 0, place);
    if (places.length > count) places.pop();
  });
  return places;
}
