/**
 * The `probe` stage: what the pre-trained student's features are worth before any fine-tuning, beside those of the same
 * network with random weights. Frozen features of whole clips, pooled over the tokens, go to nearest neighbours and to
 * a linear classifier; both learn from the clips that fine-tuning learns from, one view each.
 */
import { initialParameters } from "../../models/parameters.ts";
import { standardized } from "../probe/features.ts";
import { fitLinearProbe, linearAccuracy } from "../probe/linear_probe.ts";
import { neighbourAccuracy } from "../probe/nearest_neighbours.ts";
import { uniforms } from "../random.ts";
import { Network } from "../training/network.ts";
import type { Settings } from "../settings.ts";
import { interruptible, labelledOf, type ProbePart, type ProbeParts, readFeatures } from "./_probing.ts";
import { batchSetting } from "./batch_setting.ts";
import type { Start } from "./finetune.ts";
import { labelledItems, MOST_PROBED } from "./labelled_items.ts";
import { probedFeatures } from "./programs.ts";
import { computeType, type StageContext } from "./stage_context.ts";
import type { Student } from "./student.ts";

/** Shares of the validation clips that the probes of one network got right, 0 to 1. */
export type ProbeAccuracy = { knn: number; linear: number };

/** What the stage leaves behind. */
export type ProbeResult = {
  /** Clips learnt from. */
  labelled: number;
  /** Validation clips with a label that were decoded. */
  clips: number;
  classes: number;
  student: ProbeAccuracy;
  scratch: ProbeAccuracy;
};

/** What to probe. */
export interface ProbeData extends ProbeParts {
  readonly student: Student;
}

/** Probes both networks. @throws {RangeError} if a feature is no finite number */
export async function probe(context: StageContext, data: ProbeData): Promise<ProbeResult> {
  const { settings } = context;
  const { train, val, classes } = data;
  const learnt = labelledItems(settings, train.frames, train.labels, MOST_PROBED);
  const asked = labelledOf(val);
  const engine = await context.engine();
  const programOf = (settings: Settings) => probedFeatures(settings, computeType(settings, engine));
  const forward = programOf(settings);
  // The random weights are those that fine-tuning from scratch begins with.
  const random = initialParameters(
    forward.parameters,
    (count, name) => uniforms(count, settings.run.seed, "classifier start", name),
  );
  const setting = batchSetting(settings, "finetune.evalBatch", programOf);
  const weights = await data.student.parameters(forward.parameters);
  using network = await Network.load(engine, forward, weights, setting);
  const measure = async (which: Start): Promise<ProbeAccuracy> => {
    using bar = context.progress.begin(`probe ${which}`, learnt.length + asked.length, "clips");
    let done = 0;
    const advance = (clips: number) => bar.update(done += clips);
    const read = async (part: ProbePart, items: Uint32Array) => {
      const features = await readFeatures(context, network, part, items, advance);
      if (features.values.every(Number.isFinite)) return features;
      throw new RangeError("The network's features are not finite: take --precision f32, or pre-train at a lower rate");
    };
    const scaled = standardized(await read(train, learnt), await read(val, asked));
    const options = { pause: interruptible(context.signal) };
    return {
      knn: await neighbourAccuracy(scaled.train, scaled.val, classes, options),
      linear: linearAccuracy(scaled.val, classes, await fitLinearProbe(scaled.train, classes, options)),
    };
  };
  const student = await measure("student");
  network.setParameters(random);
  return { labelled: learnt.length, clips: asked.length, classes, student, scratch: await measure("scratch") };
}
