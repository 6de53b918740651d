/**
 * What the processor can do that decides how programs are written for it. Known for x86-64 on Linux; elsewhere nothing
 * is assumed.
 */
import type { OneDnnTypes } from "./_onednn.ts";

/** Flags of the first processor in `/proc/cpuinfo`; empty where it cannot be read without asking. */
export function processorFlags(path = "/proc/cpuinfo"): ReadonlySet<string> {
  if (Deno.permissions.querySync({ name: "read", path }).state !== "granted") return new Set();
  try {
    const flags = /^flags\s*:(.*)$/m.exec(Deno.readTextFileSync(path))?.[1] ?? "";
    return new Set(flags.trim().split(/\s+/));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return new Set();
    throw error;
  }
}

/**
 * The element types in which oneDNN kernels run on a processor and are worth their call. Without AVX-512 a bf16 call
 * ends the process; with it but without bf16 instructions it is slower than f32.
 */
export function oneDnnTypes(flags: ReadonlySet<string>): OneDnnTypes {
  if (!flags.has("avx512f")) return [];
  return flags.has("avx512_bf16") || flags.has("amx_bf16") ? ["f32", "bf16"] : ["f32"];
}
