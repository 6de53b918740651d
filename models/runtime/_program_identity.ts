/**
 * What the machine code of a program depends on beside its text: the plugin's build, the processor, and the variables that
 * the plugin reads.
 */
import { statSync } from "node:fs";
import type { PjrtClient } from "./pjrt/client.ts";
import { processorFeatures } from "./_processor.ts";

/** What the plugin reads when it compiles: flags, and how many threads a loop is cut up for. */
const VARIABLES = ["XLA_FLAGS", "NPROC", "PJRT_NPROC"] as const;

/** Parts of a program's name in the cache. */
export type ProgramIdentity = { readonly [part: string]: string | number | null };

/**
 * The identity of a client's programs.
 *
 * A plugin is known by number, size and times of its file: hashing its 250 MB takes a second, more than reading a program
 * back, and the time of a file's last change is the system's own, which no copying or unpacking sets back.
 *
 * @param plugin Path of the plugin.
 * @returns undefined where programs must not be kept: the processor's features or the variables cannot be known
 */
export function programIdentity({ api, platform, device }: PjrtClient, plugin: string): ProgramIdentity | undefined {
  const features = processorFeatures();
  const readable = VARIABLES.every((variable) => {
    return Deno.permissions.querySync({ name: "env", variable }).state === "granted";
  });
  if (features === undefined || !readable) return undefined;
  const flags = Deno.env.get("XLA_FLAGS") ?? "";
  // With these the compiler puts in calls of its own, and a plugin ends the process when it writes such a program down.
  if (/onednn/i.test(flags)) return undefined;
  const { ino, size, mtimeNs, ctimeNs } = statSync(plugin, { bigint: true });
  return {
    plugin: [ino, size, mtimeNs, ctimeNs].join(" "),
    api: api.version,
    platform,
    device,
    processor: features,
    cores: navigator.hardwareConcurrency,
    ...Object.fromEntries(VARIABLES.map((variable) => [variable, Deno.env.get(variable) ?? null])),
  };
}
