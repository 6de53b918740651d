/**
 * Parameters and AdamW's moments on a device, handed from step to step by donation, and their files in a checkpoint:
 * `model.safetensors` (parameters under official names, for other tools too), `optimizer.safetensors` (moments,
 * `moment1/NAME` and `moment2/NAME` under ours), and `average.safetensors` (the moving average of the parameters, as
 * `model.safetensors`) where there is one.
 */
import { join } from "node:path";
import type { DeviceBuffer, Engine, Executable, HostArray } from "../../models/runtime/engine.ts";
import { officialTensors, type ParameterValues } from "../../models/checkpoints/official_names.ts";
import { writeSafetensors } from "../../models/checkpoints/safetensors.ts";
import { hostParameter, type ParameterSpec } from "../../models/parameters.ts";
import type { CubeSize } from "../../models/shapes.ts";
import type { TrainStep } from "../../models/train_step.ts";
import { AVERAGE_FILE, checkpointParameters, type HostParameters, MODEL_FILE, readParameters } from "./weights.ts";

const OPTIMIZER = "optimizer.safetensors";
/** Output of a step: its numbers. */
export const METRICS = "metrics";
const MOMENTS = ["moment1", "moment2"] as const;
/** What every value that a step replaces starts with, as the program's inputs and outputs begin. */
type Kind = "parameter" | "average" | typeof MOMENTS[number];

/** A batch on the device. Dispose of it after the step, or instead of it. */
export interface UploadedBatch extends Disposable {
  /** By the name of the program's input. */
  readonly buffers: ReadonlyMap<string, DeviceBuffer>;
}

/** The state of a training. Dispose of it to free the device. */
export class TrainState implements Disposable {
  readonly #buffers = new Map<string, DeviceBuffer>();
  readonly #frozen = new Map<string, DeviceBuffer>();

  private constructor(private readonly engine: Engine, private readonly step: TrainStep) {}

  /** Step 0: the given parameters, which are their average too, and moments of zero. */
  static create(engine: Engine, step: TrainStep, parameters: HostParameters): TrainState {
    const state = new TrainState(engine, step);
    for (const spec of step.parameters) {
      const values = parameters.get(spec.name);
      if (!values) throw new TypeError(`The parameter ${spec.name} has no initial value`);
      const zeros = new Float32Array(values.length);
      state.#upload(spec, { parameter: values, moment1: zeros, moment2: zeros, average: values });
    }
    return state;
  }

