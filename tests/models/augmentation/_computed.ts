/** Computes one tensor from named inputs. */
import type { Engine, HostArray } from "../../../models/runtime/engine.ts";
import { ReferenceEngine } from "../../../models/runtime/reference.ts";
import { program, type Tensor } from "../../../models/tensor/mod.ts";

const reference = new ReferenceEngine({ round: true });

/** @param engine By default the reference engine, with results rounded to their types. */
export async function computed(
  result: Tensor,
  values: Readonly<Record<string, HostArray>>,
  engine: Engine = reference,
): Promise<Float32Array> {
  using executable = await engine.compile(program("computed", { result }));
  const inputs = new Map(executable.program.inputs.map(({ name, tensor: { shape, dtype } }) => {
    return [name, engine.upload(values[name]!, shape, dtype)];
  }));
  const outputs = await executable.run(inputs);
  return Float32Array.from(await outputs.get("result")!.read());
}
