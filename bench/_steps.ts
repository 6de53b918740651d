/**
 * Programs at their real sizes, run with invented weights and data: what the arithmetic costs, without shards and loader.
 */
import { type AmdShape, amdStep } from "../models/amd.ts";
import { classifierForward, classifierStep, layerDecayScale } from "../models/classifier.ts";
import { hostParameter, initialParameters, type ParameterSpec } from "../models/parameters.ts";
import { type DeviceBuffer, type Engine, type HostArray, hostArray } from "../models/runtime/engine.ts";
import { type Compute, tokensOf, type TransformerShape, type VideoMaeShape } from "../models/shapes.ts";
import { teacherForward } from "../models/teacher.ts";
import { matmulFlop } from "../models/tensor/cost.ts";
import type { DType, Shape } from "../models/tensor/mod.ts";
import type { DataSpec, ForwardProgram, TrainStep } from "../models/train_step.ts";
import { videoMaeStep } from "../models/videomae.ts";

/** 16 frames of 224 x 224: 8 x 14 x 14 tokens; the student sees 20 of 196 positions, the teacher 49. */
const GRID = { slots: 8, rows: 14, columns: 14 };
const CUBE = { tubelet: 2, patch: 16 };
const VISIBLE = 8 * 20;
const TEACHER_VISIBLE = 8 * 49;
const CLASSES = 400;

const OPTIMIZER = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.05, clipNorm: null };

/** The published sizes: encoder and decoder. */
const SIZES = {
  S: { encoder: { width: 384, depth: 12, heads: 6 }, decoder: { width: 192, depth: 4, heads: 3 } },
  B: { encoder: { width: 768, depth: 12, heads: 12 }, decoder: { width: 384, depth: 4, heads: 6 } },
  L: { encoder: { width: 1024, depth: 24, heads: 16 }, decoder: { width: 512, depth: 4, heads: 8 } },
} satisfies Record<string, { encoder: TransformerShape; decoder: TransformerShape }>;
export type Size = keyof typeof SIZES;

export function videoMae(size: Size, batch: number, compute: Compute): TrainStep {
  return videoMaeStep({ shape: shapeOf(size), batch, visible: VISIBLE, optimizer: OPTIMIZER, compute });
}

/** AMD with the teacher's features as inputs. */
export function amd(student: Size, teacher: Size, batch: number, compute: Compute): TrainStep {
  const alignment: Omit<AmdShape, "shape"> = {
    teacherWidth: SIZES[teacher].encoder.width,
    studentLayers: middleAndLast(student),
    generatorDepth: 2,
    generatorTokens: "trained",
    normalizeTargets: false,
    weights: { pixel: 1, direct: 1, generation: 1 },
  };
  return amdStep({
    shape: shapeOf(student),
    ...alignment,
    batch,
    visible: VISIBLE,
    teacherVisible: TEACHER_VISIBLE,
    optimizer: { ...OPTIMIZER, clipNorm: 0.02 },
    compute,
  });
}

export function finetune(size: Size, batch: number, compute: Compute): TrainStep {
  const { encoder } = SIZES[size];
  const learningRateScale = layerDecayScale(encoder.depth, 0.7);
  const optimizer = { ...OPTIMIZER, beta2: 0.999, learningRateScale };
  return classifierStep({
    grid: GRID,
    cube: CUBE,
    encoder,
    classes: CLASSES,
    batch,
    dropPath: 0.1,
    optimizer,
    compute,
  });
}

export function evaluation(size: Size, batch: number, compute: Compute): ForwardProgram {
  return classifierForward({ grid: GRID, cube: CUBE, encoder: SIZES[size].encoder, classes: CLASSES, batch, compute });
}

export function teacher(size: Size, batch: number, compute: Compute): ForwardProgram {
  const { encoder } = SIZES[size];
  const layers = middleAndLast(size);
  return teacherForward({ grid: GRID, cube: CUBE, encoder, layers, batch, visible: TEACHER_VISIBLE, compute });
}

/** A compiled program with its weights on the device and one batch on the host. */
export class Runner implements Disposable {
  /** 10^9 operations of the matrix products of a run. */
  readonly gflop: number;
  #state: Map<string, DeviceBuffer>;

