/** Child processes of tests, and what tests wait for: nothing is waited for without a limit. */

/** Beyond this something hangs; the slowest takes some 20 s on two idle cores. */
const LIMIT_SECONDS = 300;

/** How a process ended, and what it printed. */
export interface Ended {
  readonly code: number;
  readonly signal: Deno.Signal | null;
  readonly out: string;
  readonly error: string;
}

/** A promise's value. @throws {Error} if it takes longer than the limit */
export async function inTime<T>(promise: Promise<T>, what: string, limitSeconds = LIMIT_SECONDS): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not end within ${limitSeconds} s`)), 1000 * limitSeconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Looks every few milliseconds until there is something other than undefined. */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | Promise<T | undefined>,
  limitSeconds = LIMIT_SECONDS,
): Promise<T> {
  const deadline = Date.now() + 1000 * limitSeconds;
  while (Date.now() < deadline) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`${what} did not come within ${limitSeconds} s`);
}

/** Waits for a process with both outputs piped; kills it at the limit. */
export async function ended(child: Deno.ChildProcess, limitSeconds = LIMIT_SECONDS): Promise<Ended> {
  const output = child.output();
  try {
    const { code, signal, stdout, stderr } = await inTime(output, `Process ${child.pid}`, limitSeconds);
    const [out, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)) as [string, string];
    return { code, signal, out, error };
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
}

/** Runs a program to its end. */
export async function run(program: string, options: Deno.CommandOptions, limitSeconds = LIMIT_SECONDS): Promise<Ended> {
  const pipes = { stdin: "null", stdout: "piped", stderr: "piped" } as const;
  return await ended(new Deno.Command(program, { ...options, ...pipes }).spawn(), limitSeconds);
}

/** Runs Deno to its end. */
export async function runDeno(
  args: readonly string[],
  options: Omit<Deno.CommandOptions, "args"> = {},
): Promise<Ended> {
  return await run(Deno.execPath(), { ...options, args: [...args] });
}
