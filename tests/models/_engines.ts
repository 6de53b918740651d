/** The engines the tests run on, each opened once a process. */
import type { Engine } from "../../models/runtime/engine.ts";
import { fetchPlugin, PluginError } from "../../models/runtime/plugin.ts";
import { ReferenceEngine } from "../../models/runtime/reference.ts";
import { openTfjsEngine } from "../../models/runtime/tfjs.ts";
import { openXlaEngine } from "../../models/runtime/xla.ts";

/**
 * Whether every test has its programs optimised, which takes several times as long. Else that is left to those that hold
 * operations, a whole step and the engine itself to the reference.
 */
export const OPTIMIZE_ALL = Deno.env.get("TUBELET_TEST_OPTIMIZE") === "1";

const opened = new Map<boolean, Promise<Engine | undefined>>();

/** XLA on this machine's CPU with code that is made quickly; undefined, with a message, where its plugin cannot be had. */
export function xlaEngine(optimize = OPTIMIZE_ALL): Promise<Engine | undefined> {
  const engine = opened.get(optimize) ?? openXla(optimize);
  opened.set(optimize, engine);
  return engine;
}

/** XLA as it trains. */
export function optimizingXlaEngine(): Promise<Engine | undefined> {
  return xlaEngine(true);
}

async function openXla(optimize: boolean): Promise<Engine | undefined> {
  try {
    return await openXlaEngine({ plugin: await fetchPlugin(), optimize });
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
