/** Computes one tensor from named inputs on the reference engine, results rounded to their types. */
import { type HostArray } from "../../../models/runtime/engine.ts";
import { ReferenceEngine } from "../../../models/runtime/reference.ts";
import { program, type Tensor } from "../../../models/tensor/mod.ts";

const engine = new ReferenceEngine({ round: true });

export async function computed(result: Tensor, values: Readonly<Record<string, HostArray>>): Promise<Float32Array> {
  const executable = await engine.compile(program("computed", { result }));
  const inputs = new Map(executable.program.inputs.map(({ name, tensor: { shape, dtype } }) => {
    return [name, engine.upload(values[name]!, shape, dtype)];
  }));
  const outputs = await executable.run(inputs);
  return Float32Array.from(await outputs.get("result")!.read());
}
