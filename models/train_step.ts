/**
 * From a loss to a training step: gradients, clipping, AdamW, one program that takes parameters and moments and gives them
 * back in the same memory.
 *
 * A batch may be worked through in micro-batches one after the other, whose gradients are added up (gradient accumulation):
 * the step is that of the whole batch up to rounding, in the memory of a micro-batch and one more copy of the gradients.
 */
import { adamW, clipFactor, globalNorm, type OptimizerOptions } from "./adamw.ts";
import { meanOf } from "./losses.ts";
import type { Parameters, ParameterSpec } from "./parameters.ts";
import {
  add,
  barrier,
  concatenate,
  type DType,
  gradients,
  input,
  multiply,
  type Program,
  program,
  reshape,
  type Shape,
  slice,
  type Tensor,
} from "./tensor/mod.ts";

export type { OptimizerOptions } from "./adamw.ts";
export type { Compute } from "./shapes.ts";

/** An input of a batch. */
export interface DataSpec {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: DType;
}

/** A program over a network with fixed weights. */
export interface ForwardProgram {
  readonly program: Program;
  /** Inputs `parameter/NAME`. */
  readonly parameters: readonly ParameterSpec[];
  /** Inputs `frozen/NAME`: tables that stand in no checkpoint. */
  readonly frozen: readonly ParameterSpec[];
  /** Batch inputs. */
  readonly data: readonly DataSpec[];
}

/**
 * A training step. Inputs `parameter/NAME`, `moment1/NAME` and `moment2/NAME`, and `average/NAME` where parameters are
 * averaged over the steps, are donated to the outputs of the same names;
 * scalars, f32: `learning_rate`, `correction1` = 1 / (1 - beta1^t), `correction2` = 1 / (1 - beta2^t); output `metrics`.
 */
export interface TrainStep {
  readonly program: Program;
  /** Trained. */
  readonly parameters: readonly ParameterSpec[];
  /** Inputs `frozen/NAME`, neither trained nor donated. */
  readonly frozen: readonly ParameterSpec[];
  /** Batch inputs. */
  readonly data: readonly DataSpec[];
  /** Whether the parameters are averaged over the steps. @default false */
  readonly averages?: boolean;
  /** Names of the numbers in `metrics`, f32 `[K]`: `total` first, `gradNorm` (before clipping) last. */
  readonly metrics: readonly string[];
}

/** What {@linkcode trainStep} makes a step from. */
export interface StepParts {
  name: string;
  parameters: Parameters;
  frozen: Parameters;
  /** Batch inputs, in order. */
  data: readonly Tensor[];
  /**
   * Scalars to report of some clips, each a mean over them; `total` is what is minimised. Traced once a micro-batch.
   *
   * @param rows the part of a batch tensor `[B, ...]` that belongs to these clips
   */
  metrics: (rows: (batch: Tensor) => Tensor) => Metrics;
  optimizer: OptimizerOptions;
  /**
   * Decay of an exponential moving average of the parameters: `average = decay * average + (1 - decay) * parameter` after each
   * step. @default null, no average
   */
  averageDecay?: number | null | undefined;
  /** Micro-batches that a batch is worked through in; must divide its clips. @default 1 */
  accumulate?: number | undefined;
}

/** Scalars, f32. */
export type Metrics = Readonly<Record<string, Tensor>> & { readonly total: Tensor };

/**
 * Builds the step that minimises `metrics.total`.
 *
 * @throws {RangeError} if the micro-batches do not divide the batch
 */
