/** Why an accelerator cannot be used, as far as that shows without opening its plugin: no driver, no plugin. */
import type { PluginDevice } from "../models/runtime/plugin.ts";

/** What is known of a machine; tests bring their own. */
export interface AcceleratorFacts {
  readonly os: string;
  /** Whether the loader finds a library. */
  readonly opens: (library: string) => boolean;
  /** Path of a plugin for the device. */
  readonly plugin: (device: PluginDevice) => string | undefined;
  /** The variable that names a plugin. */
  readonly variable: string;
}

/** Versions of NVIDIA's driver that serve CUDA 13 begin here. */
const DRIVER = 580;

/** The reason and its mend; undefined if nothing stands in the way of trying. */
export function acceleratorObstacle(device: "cuda" | "tpu", facts: AcceleratorFacts): string | undefined {
  const { os, opens, plugin, variable } = facts;
  if (os !== "linux") return `plugins for ${device} are made for Linux only: take --device cpu`;
  if (device === "cuda" && !opens("libcuda.so.1")) {
    return `no NVIDIA driver (libcuda.so.1) is here: on a machine with such a GPU install driver ${DRIVER} or newer, in a ` +
      "container hand the GPU in";
  }
  if (plugin(device) !== undefined) return undefined;
  return device === "cuda"
    ? `no plugin: install jax-cuda13-plugin[with-cuda] with pip and set ${variable} to its xla_cuda_plugin.so`
    : `no plugin: on a Cloud TPU machine install libtpu with pip and set ${variable} to its libtpu.so`;
}

/** This machine. */
export async function acceleratorFacts(): Promise<AcceleratorFacts> {
  const { findPlugin, PLUGIN_VARIABLE } = await import("../models/runtime/plugin.ts");
  const { opensLibrary } = await import("../models/runtime/system_library.ts");
  return {
    os: Deno.build.os,
    opens: opensLibrary,
    plugin: (device) => findPlugin({ device }),
    variable: PLUGIN_VARIABLE,
  };
}
