/**
 * What the processor can do that decides how programs are written for it. Asked of glibc (2.33 or newer) on x86-64
 * Linux, since `/proc/cpuinfo` cannot be read without all permissions; elsewhere nothing is assumed.
 */
import type { OneDnnTypes } from "./_onednn.ts";

/** Where a feature stands: glibc's number of a CPUID leaf, register (0 eax to 3 edx), bit. */
const FEATURES: Readonly<Record<string, readonly [leaf: number, register: number, bit: number]>> = {
  avx512f: [1, 1, 16],
  amx_bf16: [1, 3, 22],
  avx512_bf16: [6, 0, 5],
};
/** `struct cpuid_feature`: four registers as the processor reports them, then those the system lets programs use. */
const USABLE_OFFSET = 16;

/** Features that programs may use, under the names of `/proc/cpuinfo`; empty where they cannot be asked for. */
export function processorFlags(): ReadonlySet<string> {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") return new Set();
  let libc;
  try {
    libc = Deno.dlopen("libc.so.6", { __x86_get_cpuid_feature_leaf: { parameters: ["u32"], result: "pointer" } });
  } catch {
    // Another C library, or an older one.
    return new Set();
  }
  try {
    const has = ([leaf, register, bit]: readonly [number, number, number]) => {
      const feature = libc.symbols.__x86_get_cpuid_feature_leaf(leaf);
      return feature !== null &&
        (new Deno.UnsafePointerView(feature).getUint32(USABLE_OFFSET + 4 * register) >>> bit & 1) === 1;
    };
    return new Set(Object.entries(FEATURES).filter(([, place]) => has(place)).map(([name]) => name));
  } finally {
    libc.close();
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
