/**
 * What a frozen network makes of clips, one row each, and the scale that probes see it on: every feature is brought to
 * mean 0 and standard deviation 1 over the training clips. The validation clips have no say in that.
 */

/** Features of labelled clips. */
export interface ClipFeatures {
  /** [clips, width], f32, row-major. */
  readonly values: Float32Array;
  readonly width: number;
  /** Class of every clip, [clips]. */
  readonly labels: Int32Array;
}

/** A deviation this small beside the mean is rounding: the feature says nothing and becomes 0. */
const CONSTANT = 1e-6;

/** Both parts by the training part's mean and deviation. @throws {RangeError} if there is no training clip */
export function standardized(
  train: ClipFeatures,
  val: ClipFeatures,
): { readonly train: ClipFeatures; readonly val: ClipFeatures } {
  const { width, values } = train, clips = train.labels.length;
  if (clips === 0) throw new RangeError("There is no labelled training clip: a probe needs some");
  const mean = new Float64Array(width), variance = new Float64Array(width);
  values.forEach((value, i) => mean[i % width]! += value / clips);
  values.forEach((value, i) => variance[i % width]! += (value - mean[i % width]!) ** 2 / clips);
  const scale = variance.map((square, feature) => {
    const deviation = Math.sqrt(square);
    return deviation <= CONSTANT * Math.abs(mean[feature]!) ? 0 : 1 / deviation;
  });
  const apply = (features: ClipFeatures): ClipFeatures => ({
    ...features,
    values: features.values.map((value, i) => (value - mean[i % width]!) * scale[i % width]!),
  });
  return { train: apply(train), val: apply(val) };
}

/**
 * Whether a clip's class has the highest score of all. A tie is no hit, nor is a score that is no number.
 *
 * @param scores One for each class, [classes].
 */
export function isHit(scores: ArrayLike<number>, label: number): boolean {
  return Array.from(scores).every((score, other) => other === label || scores[label]! > score);
}
