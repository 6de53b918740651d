/**
 * What is kept of a step whose losses are no numbers: its batch, the state before it, seed and rates, in a folder that the
 * step can be run again from; and which tensor was the first that is not finite. The state before the step is on the device
 * no more when its losses are read, so the training is run again from the checkpoint before, which repeats it bit for bit.
 */
import fs from "node:fs";
import { join } from "node:path";
import { type StoredType, writeSafetensors } from "../../models/checkpoints/safetensors.ts";
import type { Executable } from "../../models/runtime/engine.ts";
import { describeTensor, type DType, finiteWatch } from "../../models/tensor/mod.ts";
import { writeFileAtomically } from "../shards/_publish.ts";
import type { Batch } from "./batch_source.ts";
import type { Evidence } from "./diverged_error.ts";
import { METRICS, TrainState } from "./train_state.ts";
import { stepScalars, type Training } from "./training.ts";

/** Names of element types in safetensors; where one is missing, another of the same bits. */
const STORED: Readonly<Record<DType, StoredType>> = {
  f32: "F32",
  bf16: "BF16",
  f16: "F16",
  i32: "I32",
  u32: "I32",
  u8: "U8",
  bool: "BOOL",
};

/**
 * Runs the training again up to a step and keeps what went into that one.
 *
 * @param step The step that is not finite, from 1.
 * @param values Its metrics.
 * @throws the signal's reason
 */
export async function gatherEvidence(
  training: Training,
  executable: Executable,
  step: number,
  values: ReadonlyMap<string, number>,
): Promise<Evidence> {
  const { engine, name, checkpoints, evidence, identity, signal, warn } = training;
  const folder = join(evidence!.folder, `${name}-step-${String(step).padStart(8, "0")}`);
  fs.mkdirSync(folder, { recursive: true });
  const found = await checkpoints.latest();
  const from = found?.step ?? 0;
  warn(`Step ${step} of ${name} is not finite: steps ${from + 1} to ${step} are run again to find the first tensor`);
  using state = found
    ? await TrainState.load(engine, training.step, found.path)
    : TrainState.create(engine, training.step, await training.initial());
  state.freeze(training.frozen ?? new Map());
  await using batches = training.batches(from);
  for (let at = from; at < step - 1; at++) {
    signal.throwIfAborted();
    const batch = await batches.next();
    const uploaded = state.upload(batch.inputs);
    batch.release();
    const { numbers } = await state.advance(executable, uploaded, stepScalars(training, at));
    await numbers;
  }
  const batch = await batches.next();
  await state.write(folder, training.cube);
  await writeBatch(join(folder, "batch.safetensors"), training, batch);
  const first = await firstBadTensor(training, state, batch, step - 1);
  const replay = {
    training: name,
    step,
    epoch: batch.epoch,
    seed: evidence!.seed,
    identity,
    scalars: stepScalars(training, step - 1),
    metrics: Object.fromEntries([...values].map(([key, value]) => [key, String(value)])),
    checkpoint: found?.path ?? null,
    first,
  };
  batch.release();
  writeFileAtomically(join(folder, "replay.json"), JSON.stringify(replay, null, 2) + "\n");
  return { folder, first };
}

async function writeBatch(path: string, { step }: Training, { inputs }: Batch): Promise<void> {
  await writeSafetensors(
    path,
    step.data.map(({ name, shape, dtype }) => ({ name, shape, dtype: STORED[dtype], data: inputs.get(name)! })),
  );
}

async function firstBadTensor(training: Training, state: TrainState, batch: Batch, step: number) {
  const { program, tensors } = finiteWatch(training.step.program, METRICS);
  using executable = await training.engine.compile(program);
  const outputs = await state.run(executable, state.upload(batch.inputs), stepScalars(training, step));
  using bad = outputs.get("bad")!;
  const at = (await bad.read() as Float32Array).findIndex((value) => value !== 0);
  return at < 0 ? null : describeTensor(tensors[at]!);
}
