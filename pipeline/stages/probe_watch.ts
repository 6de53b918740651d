/**
 * Probes in the middle of pre-training, `--probe-epochs`: after every so many epochs the student's encoder as it then is
 * sees labelled clips, nearest neighbours and a linear classifier learn from its features, and the shares of validation
 * clips that they get right become a line of `probes.jsonl`. Fewer clips than the `probe` stage takes, since a training
 * waits; the linear classifier is left out where features and classes are so many that it would wait for minutes.
 */
import fs from "node:fs";
import { MetricsFile, readMetrics } from "../metrics.ts";
import { standardized } from "../probe/features.ts";
import { fitLinearProbe, linearAccuracy } from "../probe/linear_probe.ts";
import { neighbourAccuracy } from "../probe/nearest_neighbours.ts";
import { permutation } from "../random.ts";
import { Network } from "../training/network.ts";
import type { Watch } from "../training/watch.ts";
import type { HostParameters } from "../training/weights.ts";
import { formatShare } from "../units.ts";
import { interruptible, labelledOf, type ProbeParts, readFeatures } from "./_probing.ts";
import { batchSetting } from "./batch_setting.ts";
import { labelledItems } from "./labelled_items.ts";
import { probedFeatures } from "./programs.ts";
import { computeType, type StageContext } from "./stage_context.ts";

/** Name of the file in a run's folder. */
export const PROBES_FILE = "probes.jsonl";

/** Clips that are learnt from and asked about at most: two standard errors of the accuracy are 3 % then. */
const MOST = { train: 2000, val: 1000 };
/** Products of a feature and a weight, all clips and classes: the linear classifier goes through them some hundred times. */
const MOST_LINEAR = 100e6;
/** What the encoder's parameters begin with inside a training. */
const PREFIX = "encoder.";

/** What the student was worth after some epochs; shares are 0 to 1, NaN where its features were not finite. */
export interface ProbeLine {
  readonly stage: "pretrain";
  readonly step: number;
  /** Epochs done. */
  readonly epochs: number;
  /** Clips learnt from. */
  readonly labelled: number;
  /** Validation clips asked about. */
  readonly clips: number;
  readonly knn: number;
  /** Absent where it would have taken too long. */
  readonly linear?: number;
}

/** The lines of a run, those of a run that died in the middle of one left out. Numbers that are not finite are NaN. */
export function readProbes(path: string): ProbeLine[] {
  return readMetrics<ProbeLine>(path).map((line) => ({
    ...line,
    knn: Number(line.knn),
    ...(line.linear !== undefined && { linear: Number(line.linear) }),
  }));
}

/** Probes of a training. Dispose of it to free the device. */
export class ProbeWatch implements Watch, Disposable {
  readonly #path: string;
  readonly #every: number;
  readonly #seen = new Set<number>();
  #file: MetricsFile<ProbeLine> | undefined;
  #network: Network | undefined;

  /**
   * @param parts Undefined where there are no labels: nothing is probed.
   * @param stepsPerEpoch Steps of an epoch of the training.
   */
  constructor(
    private readonly context: StageContext,
    private readonly parts: ProbeParts | undefined,
    private readonly stepsPerEpoch: number,
  ) {
    this.#path = context.run.file(PROBES_FILE);
    this.#every = context.settings.pretrain.probeEpochs * stepsPerEpoch;
  }

  begin(fromStep: number): void {
    const { parts } = this;
    if (this.#every > 0 && parts === undefined) {
      this.context.print(
        "No probes while pre-training: they need labelled training and validation clips of two classes or more",
      );
    }
    // Lines of an earlier training go, whether or not this one is probed.
    if ((this.#every === 0 || parts === undefined) && !fs.existsSync(this.#path)) return;
    this.#file = new MetricsFile(this.#path, { stage: "pretrain", step: fromStep });
    for (const { step } of readMetrics(this.#path)) this.#seen.add(step);
  }

  wants(step: number): boolean {
    return this.parts !== undefined && this.#every > 0 && step > 0 && step % this.#every === 0 && !this.#seen.has(step);
  }

  async look(step: number, parameters: HostParameters): Promise<void> {
    const epochs = step / this.stepsPerEpoch;
    const found = { stage: "pretrain" as const, step, epochs, ...await this.#probe(this.parts!, parameters) };
    this.#file!.write(found);
    this.#file!.sync();
    this.#seen.add(step);
    const { knn, linear } = found;
    this.context.print(
      `Probe after epoch ${epochs}: nearest neighbours ${formatShare(knn)}${
        linear === undefined ? "" : `, linear ${formatShare(linear)}`
      }`,
    );
  }

  async #probe(parts: ProbeParts, parameters: HostParameters): Promise<Omit<ProbeLine, "stage" | "step" | "epochs">> {
    const { context } = this, { settings, signal } = context, { train, val, classes } = parts;
    const learnt = labelledItems(settings, train.frames, train.labels, MOST.train);
    const all = labelledOf(val), { seed } = settings.run;
    const asked = permutation(all.length, seed, "probed clips").slice(0, MOST.val).map((i) => all[i]!).sort();
    const network = await this.#networkOf(parameters);
    const features = [
      await readFeatures(context, network, train, learnt),
      await readFeatures(context, network, val, asked),
    ] as const;
    const counts = { labelled: learnt.length, clips: asked.length };
    const isCheap = learnt.length * features[0].width * classes <= MOST_LINEAR;
    if (!features.every(({ values }) => values.every(Number.isFinite))) {
      return { ...counts, knn: NaN, ...(isCheap && { linear: NaN }) };
    }
    const scaled = standardized(...features), options = { pause: interruptible(signal) };
    const knn = await neighbourAccuracy(scaled.train, scaled.val, classes, options);
    if (!isCheap) return { ...counts, knn };
    const linear = linearAccuracy(scaled.val, classes, await fitLinearProbe(scaled.train, classes, options));
    return { ...counts, knn, linear };
  }

  /** Compiled at the first probe. */
  async #networkOf(parameters: HostParameters): Promise<Network> {
    const weights = new Map([...parameters].flatMap(([name, values]) => {
      return name.startsWith(PREFIX) ? [[name.slice(PREFIX.length), values] as const] : [];
    }));
    this.#network?.setParameters(weights);
    if (this.#network) return this.#network;
    const { settings } = this.context, engine = await this.context.engine();
    const programOf = (other: typeof settings) => probedFeatures(other, computeType(other, engine));
    const setting = batchSetting(settings, "finetune.evalBatch", programOf);
    return this.#network = await Network.load(engine, programOf(settings), weights, setting);
  }

  [Symbol.dispose](): void {
    this.#file?.[Symbol.dispose]();
    this.#network?.[Symbol.dispose]();
  }
}
