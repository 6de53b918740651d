/** The engines the tests run on, each opened once a process. */
import type { Engine } from "../../models/runtime/engine.ts";
import { openXlaEngine } from "../../models/runtime/xla.ts";

let xla: Promise<Engine | undefined> | undefined;

/** XLA on this machine's CPU; undefined, with a message, where its plugin cannot be had. */
export function xlaEngine(): Promise<Engine | undefined> {
  return xla ??= openXla();
}

async function openXla(): Promise<Engine | undefined> {
  const plugin = Deno.env.get("TUBELET_PJRT_PLUGIN");
  if (plugin !== undefined) return await openXlaEngine({ plugin });
  console.log("(tests on XLA are skipped: TUBELET_PJRT_PLUGIN names no plugin)");
  return undefined;
}
