/**
 * A task's side of its launcher (`_launch.ts`): notes of what it does, the signals that the launcher passes on, and an eye
 * on whether the launcher is still there. A task that was started without a launcher has none of it.
 */
import { LAST_WORDS, LAUNCHER, NoteFile, type Notes, PASSED_ON } from "./_last_words.ts";

const LOOK_MS = 1000;
const noNotes: Notes = { note: () => {} };

/** What a task has of its launcher. */
export interface Launched {
  readonly notes: Notes;
  /** Whether signals may be passed on. */
  readonly passesSignals: boolean;
}

/**
 * Meets the launcher, if there is one. From then on this process ends when the launcher does: nobody would be left to
 * stop it. Leaving at any moment harms nothing, and gives the run's lock up.
 */
export function meetLauncher(): Launched {
  const [launcher, path] = [LAUNCHER, LAST_WORDS].map(take);
  if (launcher === undefined) return { notes: noNotes, passesSignals: false };
  const leaveIfAlone = () => {
    if (Deno.ppid === Number(launcher)) return;
    try {
      if (path !== undefined) Deno.removeSync(path);
    } finally {
      Deno.exit(1);
    }
  };
  leaveIfAlone();
  Deno.unrefTimer(setInterval(leaveIfAlone, LOOK_MS));
  return { notes: path === undefined ? noNotes : new NoteFile(path), passesSignals: Deno.build.os !== "windows" };
}

/** Takes a variable out of the environment: processes started from here have another parent. */
function take(variable: string): string | undefined {
  // Asking for a variable without permission would prompt.
  if (Deno.permissions.querySync({ name: "env", variable }).state !== "granted") return undefined;
  const value = Deno.env.get(variable);
  Deno.env.delete(variable);
  return value;
}

/**
 * Calls `listener` at SIGINT and SIGTERM until disposed of. What comes to this process itself and what its launcher passes
 * on are counted apart and the larger count holds, so that a Ctrl-C, which reaches both, counts once.
 */
export function onInterrupt(listener: () => void, passesSignals: boolean): Disposable {
  const own: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM"];
  const counts = { own: 0, passedOn: 0 };
  const heard = (from: keyof typeof counts) => {
    const before = Math.max(counts.own, counts.passedOn);
    counts[from]++;
    if (Math.max(counts.own, counts.passedOn) > before) listener();
  };
  const handlers = own.map((signal) => ({ signal, handler: () => heard("own") }));
  if (passesSignals) handlers.push({ signal: PASSED_ON, handler: () => heard("passedOn") });
  for (const { signal, handler } of handlers) Deno.addSignalListener(signal, handler);
  return {
    [Symbol.dispose]: () => {
      for (const { signal, handler } of handlers) Deno.removeSignalListener(signal, handler);
    },
  };
}
