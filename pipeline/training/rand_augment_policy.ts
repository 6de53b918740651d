/** The name of a RandAugment policy, as timm writes them; only its increasing set of operations is there. */

/** How policies are written: strength 0 to 10, operations 1 to 15, deviation of the strength, timm's increasing set. */
export const RAND_AUGMENT_FORM = /^rand-m(10(?:\.0+)?|\d(?:\.\d+)?)-n([1-9]|1[0-5])(?:-mstd(\d{1,2}(?:\.\d+)?))?-inc1$/;

/** A policy. */
export interface RandAugmentPolicy {
  /** 0 to 10. */
  readonly magnitude: number;
  /** Operations drawn for a clip. */
  readonly operations: number;
  /** Standard deviation of the magnitude. */
  readonly deviation: number;
}

/**
 * Reads a policy such as `rand-m7-n4-mstd0.5-inc1`.
 *
 * @throws {SyntaxError} if it is none
 */
export function randAugmentPolicy(text: string): RandAugmentPolicy {
  const found = RAND_AUGMENT_FORM.exec(text);
  if (!found) {
    throw new SyntaxError(
      `"${text}" is no policy of RandAugment: expected rand-mM-nN-mstdS-inc1, such as rand-m7-n4-mstd0.5-inc1`,
    );
  }
  return { magnitude: Number(found[1]), operations: Number(found[2]), deviation: Number(found[3] ?? 0) };
}
