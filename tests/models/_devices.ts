/** XLA on several virtual devices of the CPU, each engine opened once a process. */
import { fetchPlugin } from "../../models/runtime/plugin.ts";
import { openXlaEngine, type XlaEngine } from "../../models/runtime/xla.ts";
import { OPTIMIZE_ALL, xlaEngine } from "./_engines.ts";

const opened = new Map<number, Promise<XlaEngine>>();

/** Whether XLA is here at all. */
export const xlaIsHere = await xlaEngine() !== undefined;

/** An engine on so many devices. */
export async function devicesEngine(devices: number): Promise<XlaEngine> {
  if (devices === 1) return await xlaEngine() as XlaEngine;
  const engine = opened.get(devices) ?? openXlaEngine({ plugin: await fetchPlugin(), devices, optimize: OPTIMIZE_ALL });
  opened.set(devices, engine);
  return await engine;
}
