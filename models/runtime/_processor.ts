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
const REGISTERS = 4;
/** More leaves than any glibc has; those that it does not have are all zero. */
const LEAVES = 32;

/** The usable features of a leaf, by register. */
type FeatureLeaf = (leaf: number) => Uint32Array;

/** Features that programs may use, under the names of `/proc/cpuinfo`; empty where they cannot be asked for. */
export function processorFlags(): ReadonlySet<string> {
  const flags = askProcessor((usable) => {
    const has = ([leaf, register, bit]: readonly [number, number, number]) =>
      (usable(leaf)[register]! >>> bit & 1) === 1;
    return new Set(Object.entries(FEATURES).filter(([, place]) => has(place)).map(([name]) => name));
  });
  return flags ?? new Set();
}

/** All features that programs may use, as text to compare; undefined where they cannot be asked for. */
export function processorFeatures(): string | undefined {
  return askProcessor((usable) => {
    return Array.from({ length: LEAVES }, (_, leaf) => [...usable(leaf)].map((bits) => bits.toString(16))).join(" ");
  });
}

function askProcessor<T>(ask: (usable: FeatureLeaf) => T): T | undefined {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") return undefined;
  let libc;
  try {
    libc = Deno.dlopen("libc.so.6", { __x86_get_cpuid_feature_leaf: { parameters: ["u32"], result: "pointer" } });
  } catch {
    // Another C library, or an older one.
    return undefined;
  }
  try {
    return ask((leaf) => {
      const feature = libc.symbols.__x86_get_cpuid_feature_leaf(leaf);
      if (feature === null) return new Uint32Array(REGISTERS);
      const view = new Deno.UnsafePointerView(feature);
      return Uint32Array.from({ length: REGISTERS }, (_, register) => view.getUint32(USABLE_OFFSET + 4 * register));
    });
  } finally {
    libc.close();
  }
}

/**
 * The element types in which oneDNN kernels run on a processor and are worth their call. Without AVX-512 a bf16 call
 * ends the process, and f32 products of batches run a parallel loop inside another, in which two threads of the plugin's
 * pool can wait for each other for ever. With AVX-512 but without bf16 instructions, bf16 is slower than f32.
 */
export function oneDnnTypes(flags: ReadonlySet<string>): OneDnnTypes {
  if (!flags.has("avx512f")) return [];
  return flags.has("avx512_bf16") || flags.has("amx_bf16") ? ["f32", "bf16"] : ["f32"];
}
