/** How much memory this process may still take: what the system has free, within the limit of its control group. */
import process from "node:process";

/**
 * Bytes that this process may still take; undefined where the system may not be asked. Where a group of processes has a
 * limit, what others of the group hold is not known and not counted.
 *
 * @param wanted Unused memory that the allocator kept is given back to the system if less than this is free.
 */
export function freeHostBytes(wanted: number): number | undefined {
  const kinds = ["systemMemoryInfo"] as const;
  if (kinds.some((kind) => Deno.permissions.querySync({ name: "sys", kind }).state !== "granted")) return undefined;
  const free = look();
  if (free >= wanted || !trimHeap()) return free;
  return look();
}

function look(): number {
  const { available, total } = Deno.systemMemoryInfo();
  const limit = process.constrainedMemory?.() ?? 0;
  // No limit reads as 0 or as more than there is.
  const allowed = limit > 0 && limit < total ? limit - Deno.memoryUsage().rss : Infinity;
  return Math.max(0, Math.min(available, allowed));
}

/** Lets glibc give back what is freed but kept; with the settings that training is fast with it keeps everything. */
function trimHeap(): boolean {
  if (Deno.build.os !== "linux") return false;
  try {
    const libc = Deno.dlopen("libc.so.6", { malloc_trim: { parameters: ["usize"], result: "i32" } });
    libc.symbols.malloc_trim(0n);
    libc.close();
    return true;
  } catch {
    // Another C library.
    return false;
  }
}
