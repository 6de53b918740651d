/** The end of a training whose numbers are none any more, and what was kept of it. */

/** Where evidence goes. */
export interface EvidenceOptions {
  /** A folder is made in it for each step. */
  readonly folder: string;
  /** Of every random choice. */
  readonly seed: number;
}

/** What was found out about a step. */
export interface Evidence {
  /** With `batch.safetensors`, `model.safetensors`, `optimizer.safetensors` and `replay.json`. */
  readonly folder: string;
  /** The first tensor that is not finite, in words; null if the step is finite when it is run again. */
  readonly first: string | null;
}

/** A loss or a gradient is no number any more. */
export class DivergedError extends Error {
  override readonly name = "DivergedError";

  /**
   * @param values The step's metrics.
   * @param evidence What was found out about the step.
   */
  constructor(
    readonly training: string,
    readonly step: number,
    readonly values: ReadonlyMap<string, number>,
    readonly evidence?: Evidence,
  ) {
    const shown = [...values].map(([name, value]) => `${name} ${value}`).join(", ");
    super(
      `Step ${step} of ${training} is not finite (${shown})${
        found(evidence)
      }: lower the learning rate, cut gradients ` +
        "with a clip norm, or take --precision f32; the last checkpoint is whole",
    );
  }
}

function found(evidence: Evidence | undefined): string {
  if (!evidence) return "";
  const { first, folder } = evidence;
  const what = first === null
    ? "run again it is finite, so that the machine may be at fault"
    : `the first tensor that is not is ${first}`;
  return `; ${what}; batch, state and seed are kept in ${folder}`;
}
