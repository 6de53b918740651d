/** The engines the tests run on, each opened once a process. */
import type { Engine } from "../../models/runtime/engine.ts";
import { fetchPlugin, PluginError } from "../../models/runtime/plugin.ts";
import { ReferenceEngine } from "../../models/runtime/reference.ts";
import { openTfjsEngine } from "../../models/runtime/tfjs.ts";
import { openXlaEngine } from "../../models/runtime/xla.ts";

let xla: Promise<Engine | undefined> | undefined;

/** XLA on this machine's CPU; undefined, with a message, where its plugin cannot be had. */
export function xlaEngine(): Promise<Engine | undefined> {
  return xla ??= openXla();
}

async function openXla(): Promise<Engine | undefined> {
  try {
    return await openXlaEngine({ plugin: await fetchPlugin() });
  } catch (error) {
    if (!(error instanceof PluginError)) throw error;
    console.log(`(tests on XLA are skipped: ${error.message})`);
    return undefined;
  }
}

let tfjs: Promise<Engine> | undefined;

/** TensorFlow.js on its WebAssembly backend, which every machine has. */
export function tfjsEngine(): Promise<Engine> {
  return tfjs ??= openTfjsEngine({ backend: "wasm" });
}

const reference = new ReferenceEngine();

/** Every operation in float64. */
export function referenceEngine(): ReferenceEngine {
  return reference;
}
