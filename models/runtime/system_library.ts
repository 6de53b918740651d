/** Whether the system's loader finds a library, which tells a driver that is installed from one that is not. */

/** @param name As the loader knows it, such as "libcuda.so.1". */
export function opensLibrary(name: string): boolean {
  try {
    // Not closed again: drivers keep threads.
    Deno.dlopen(name, {});
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return false;
  }
}
