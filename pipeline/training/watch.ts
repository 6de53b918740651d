/**
 * Whoever looks at a network while it is trained, between two steps, and changes nothing of it: what it does is no part of
 * the training's result, and its time no part of a step's. A look that a kill or an interruption cut off is taken again, at
 * the same network, by the run that goes on.
 */
import type { HostParameters } from "./weights.ts";

/** An onlooker of a training. */
export interface Watch {
  /**
   * Called first.
   *
   * @param fromStep The step that the training goes on from: what was seen after later ones will come again.
   */
  readonly begin: (fromStep: number) => void;
  /** Whether the network after so many steps is to be looked at and has not been. */
  readonly wants: (step: number) => boolean;
  /**
   * Looks.
   *
   * @param parameters The training's, by name.
   */
  readonly look: (step: number, parameters: HostParameters) => Promise<void>;
}
