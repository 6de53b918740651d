/** A task for the tests of the launcher: notes its process, then works until it is told to stop, and a second more. */
import { main } from "../../tasks/_cli.ts";

await main({
  name: "patient",
  about: "Waits",
  examples: [],
  run: async ({ signal, print, notes }) => {
    notes.note({ engine: String(Deno.pid) });
    const { promise, resolve } = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => setTimeout(resolve, 1000));
    const alive = setInterval(() => {}, 1000);
    await promise;
    clearInterval(alive);
    print("step finished");
    throw signal.reason;
  },
});
