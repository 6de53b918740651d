/**
 * The second thread of a decoder lane: it looks how much memory the process has, also while a clip keeps the first one
 * inside libav. It cannot end the process itself; it says so on stderr, and the parent kills it. The thread's name is the
 * limit, bytes of resident memory.
 */
import { TOO_MUCH_MEMORY } from "./_messages.ts";

/** Time between two looks, milliseconds: libav fills about a tenth of a gigabyte in it. */
const INTERVAL_MS = 50;

const limitBytes = Number(self.name);
setInterval(() => {
  if (Deno.memoryUsage().rss > limitBytes) console.error(TOO_MUCH_MEMORY);
}, INTERVAL_MS);