export function trainStep(parts: StepParts): TrainStep {
  const { name, parameters, frozen, data, optimizer, averageDecay: decay = null } = parts;
  const { metrics, found } = metricsAndGradients(parts);
  const { specs, tensors } = parameters;
  const scalars = {
    learningRate: input("learning_rate", []),
    correction1: input("correction1", []),
    correction2: input("correction2", []),
  };
  const gradNorm = globalNorm(found);
  const factor = optimizer.clipNorm === null ? undefined : clipFactor(gradNorm, optimizer.clipNorm);
  const reported = { ...metrics, gradNorm };
  const moments1 = specs.map((spec) => input(`moment1/${spec.name}`, spec.shape));
  const moments2 = specs.map((spec) => input(`moment2/${spec.name}`, spec.shape));

  const outputs: Record<string, Tensor> = {
    metrics: concatenate(Object.values(reported).map((value) => reshape(value, [1])), 0),
  };
  const updated = specs.map(({ name, decay }, i) => {
    const state = { parameter: tensors[i]!, moment1: moments1[i]!, moment2: moments2[i]! };
    const gradient = factor === undefined ? found[i]! : multiply(found[i]!, factor);
    return adamW(state, gradient, scalars, optimizer, decay, optimizer.learningRateScale?.(name));
  });
  for (const part of ["parameter", "moment1", "moment2"] as const) {
    specs.forEach(({ name }, i) => outputs[`${part}/${name}`] = updated[i]![part]);
  }
  const averages = decay === null ? [] : specs.map(({ name, shape }) => input(`average/${name}`, shape));
  averages.forEach((average, i) => {
    outputs[`average/${specs[i]!.name}`] = add(multiply(average, decay!), multiply(updated[i]!.parameter, 1 - decay!));
  });

  const { metrics: _, ...donated } = outputs;
  return {
    program: program(name, outputs, {
      donate: Object.fromEntries(Object.keys(donated).map((key) => [key, key])),
      inputs: [
        ...tensors,
        ...moments1,
        ...moments2,
        ...averages,
        ...frozen.tensors,
        ...data,
        ...Object.values(scalars),
      ],
      batch: data,
    }),
    parameters: specs,
    frozen: frozen.specs,
    data: dataSpecs(data),
    averages: decay !== null,
    metrics: Object.keys(reported),
  };
}

/** Metrics of a batch, and the gradients of their total by all parameters in order, f32. */
function metricsAndGradients({ parameters, metrics, accumulate = 1 }: StepParts) {
  const parts: Metrics[] = [];
  let found: Tensor[] = [];
  for (let i = 0; i < accumulate; i++) {
    // Nothing of a micro-batch is there before the gradients of those before it are.
    const before = found;
    const rows = (batch: Tensor) => accumulate === 1 ? batch : barrier(everyNth(batch, i, accumulate), ...before);
    const part = metrics(rows);
    parts.push(part);
    // Only now are all parameters declared.
    const gradient = gradients(part.total, parameters.tensors);
    found = i === 0 ? gradient : gradient.map((part, k) => add(found[k]!, part));
  }
  if (accumulate === 1) return { metrics: parts[0]!, found };
  const means = Object.keys(parts[0]!).map((key) => [key, meanOf(parts.map((part) => part[key]!))]);
  return {
    metrics: Object.fromEntries(means) as Metrics,
    found: found.map((gradient) => multiply(gradient, 1 / accumulate)),
  };
}

/**
 * Clips `first`, `first + n`, `first + 2 n`, ... of a batch: `[B, ...] -> [B / n, ...]`. Not a block of them, so that
 * devices which share the clips out in blocks each have their part of every micro-batch.
 */
function everyNth(batch: Tensor, first: number, n: number): Tensor {
  const [clips, ...rest] = batch.shape as [number, ...number[]];
  if (clips % n !== 0) throw new RangeError(`${n} micro-batches do not divide a batch of ${clips} clips`);
  const columns = reshape(batch, [clips / n, n, ...rest]);
  return reshape(slice(columns, 1, first, first + 1), [clips / n, ...rest]);
}

/** Builds a program without training. */
export function forwardProgram(
  { name, parameters, frozen, data, outputs }: {
    name: string;
    parameters: Parameters;
    frozen: Parameters;
    data: readonly Tensor[];
    outputs: Readonly<Record<string, Tensor>>;
  },
): ForwardProgram {
  return {
    program: program(name, outputs, { inputs: [...parameters.tensors, ...frozen.tensors, ...data], batch: data }),
    parameters: parameters.specs,
    frozen: frozen.specs,
    data: dataSpecs(data),
  };
}

function dataSpecs(data: readonly Tensor[]): DataSpec[] {
  return data.map(({ op, shape, dtype }) => {
    if (op.kind !== "input") throw new TypeError(`Batch data must be program inputs, found the result of ${op.kind}`);
    return { name: op.name, shape, dtype };
  });
}
