/** Runs traced tensors on an engine and gives back plain numbers. */
import { bfloatToFloat, floatToBfloat, floatToHalf, halfToFloat } from "../../../models/runtime/_half.ts";
import { type DeviceBuffer, type Engine, type HostArray, hostArray } from "../../../models/runtime/engine.ts";
import { ReferenceBuffer } from "../../../models/runtime/reference.ts";
import {
  convert,
  type DType,
  gradients,
  input,
  isFloat,
  multiply,
  program,
  sum,
  type Tensor,
} from "../../../models/tensor/mod.ts";
import type { OpCase, Value } from "./_cases.ts";

/** Values of `outputs` given those of the inputs; from the reference engine unrounded. */
export async function run(
  engine: Engine,
  outputs: Readonly<Record<string, Tensor>>,
  inputs: Readonly<Record<string, Value>>,
): Promise<Map<string, number[]>> {
  using executable = await engine.compile(program("test", outputs));
  const buffers = new Map(executable.program.inputs.map(({ name }) => {
    const { shape, dtype, numbers } = inputs[name]!;
    return [name, engine.upload(toHost(numbers, dtype), shape, dtype)];
  }));
  const results = new Map<string, number[]>();
  for (const [name, buffer] of await executable.run(buffers)) {
    results.set(name, await numbersOf(buffer));
    buffer[Symbol.dispose]();
  }
  for (const buffer of buffers.values()) buffer[Symbol.dispose]();
  return results;
}

/**
 * A case traced: its result and, if that is a float, the gradients of a weighted sum of it by the float inputs.
 *
 * @param prefix stands before all names, so that several cases make one program
 */
export function traced({ inputs, trace }: OpCase, prefix = ""): {
  outputs: Record<string, Tensor>;
  values: Record<string, Value>;
} {
  const names = inputs.map((_, i) => `${prefix}x${i}`);
  const sources = inputs.map(({ shape, dtype }, i) => input(names[i]!, shape, dtype));
  const result = trace(...sources);
  const outputs: Record<string, Tensor> = { [`${prefix}result`]: result };
  const values: Record<string, Value> = Object.fromEntries(inputs.map((value, i) => [names[i]!, value]));
  const floats = sources.filter(({ dtype }) => isFloat(dtype));
  if (isFloat(result.dtype) && floats.length > 0) {
    const weight = input(`${prefix}weight`, result.shape);
    // Weights of both signs, exact in bf16, no two neighbours alike.
    const numbers = Array.from({ length: result.size }, (_, i) => ((i * 5 + 3) % 8) / 4 - 0.875);
    values[`${prefix}weight`] = { shape: result.shape, dtype: "f32", numbers };
    const loss = sum(multiply(convert(result, "f32"), weight));
    outputs[`${prefix}loss`] = loss;
    gradients(loss, floats).forEach((gradient, i) => {
      outputs[`${prefix}gradient of x${sources.indexOf(floats[i]!)}`] = gradient;
    });
  }
  return { outputs, values };
}

async function numbersOf(buffer: DeviceBuffer): Promise<number[]> {
  if (buffer instanceof ReferenceBuffer) return [...buffer.values];
  const data = await buffer.read();
  if (buffer.dtype === "f16") return [...halfToFloat(data as Uint16Array)];
  if (buffer.dtype === "bf16") return [...bfloatToFloat(data as Uint16Array)];
  return [...data];
}

/** Numbers as the host array of a type. */
export function toHost(numbers: readonly number[], dtype: DType): HostArray {
  if (dtype === "f16") return floatToHalf(numbers);
  if (dtype === "bf16") return floatToBfloat(numbers);
  const data = hostArray(dtype, numbers.length);
  data.set(numbers);
  return data;
}
