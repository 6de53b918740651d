/**
 * Kills the whole chain at seeded random moments, again and again, until it is through, and compares what it leaves with
 * a run that was never killed: `deno task test-kills --trials 200 --seed 0`. A trial is a kill: after some time, at some
 * change of a file, or at some change of a file in one stage, so that the short stages have their share; every other one
 * of the task as users start it, where it dies together with its launcher. Minutes, so no part of the normal tests, which
 * hold a few of the same trials.
 */
import { assertEquals } from "@std/assert";
import { parseArgs } from "@std/cli/parse-args";
import { uniform } from "../../pipeline/random.ts";
import { assertWhole, attempt, countChanges, inFolder, type Moment, outcome, stageUnderWay } from "./_killed_run.ts";

/** A process needs this long before it does anything that a kill could harm, ms. */
const START_MS = 250;
/** Kills come up to this much later, ms: shorter than the chain, so that most attempts are killed. */
const SPREAD_MS = 2500;
/** Or at one of so many changes of files: between writing, syncing, renaming and removing. */
const SPREAD_CHANGES = 250;
const ARGS = ["--pretrain-epochs=20", "--checkpoint-steps=3", "--probe-epochs=5"];

const { trials: wanted = "200", seed = "0" } = parseArgs(Deno.args, { string: ["trials", "seed"] });
const trials = Number(wanted);
/** Changes of files by stage, in the order of the stages. */
const changes = new Map<string, number>();
const expected = await inFolder(async (folder) => {
  for (const [stage, count] of await countChanges(folder, ARGS)) changes.set(stage, count);
  await assertWhole(folder);
  return await outcome(folder);
});
const places = new Map<string, number>();
let kills = 0, runs = 0;
while (kills < trials) {
  await inFolder(async (folder) => {
    const moments: Moment[] = [];
    try {
      // After the last trial the run is let through.
      for (let killed = true; killed;) {
        const moment = kills < trials ? draw(runs, moments.length, stageUnderWay(folder)) : { afterMs: 600_000 };
        moments.push(moment);
        const ended = await attempt(folder, ARGS, moment, moments.length % 2 === 0);
        killed = ended.killed;
        if (!killed) continue;
        kills++;
        places.set(ended.stage, (places.get(ended.stage) ?? 0) + 1);
      }
      await assertWhole(folder);
      assertEquals(await outcome(folder), expected);
    } catch (error) {
      throw new Error(`Run ${runs} is not what it would be without kills: ${JSON.stringify(moments)}`, {
        cause: error,
      });
    }
    console.log(`run ${runs++}: ${moments.length - 1} kills, whole and bit-equal; ${kills} of ${trials} kills so far`);
  });
}

const table = [...places].sort(([, a], [, b]) => b - a).map(([stage, count]) => `${stage} ${count}`).join(", ");
console.log(`${kills} kills in ${runs} runs: nothing lost, nothing left, losses and weights bit-equal (${table})`);

/** The moment of a trial; `reached` is the stage that the kill before it had interrupted. */
function draw(run: number, attempt: number, reached: string): Moment {
  const at = uniform(Number(seed), "kill", run, attempt);
  if ((run + attempt) % 4 === 0) return { afterMs: Math.round(START_MS + SPREAD_MS * at) };
  if ((run + attempt) % 4 === 1) return { atChange: 1 + Math.floor(SPREAD_CHANGES * at) };
  // Of the stages that are left, each as likely as the others.
  const stages = [...changes.keys()], left = stages.slice(Math.max(0, stages.indexOf(reached)));
  const inStage = left[Math.floor(left.length * uniform(Number(seed), "kill in stage", run, attempt))]!;
  return { inStage, atChange: 1 + Math.floor(changes.get(inStage)! * at) };
}
