/**
 * Runs a program of a stage on made-up weights and clips, without shards and loader: what its arithmetic costs. Plan,
 * doctor and benchmarks time it.
 */
import {
  type DeviceBuffer,
  type Engine,
  type Executable,
  type HostArray,
  hostArray,
} from "../models/runtime/engine.ts";
import { type DType, type Program, sizeOf } from "../models/tensor/mod.ts";
import type { DataSpec, ForwardProgram, TrainStep } from "../models/train_step.ts";
import { uniforms } from "./random.ts";
import { amdInputs, type MaskSizes, teacherInputs, teacherPositions, videoMaeInputs } from "./training/mask_draws.ts";

/** What is made up. */
export interface MadeUp {
  /** Of the tokens that the networks see. */
  readonly sizes: MaskSizes;
  readonly seed: number;
}

/** Drawn numbers; larger arrays repeat them. A prime, so that rows differ. */
const DRAWN = 4093;
const SCALAR = 1e-5;

/** A compiled program with weights and moments on the device and a batch on the host. Dispose of it to free the device. */
export class StepRunner implements Disposable {
  readonly #state = new Map<string, DeviceBuffer>();
  readonly #inputs: ReadonlyMap<string, Program["inputs"][number]["tensor"]>;
  /** Name of the input that an output takes the place of. */
  readonly #inputOf: ReadonlyMap<string, string>;

  private constructor(
    private readonly engine: Engine,
    private readonly executable: Executable,
    private readonly data: readonly DataSpec[],
    private readonly values: ReadonlyMap<string, HostArray>,
    private readonly now: () => number,
    readonly compileSeconds: number,
  ) {
    const { inputs, donations } = executable.program;
    this.#inputs = new Map(inputs.map(({ name, tensor }) => [name, tensor]));
    this.#inputOf = new Map([...donations].map(([input, output]) => [output, input]));
  }

  /**
   * Compiles.
   *
   * @param now Clock, ms.
   */
  static async open(
    engine: Engine,
    { program, data }: TrainStep | ForwardProgram,
    madeUp: MadeUp,
    now = () => performance.now(),
  ): Promise<StepRunner> {
    const began = now();
    const executable = await engine.compile(program);
    const runner = new StepRunner(engine, executable, data, madeUpBatch(program, madeUp), now, (now() - began) / 1000);
    try {
      for (const name of runner.#inputs.keys()) runner.#upload(name);
      return runner;
    } catch (error) {
      runner[Symbol.dispose]();
      throw error;
    }
  }

  /** What the compiler says that the program needs on the device; null where it does not tell. */
  get memoryBytes(): number | null {
    const { memory } = this.executable;
    return memory && memory.argumentBytes + memory.outputBytes - memory.aliasBytes + memory.temporaryBytes;
  }

  /**
   * Runs once, from the upload of the batch to the results on the host.
   *
   * @returns Seconds.
   */
  async run(): Promise<number> {
    const began = this.now();
    for (const { name } of this.data) this.#upload(name);
    for (const [name, buffer] of await this.executable.run(this.#state)) {
      const input = this.#inputOf.get(name);
      if (input === undefined) {
        using result = buffer;
        await result.read();
        continue;
      }
      this.#state.get(input)![Symbol.dispose]();
      this.#state.set(input, buffer);
    }
    return (this.now() - began) / 1000;
  }

  [Symbol.dispose](): void {
    for (const buffer of this.#state.values()) buffer[Symbol.dispose]();
    this.executable[Symbol.dispose]();
  }

  #upload(name: string): void {
    const { shape, dtype } = this.#inputs.get(name)!;
    const placing = this.executable.program.batch.has(name) ? "rows" : "copies";
    this.#state.get(name)?.[Symbol.dispose]();
    this.#state.set(name, this.engine.upload(this.values.get(name)!, shape, dtype, placing));
  }
}

/** Every input of a program: real draws of tokens, numbers of an ordinary size for all else, moments of zero. */
function madeUpBatch({ inputs }: Program, { sizes, seed }: MadeUp): Map<string, HostArray> {
  const drawn = uniforms(DRAWN, seed, "made up");
  const clips = inputs.find(({ name }) => name === "cubes")!.tensor.shape[0]!;
  const rows = Array.from({ length: clips }, (_, row) => ({ row, epoch: 0 }));
  const masks = (row: number) => teacherPositions(sizes, seed, row);
  const tokens = new Map<string, HostArray>([
    ...videoMaeInputs(rows, sizes, seed),
    ...amdInputs(rows, masks, sizes, seed),
    ...teacherInputs(rows.map(({ row }) => row), masks, sizes),
  ]);
  return new Map(inputs.map(({ name, tensor: { shape, dtype } }) => {
    const given = tokens.get(name);
    if (given) return [name, given];
    // The rate is small and the steps change little, however many there are.
    if (shape.length === 0) return [name, Float32Array.of(SCALAR)];
    const values = hostArray(dtype, sizeOf(shape));
    if (!name.startsWith("moment")) {
      for (let i = 0; i < values.length; i++) values[i] = ordinary(dtype, drawn[i % DRAWN]!);
    }
    return [name, values];
  }));
}

/** A number from a draw in [0, 1): pixels of all levels, and others below 0.05, floats of 16 bits by their bits. */
function ordinary(dtype: DType, draw: number): number {
  if (dtype === "f32") return draw * 0.05;
  if (dtype === "f16") return 0x2000 + Math.floor(draw * 0x800);
  if (dtype === "bf16") return 0x3c00 + Math.floor(draw * 0x100);
  return Math.floor(draw * 256);
}