  private constructor(
    readonly engine: Engine,
    readonly executable: Awaited<ReturnType<Engine["compile"]>>,
    state: Map<string, DeviceBuffer>,
    readonly frozen: ReadonlyMap<string, DeviceBuffer>,
    readonly batch: readonly (DataSpec & { data: HostArray })[],
    readonly trains: boolean,
  ) {
    this.#state = state;
    this.gflop = matmulFlop(executable.program) / 1e9;
  }

  static async open(engine: Engine, step: TrainStep | ForwardProgram): Promise<Runner> {
    const executable = await engine.compile(step.program);
    const trains = "metrics" in step;
    const values = initialParameters([...step.parameters, ...step.frozen], pseudoRandom);
    const upload = (spec: ParameterSpec) =>
      engine.upload(hostParameter(spec, values.get(spec.name)!), spec.shape, spec.dtype);
    const state = new Map<string, DeviceBuffer>();
    for (const spec of step.parameters) {
      state.set(`parameter/${spec.name}`, upload(spec));
      for (const moment of trains ? ["moment1", "moment2"] : []) {
        const zeros = new Float32Array(values.get(spec.name)!.length);
        state.set(`${moment}/${spec.name}`, engine.upload(zeros, spec.shape, "f32"));
      }
    }
    const frozen = new Map(step.frozen.map((spec) => [`frozen/${spec.name}`, upload(spec)]));
    const batch = step.data.map((spec) => ({ ...spec, data: invented(spec) }));
    return new Runner(engine, executable, state, frozen, batch, trains);
  }

  /** Runs once, from the upload of the batch to a result on the host; milliseconds. */
  async run(): Promise<number> {
    const began = performance.now();
    const given = new Map<string, DeviceBuffer>(
      this.batch.map(({ name, shape, dtype, data }) => [name, this.engine.upload(data, shape, dtype)]),
    );
    for (const name of this.trains ? ["learning_rate", "correction1", "correction2"] : []) {
      given.set(name, this.engine.upload(Float32Array.of(1e-5), [], "f32"));
    }
    const outputs = await this.executable.run(new Map([...this.#state, ...this.frozen, ...given]));
    for (const buffer of given.values()) buffer[Symbol.dispose]();
    const read = this.trains ? ["metrics"] : [...outputs.keys()];
    for (const name of read) {
      await outputs.get(name)!.read();
      outputs.get(name)?.[Symbol.dispose]();
      outputs.delete(name);
    }
    if (this.trains) {
      for (const buffer of this.#state.values()) buffer[Symbol.dispose]();
      this.#state = outputs;
    }
    return performance.now() - began;
  }

  [Symbol.dispose](): void {
    for (const buffer of [...this.#state.values(), ...this.frozen.values()]) buffer[Symbol.dispose]();
    this.executable[Symbol.dispose]();
  }
}

function shapeOf(size: Size): VideoMaeShape {
  return { grid: GRID, cube: CUBE, ...SIZES[size] };
}

function middleAndLast(size: Size): readonly number[] {
  const { depth } = SIZES[size].encoder;
  return [depth / 2, depth];
}

/** Data of the right kind: index lists ascend, pixels vary, features and targets are small. */
function invented({ name, shape, dtype }: { name: string; shape: Shape; dtype: DType }): HostArray {
  const data = hostArray(dtype, shape.reduce((a, b) => a * b, 1));
  const perClip = data.length / shape[0]!;
  const first = name === "hidden_tokens" ? VISIBLE : name.startsWith("teacher_only") ? VISIBLE : 0;
  for (let i = 0; i < data.length; i++) {
    data[i] = dtype === "i32"
      ? (first + i % perClip) % tokensOf(GRID)
      : dtype === "u8"
      ? (Math.imul(i, 2654435761) >>> 24)
      : dtype === "f16"
      ? 0x3400 + (Math.imul(i, 2654435761) >>> 22)
      : 1 / shape.at(-1)!;
  }
  return data;
}

function pseudoRandom(count: number, name: string): Float64Array {
  let state = [...name].reduce((hash, letter) => Math.imul(hash, 31) + letter.charCodeAt(0) | 0, 7);
  return Float64Array.from({ length: count }, () => {
    state = Math.imul(state, 1664525) + 1013904223 | 0;
    return (state >>> 0) / 2 ** 32;
  });
}
