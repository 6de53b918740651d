/** Where this program keeps what it can make again: `tubelet` in the user's cache folder. */
import { join } from "node:path";

/**
 * A folder in the user's cache, `XDG_CACHE_HOME` or `~/.cache`; it need not exist. Undefined where the environment names
 * no home.
 */
export function cacheFolder(name: string): string | undefined {
  const cache = Deno.env.get("XDG_CACHE_HOME");
  if (cache !== undefined && cache.startsWith("/")) return join(cache, "tubelet", name);
  const home = Deno.env.get("HOME");
  return home === undefined ? undefined : join(home, ".cache", "tubelet", name);
}
