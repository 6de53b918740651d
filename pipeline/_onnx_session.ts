/** Computes an exported ONNX model with ONNX Runtime, on its WebAssembly backend, which every machine has. */
import fs from "node:fs";
import { basename } from "node:path";
import { weightsFile } from "../models/onnx/write_onnx.ts";

/** Plain frames of clips. */
export interface FrameBatch {
  /** `[B, T, H, W, 3]`. */
  readonly shape: readonly number[];
  readonly frames: Uint8Array;
}

/** What a model computed. */
export interface OnnxResult {
  /** For people. */
  readonly runtime: string;
  /** By name, `[B, ...]`. */
  readonly outputs: ReadonlyMap<string, Float32Array>;
}

/**
 * Runs a model on a batch of clips.
 *
 * @param path The model's file; its weights may lie in a second one beside it.
 */
export async function runOnnx(path: string, { shape, frames }: FrameBatch): Promise<OnnxResult> {
  const ort = await import("onnxruntime-web");
  ort.env.wasm.numThreads = 1;
  const outside = weightsFile(path);
  const externalData = fs.existsSync(outside) ? [{ path: basename(outside), data: fs.readFileSync(outside) }] : [];
  const session = await ort.InferenceSession.create(fs.readFileSync(path), {
    executionProviders: ["wasm"],
    ...(externalData.length > 0 && { externalData }),
  });
  try {
    const [name] = session.inputNames;
    const results = await session.run({ [name!]: new ort.Tensor("uint8", frames, shape) });
    return {
      runtime: `onnxruntime-web ${ort.env.versions.web ?? ""}`.trimEnd(),
      outputs: new Map(Object.entries(results).map(([name, { data }]) => [name, data as Float32Array])),
    };
  } finally {
    await session.release();
  }
}
