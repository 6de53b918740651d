/**
 * Where a training gets its batches: an endless run of equal batches, prepared ahead of the step that uses them.
 */
import type { HostArray } from "../../models/runtime/engine.ts";

/** The host side of one step. */
export interface Batch {
  /** By the name of the program's input. */
  readonly inputs: ReadonlyMap<string, HostArray>;
  /** Epoch of the first clip, from 0. */
  readonly epoch: number;
  /** Gives the arrays back; call it once they are on the device. */
  release(): void;
}

/** A run of batches; disposing of it stops what it reads ahead. */
export interface BatchSource extends AsyncDisposable {
  /** The next batch. */
  next(): Promise<Batch>;
}