  /**
   * The state in a checkpoint.
   *
   * @throws {TypeError} if a tensor is missing or has another shape than the network's
   */
  static async load(engine: Engine, step: TrainStep, folder: string): Promise<TrainState> {
    const model = await checkpointParameters(folder, step.parameters);
    const moments = await readParameters(
      join(folder, OPTIMIZER),
      step.parameters.flatMap((spec) => MOMENTS.map((kind) => ({ ...spec, name: `${kind}/${spec.name}` }))),
    );
    const averages = step.averages ? await readParameters(join(folder, AVERAGE_FILE), step.parameters) : model;
    const state = new TrainState(engine, step);
    for (const spec of step.parameters) {
      const { name } = spec;
      state.#upload(spec, {
        parameter: model.get(name)!,
        moment1: moments.get(`moment1/${name}`)!,
        moment2: moments.get(`moment2/${name}`)!,
        average: averages.get(name)!,
      });
    }
    return state;
  }

  /** Uploads values that no step changes. @throws {TypeError} if one is missing */
  freeze(values: HostParameters): void {
    for (const spec of this.step.frozen) {
      const found = values.get(spec.name);
      if (!found) throw new TypeError(`The frozen tensor ${spec.name} has no value`);
      this.#frozen.set(`frozen/${spec.name}`, this.engine.upload(hostParameter(spec, found), spec.shape, spec.dtype));
    }
  }

  /**
   * Copies a batch to the device; the arrays may be reused at once.
   *
   * @param inputs The batch, by input name.
   */
  upload(inputs: ReadonlyMap<string, HostArray>): UploadedBatch {
    const buffers = new Map<string, DeviceBuffer>();
    const free = () => buffers.forEach((buffer) => buffer[Symbol.dispose]());
    try {
      for (const { name, shape, dtype } of this.step.data) {
        const values = inputs.get(name);
        if (!values) throw new TypeError(`The batch lacks ${name}`);
        buffers.set(name, this.engine.upload(values, shape, dtype, "rows"));
      }
    } catch (error) {
      free();
      throw error;
    }
    return { buffers, [Symbol.dispose]: free };
  }

  /**
   * Starts one step.
   *
   * @param batch Its batch, which is disposed of.
   * @param scalars Scalar inputs, f32.
   * @returns Once the step is started, or done where the engine waits for it: a promise of its metrics by name.
   */
  async advance(
    executable: Executable,
    batch: UploadedBatch,
    scalars: Readonly<Record<string, number>>,
  ): Promise<{ readonly numbers: Promise<Map<string, number>> }> {
    const outputs = await this.run(executable, batch, scalars);
    const numbers = outputs.get(METRICS)!;
    outputs.delete(METRICS);
    for (const [name, buffer] of outputs) {
      this.#buffers.get(name)?.[Symbol.dispose]();
      this.#buffers.set(name, buffer);
    }
    return { numbers: this.#read(numbers) };
  }

  /**
   * Runs a program over the state and a batch; what it takes over by donation is the caller's to replace.
   *
   * @param batch Disposed of.
   * @param scalars Scalar inputs, f32.
   * @returns Its outputs.
   */
  async run(
    executable: Executable,
    batch: UploadedBatch,
    scalars: Readonly<Record<string, number>>,
  ): Promise<Map<string, DeviceBuffer>> {
    using _ = batch;
    const transient = new Map<string, DeviceBuffer>();
    try {
      for (const [name, value] of Object.entries(scalars)) {
        transient.set(name, this.engine.upload(Float32Array.of(value), [], "f32"));
      }
      const inputs = new Map([...this.#buffers, ...this.#frozen, ...batch.buffers, ...transient]);
      return await executable.run(inputs);
    } finally {
      for (const buffer of transient.values()) buffer[Symbol.dispose]();
    }
  }

  /** The parameters on the host, by name. */
  async parameters(): Promise<HostParameters> {
    return new Map((await this.#download("parameter")).map(({ name, data }) => [name, data as Float32Array]));
  }

  /**
   * Writes the files of a checkpoint.
   *
   * @param cube Size of a cube, to write the patch embedding as the convolution that others have.
   */
  async write(folder: string, cube: CubeSize): Promise<void> {
    const model = officialTensors(await this.#download("parameter"), cube);
    await writeSafetensors(join(folder, MODEL_FILE), model, { format: "pt" });
    if (this.step.averages) {
      const average = officialTensors(await this.#download("average"), cube);
      await writeSafetensors(join(folder, AVERAGE_FILE), average, { format: "pt" });
    }
    const moments = await Promise.all(MOMENTS.map(async (kind) => {
      return (await this.#download(kind)).map((tensor) => ({ ...tensor, name: `${kind}/${tensor.name}` }));
    }));
    await writeSafetensors(join(folder, OPTIMIZER), moments.flat());
  }

  [Symbol.dispose](): void {
    for (const buffer of [...this.#buffers.values(), ...this.#frozen.values()]) buffer[Symbol.dispose]();
    this.#buffers.clear();
    this.#frozen.clear();
  }

  #upload(spec: ParameterSpec, values: Readonly<Record<Kind, Float32Array>>): void {
    const kinds: readonly Kind[] = ["parameter", ...MOMENTS, ...(this.step.averages ? ["average" as const] : [])];
    for (const kind of kinds) {
      this.#buffers.set(`${kind}/${spec.name}`, this.engine.upload(values[kind], spec.shape, "f32"));
    }
  }

  async #read(numbers: DeviceBuffer): Promise<Map<string, number>> {
    using buffer = numbers;
    const values = await buffer.read();
    return new Map(this.step.metrics.map((name, i) => [name, values[i]!]));
  }

  async #download(kind: Kind): Promise<ParameterValues[]> {
    return await Promise.all(this.step.parameters.map(async ({ name, shape }) => ({
      name,
      shape,
      data: await this.#buffers.get(`${kind}/${name}`)!.read() as Float32Array,
    })));
  }
}
