/** Which labelled clips fine-tuning and probes learn from: the same ones for both. */
import { permutation } from "../random.ts";
import type { Settings } from "../settings.ts";
import type { FramesSet } from "../shards/frame_shards.ts";

/** Clips that probes learn from at most: on the host, more take longer without changing what is seen. */
export const MOST_PROBED = 20_000;

/**
 * The labelled clips used: all, or a seeded choice that does not depend on their order of decoding. Ascending.
 *
 * @param labels Label of every item, -1 where it has none.
 * @param most No more than these. @default as many as `finetune.labelled` says
 * @throws {RangeError} if no clip has a label
 */
export function labelledItems(
  { finetune, run }: Settings,
  frames: FramesSet,
  labels: Int32Array,
  most = Infinity,
): Uint32Array {
  const items = frames.goodItems().filter((item) => labels[item]! >= 0);
  if (items.length === 0) throw new RangeError("No decoded clip has a label: fine-tuning and probes need some");
  const wanted = Math.min(finetune.labelled || items.length, most);
  if (wanted >= items.length) return items;
  return permutation(items.length, run.seed, "labelled clips").slice(0, wanted).map((i) => items[i]!).sort();
}
