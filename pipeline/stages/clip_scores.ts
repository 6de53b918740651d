/**
 * From logits of views to hits of clips: the softmax of every view, their mean over a clip's views, top-1 and top-5 of
 * the mean, as the official test protocol merges views. Where that one takes what could not be scored for right, here
 * neither a tie nor a score that is no number is ever a hit.
 */

/** How many of the largest scores a top-5 hit may be among. */
const FIVE = 5;

/** What was made of a clip. */
export interface Verdict {
  /** The most probable class, another one than the clip's in a tie; undefined if the scores are no numbers. */
  readonly prediction: number | undefined;
  /** Its mean probability, 0 to 1. */
  readonly probability: number;
  /** Mean probability of the clip's class, 0 to 1. */
  readonly labelProbability: number;
  /** The most probable classes, up to five, the first of them first; the clip's comes last of those that tie. */
  readonly best: readonly number[];
  readonly top1: boolean;
  readonly top5: boolean;
}

/** Shares of the classes, `exp(logit) / sum`, [classes], in float64. */
export function softmax(logits: ArrayLike<number>): Float64Array {
  const values = Float64Array.from(logits);
  const largest = Math.max(...values);
  const powers = values.map((value) => Math.exp(value - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/** Gathers the views of one clip after the other. */
export class ViewMean {
  #sum: Float64Array;
  #views = 0;

  constructor(private readonly classes: number, private readonly views: number) {
    this.#sum = new Float64Array(classes);
  }

  /**
   * Takes the next view.
   *
   * @param logits [classes]
   * @returns The clip's mean probabilities, [classes], with its last view; undefined before.
   */
  add(logits: ArrayLike<number>): Float64Array | undefined {
    const shares = softmax(logits);
    this.#sum.forEach((_, i) => this.#sum[i]! += shares[i]!);
    if (++this.#views < this.views) return undefined;
    const mean = this.#sum.map((total) => total / this.views);
    this.#sum = new Float64Array(this.classes);
    this.#views = 0;
    return mean;
  }
}

/** Judges a clip by its probabilities, [classes]. */
export function judge(probabilities: Float64Array, label: number): Verdict {
  if (!probabilities.every(Number.isFinite)) {
    return {
      prediction: undefined,
      probability: NaN,
      labelProbability: NaN,
      best: [],
      top1: false,
      top5: false,
    };
  }
  const best = [...probabilities.keys()].sort((a, b) => {
    return probabilities[b]! - probabilities[a]! || Number(a === label) - Number(b === label) || a - b;
  }).slice(0, FIVE);
  const prediction = best[0]!;
  return {
    prediction,
    probability: probabilities[prediction]!,
    labelProbability: probabilities[label]!,
    best,
    top1: prediction === label,
    top5: best.includes(label),
  };
}

/** Counts clips and hits. */
export class ClipTally {
  /** Clips by true class (row) and predicted class (column); without those that have no prediction. */
  readonly confusion: number[][];
  /** Clips by true class. */
  readonly clips: number[];
  /** Top-5 hits by true class. */
  readonly #within: number[];
  #top1 = 0;

  constructor(classes: number) {
    this.confusion = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
    this.clips = new Array<number>(classes).fill(0);
    this.#within = new Array<number>(classes).fill(0);
  }

  add(label: number, { prediction, top1, top5 }: Verdict): void {
    this.clips[label]!++;
    if (prediction !== undefined) this.confusion[label]![prediction]!++;
    if (top1) this.#top1++;
    if (top5) this.#within[label]!++;
  }

  /** Share of the clips whose class is the most probable one, 0 to 1. */
  get top1(): number {
    return this.#top1 / this.#total;
  }

  /** Share of the clips whose class is among the five most probable ones, 0 to 1. */
  get top5(): number {
    return total(this.#within) / this.#total;
  }

  /** The rows of a table: class, clips, top-1, top-5, which are empty for a class without clips. */
  perClass(classes: readonly string[]): (string | number)[][] {
    return classes.map((name, label) => {
      const clips = this.clips[label]!;
      const share = (hits: number) => clips === 0 ? "" : (hits / clips).toFixed(4);
      return [name, clips, share(this.confusion[label]![label]!), share(this.#within[label]!)];
    });
  }

  get #total(): number {
    return total(this.clips);
  }
}

function total(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
