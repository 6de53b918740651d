/** Runs programs on an engine with numbers from the host. */
import { bfloatToFloat, floatToHalf, halfToFloat } from "../../models/runtime/_half.ts";
import type { DeviceBuffer, Engine, Executable, HostArray, Placement } from "../../models/runtime/engine.ts";
import type { ParameterSpec } from "../../models/parameters.ts";
import type { Program, Tensor } from "../../models/tensor/mod.ts";
import type { TrainStep } from "../../models/train_step.ts";
import { referenceEngine, tfjsEngine, xlaEngine } from "../models/_engines.ts";

let engine: Promise<Engine> | undefined;

/** The engine of the golden tests: XLA where its plugin is at hand, else the reference engine. */
export function goldenEngine(): Promise<Engine> {
  return engine ??= xlaEngine().then((xla) => xla ?? referenceEngine());
}

/**
 * A test on both engines: XLA (where its plugin is missing, the reference), and TensorFlow.js.
 *
 * @param test Its name, or its name and whether it is skipped.
 */
export function engineTest(
  test: string | { readonly name: string; readonly ignore: boolean },
  fn: (engine: Engine) => Promise<void>,
): void {
  const { name, ignore } = typeof test === "string" ? { name: test, ignore: false } : test;
  Deno.test({ name, ignore, fn: async () => await fn(await goldenEngine()) });
  Deno.test({ name: `${name}, on TensorFlow.js`, ignore, fn: async () => await fn(await tfjsEngine()) });
}

/** Compiles and runs a program once; floats come back as f32. */
export async function runOnce(
  engine: Engine,
  program: Program,
  inputs: ReadonlyMap<string, ArrayLike<number>>,
): Promise<Map<string, Float32Array | HostArray>> {
  using executable = await engine.compile(program);
  using stack = new DisposableStack();
  const buffers = new Map(
    program.inputs.map((
      { name, tensor },
    ) => [name, stack.use(upload(engine, inputs, name, tensor, placed(program, name)))]),
  );
  const outputs = await executable.run(buffers);
  const found = new Map<string, HostArray>();
  for (const [name, buffer] of outputs) found.set(name, await floats(stack.use(buffer)));
  return found;
}

function placed({ batch }: Program, name: string): Placement {
  return batch.has(name) ? "rows" : "copies";
}

function upload(
  engine: Engine,
  inputs: ReadonlyMap<string, ArrayLike<number>>,
  name: string,
  tensor: Tensor,
  placement: Placement,
) {
  const values = inputs.get(name);
  if (values === undefined) throw new TypeError(`The test gives no ${name}`);
  return engine.upload(hostValues(values, tensor), tensor.shape, tensor.dtype, placement);
}

function hostValues(values: ArrayLike<number>, { dtype }: Tensor): HostArray {
  switch (dtype) {
    case "f32":
      return Float32Array.from(values);
    case "f16":
      return floatToHalf(values);
    case "i32":
      return Int32Array.from(values);
    case "u8":
      return Uint8Array.from(values);
    default:
      throw new TypeError(`The test has no numbers of type ${dtype}`);
  }
}

async function floats(buffer: DeviceBuffer): Promise<HostArray> {
  const values = await buffer.read();
  if (buffer.dtype === "f16") return halfToFloat(values as Uint16Array);
  return buffer.dtype === "bf16" ? bfloatToFloat(values as Uint16Array) : values;
}

/** Inputs `ROLE/NAME` of parameters. */
export function named<V>(role: string, values: ReadonlyMap<string, V>): Map<string, V> {
  return new Map([...values].map(([name, value]) => [`${role}/${name}`, value]));
}

/** A training run of some steps on one batch, from moments of zero. */
export interface Trained {
  /** Metrics of every step, by name. */
  metrics: Map<string, number>[];
  /** Parameters after every step, by name. */
  parameters: Map<string, Float32Array>[];
}

/** Compiled steps by engine; compiling is the slow part of a small case. */
const compiled = new Map<Engine, WeakMap<TrainStep, Promise<Executable>>>();

function compileOnce(engine: Engine, step: TrainStep): Promise<Executable> {
  const steps = compiled.get(engine) ?? new WeakMap<TrainStep, Promise<Executable>>();
  compiled.set(engine, steps);
  const compiling = steps.get(step) ?? engine.compile(step.program);
  steps.set(step, compiling);
  return compiling;
}

/** Runs a step `rates.length` times on the same batch. A step is compiled once, however often it is trained. */
export async function train(
  engine: Engine,
  step: TrainStep,
  start: ReadonlyMap<string, ArrayLike<number>>,
  inputs: ReadonlyMap<string, ArrayLike<number>>,
  rates: readonly number[],
  [beta1, beta2]: readonly [number, number],
): Promise<Trained> {
  const executable = await compileOnce(engine, step);
  using stack = new DisposableStack();
  const tensors = new Map(step.program.inputs.map(({ name, tensor }) => [name, tensor]));
  const fixed = new Map(
    [...step.frozen.map(({ name }) => `frozen/${name}`), ...step.data.map(({ name }) => name)]
      .map((name) => {
        const placement = placed(step.program, name);
        return [name, stack.use(upload(engine, inputs, name, tensors.get(name)!, placement))] as const;
      }),
  );
  let state = new Map<string, DeviceBuffer>();
  for (const { name, shape } of step.parameters) {
    const values = Float32Array.from(start.get(name)!);
    state.set(`parameter/${name}`, engine.upload(values, shape, "f32"));
    for (const part of ["moment1", "moment2"]) {
      state.set(`${part}/${name}`, engine.upload(new Float32Array(values.length), shape, "f32"));
    }
  }
  const trained: Trained = { metrics: [], parameters: [] };
  for (const [i, rate] of rates.entries()) {
    const scalars = {
      learning_rate: rate,
      correction1: 1 / (1 - beta1 ** (i + 1)),
      correction2: 1 / (1 - beta2 ** (i + 1)),
    };
    const uploaded = Object.entries(scalars).map(([name, value]) =>
      [name, stack.use(engine.upload(Float32Array.of(value), [], "f32"))] as const
    );
    const outputs = await executable.run(new Map([...state, ...fixed, ...uploaded]));
    using metrics = outputs.get("metrics")!;
    const numbers = await metrics.read();
    outputs.delete("metrics");
    trained.metrics.push(new Map(step.metrics.map((name, k) => [name, numbers[k]!])));
    state = outputs;
    trained.parameters.push(await parametersOf(step.parameters, state));
  }
  for (const buffer of state.values()) buffer[Symbol.dispose]();
  return trained;
}

async function parametersOf(specs: readonly ParameterSpec[], state: ReadonlyMap<string, DeviceBuffer>) {
  const found = new Map<string, Float32Array>();
  for (const { name } of specs) found.set(name, await state.get(`parameter/${name}`)!.read() as Float32Array);
  return found;
}
