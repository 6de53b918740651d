/** Several processes prepare one data set: the same bytes as one alone, whoever is killed, and nothing decoded twice. */
import { assert, assertEquals } from "@std/assert";
import { ended, eventually } from "../../_child.ts";
import { inTempDir, makeClip } from "../../decoders/_clips.ts";

const WORKER = new URL("./_prepare_process.ts", import.meta.url).pathname;
const CLIPS = 33;
/** Views that one process decodes at the same time, which a kill may cost. */
const AT_HAND = 2;

function start(folder: string, cache: string, delayMs: number, ...host: string[]): Deno.ChildProcess {
  const args = ["run", "-A", "--no-check", WORKER, folder, cache, String(delayMs), ...host];
  return new Deno.Command(Deno.execPath(), { args, stdout: "piped", stderr: "piped" }).spawn();
}

/** @returns The folder of the set. */
async function finish(process: Deno.ChildProcess): Promise<string> {
  const { code, out, error } = await ended(process);
  assertEquals(code, 0, error);
  return out.trim();
}

/** Every file with its bytes. */
function contents(folder: string): [string, Uint8Array][] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort()
    .map((name) => [name, Deno.readFileSync(`${folder}/${name}`)]);
}

/** Numbers of the views decoded so far, and starts the count anew. */
function takeDecoded(folder: string): string[] {
  const lines = Deno.readTextFileSync(`${folder}/decoded`).trim().split("\n");
  Deno.removeSync(`${folder}/decoded`);
  return lines;
}

/** Waits until a process has begun a shard and has some of its rows in the journal. @returns How many. */
function rowsUnderConstruction(cache: string, { pid }: Deno.ChildProcess): Promise<number> {
  return eventually(`A shard begun by process ${pid}`, () => {
    try {
      for (const { name: hash } of Deno.readDirSync(`${cache}/frames`)) {
        for (const { name } of Deno.readDirSync(`${cache}/frames/${hash}`)) {
          const [, shard] = /^\.tmp-shard-(\d+)\.h5-.*\.rows$/.exec(name) ?? [];
          if (!shard || !Deno.readTextFileSync(`${cache}/frames/${hash}/.claim-${shard}`).includes(`"pid":${pid}}`)) {
            continue;
          }
          const rows = Deno.readTextFileSync(`${cache}/frames/${hash}/${name}`).split("\n").length - 1;
          if (rows >= 2 && rows < 5) return rows;
        }
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    return undefined;
  });
}

/** Clips of different lengths, one of them cut, and the set that one process makes of them. */
async function withClips(body: (folder: string, alone: [string, Uint8Array][]) => Promise<void>): Promise<void> {
  await inTempDir(async (folder) => {
    for (let i = 0; i < CLIPS; i++) makeClip(`${folder}/clip-${String(i).padStart(2, "0")}.mp4`, 5 + i % 7);
    Deno.truncateSync(`${folder}/clip-17.mp4`, 700);
    const alone = contents(await finish(start(folder, `${folder}/alone`, 0)));
    assertEquals(takeDecoded(folder).length, CLIPS);
    assert(alone.some(([name]) => name === "bad_clips.jsonl"));
    await body(folder, alone);
  });
}

Deno.test("three processes, one of them killed half way, make what one makes alone, and decode nothing twice", () =>
  withClips(async (folder, alone) => {
    const cache = `${folder}/together`;
    const processes = [1, 2, 3].map(() => start(folder, cache, 60));
    const [victim, ...others] = processes as [Deno.ChildProcess, ...Deno.ChildProcess[]];
    await rowsUnderConstruction(cache, victim);
    victim.kill("SIGKILL");
    assertEquals((await ended(victim)).signal, "SIGKILL");
    const sets = await Promise.all(others.map(finish));
    assertEquals(sets[0], sets[1]);
    assertEquals(contents(sets[0]!), alone);
    const decoded = takeDecoded(folder), twice = decoded.length - new Set(decoded).size;
    assertEquals(new Set(decoded).size, CLIPS);
    assert(twice <= AT_HAND, `${twice} views were decoded twice`);
  }));

Deno.test("after a kill the finished rows of an unfinished shard are not decoded again", () =>
  withClips(async (folder, alone) => {
    const cache = `${folder}/killed`;
    const victim = start(folder, cache, 40);
    const rows = await rowsUnderConstruction(cache, victim);
    victim.kill("SIGKILL");
    assertEquals((await ended(victim)).signal, "SIGKILL");
    const before = takeDecoded(folder);
    assert(before.length >= rows);
    const set = await finish(start(folder, cache, 0));
    assertEquals(contents(set), alone);
    const after = takeDecoded(folder);
    assert(after.length <= CLIPS - rows, `${after.length} views were decoded, ${rows} rows were finished before`);
    assertEquals(new Set([...before, ...after]).size, CLIPS);
  }));

Deno.test("a host that only slept goes on beside the one that took its shard over, and neither harms the other", () =>
  withClips(async (folder, alone) => {
    const cache = `${folder}/slept`;
    const sleeper = start(folder, cache, 40, "sleepy");
    await rowsUnderConstruction(cache, sleeper);
    sleeper.kill("SIGSTOP");
    const set = await finish(start(folder, cache, 0, "brisk"));
    assertEquals(contents(set).filter(([name]) => !name.startsWith(".")), alone);
    sleeper.kill("SIGCONT");
    assertEquals(await finish(sleeper), set);
    assertEquals(contents(set), alone);
  }));
