/**
 * Batches of a training over stored views: rows come from the shards through the loader, masks and targets are drawn for
 * the clips and the epoch of each batch.
 */
import type { HostArray } from "../../models/runtime/engine.ts";
import { type BatchField, BatchLoader } from "../loader.ts";
import type { TrainingOrder } from "../row_order.ts";
import type { Batch, BatchSource } from "./batch_source.ts";
import type { BatchRow } from "./mask_draws.ts";

/** How batches are made. */
export interface RowBatchesOptions {
  readonly order: TrainingOrder;
  /** Clips of a step. */
  readonly batch: number;
  /** Step to begin with. */
  readonly fromStep: number;
  /** Steps of the whole training. */
  readonly steps: number;
  /** What is read for each row, named as the program's inputs. */
  readonly fields: readonly BatchField[];
  /** Views a field's bytes as the program's input has them. @default the bytes */
  readonly view?: (name: string, bytes: Uint8Array<ArrayBuffer>) => HostArray;
  /** Inputs that are drawn, not read. */
  readonly draw: (rows: readonly BatchRow[]) => ReadonlyMap<string, HostArray>;
}

/** Batches over a {@linkcode TrainingOrder}. */
export class RowBatches implements BatchSource {
  readonly #loader: BatchLoader;

  constructor(private readonly options: RowBatchesOptions) {
    const { order, batch, fromStep, steps, fields } = options;
    this.#loader = new BatchLoader({
      order: (position) => {
        const row = order.rowAt(position);
        return {
          row,
          epoch: order.epochOf(position),
          item: Math.floor(row / order.views),
          copy: order.copyOf(position),
        };
      },
      batch,
      fields,
      from: fromStep * batch,
      until: steps * batch,
    });
  }

  async next(): Promise<Batch> {
    const { draw, view = (_name, bytes) => bytes } = this.options;
    const loaded = await this.#loader.next();
    const read = [...loaded.buffers].map(([name, bytes]) => [name, view(name, bytes)] as const);
    return {
      inputs: new Map<string, HostArray>([...read, ...draw(loaded.places)]),
      epoch: loaded.places[0]!.epoch,
      release: () => loaded.release(),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#loader[Symbol.asyncDispose]();
  }
}
