/** The main task as a user runs it: a process of its own, killed without warning, and started again. */
import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import { readMetrics } from "../../pipeline/metrics.ts";
import { ended } from "../_child.ts";
import { assertWhole, attempt, command, inFolder, outcome } from "./_killed_run.ts";

const LONG = ["--pretrain-epochs=20", "--until=pretrain", "--json"];

Deno.test("killed with SIGKILL again and again, the run ends with the bits of one that was not", async () => {
  let expected: Awaited<ReturnType<typeof outcome>> | undefined;
  await inFolder(async (folder) => {
    const { code, out, error } = await ended(command(folder, LONG).spawn());
    assertEquals(code, 0, error);
    const summary = JSON.parse(out.trim().split("\n").at(-1)!);
    assertEquals(summary.clips, 24);
    assertEquals(summary.stages.map(({ name }: { name: string }) => name).at(-1), "pretrain");
    expected = await outcome(folder);
    assertEquals(expected.losses.length, 40);
  });
  await inFolder(async (folder) => {
    const metrics = join(folder, "run", "metrics.jsonl");
    // Before it trains: while clips are made and decoded.
    let kills = Number((await attempt(folder, LONG, { atChange: 90 })).killed);
    // Each attempt is killed a few steps after it began to train, wherever it is then.
    for (const stepsBefore of [5, 17, 29]) {
      const child = command(folder, LONG).spawn();
      const end = ended(child);
      const watch = setInterval(() => {
        const steps = readMetrics(metrics).filter(({ stage }) => stage === "pretrain").length;
        if (steps < stepsBefore) return;
        clearInterval(watch);
        child.kill("SIGKILL");
      }, 5);
      const { signal } = await end.finally(() => clearInterval(watch));
      if (signal === "SIGKILL") kills++;
    }
    assert(kills >= 2, "hardly an attempt was killed: the run is too short for this test");
    const { code, error } = await ended(command(folder, LONG).spawn());
    assertEquals(code, 0, error);
    await assertWhole(folder);
    assertEquals(await outcome(folder), expected);
  });
});

Deno.test("wrong settings end with exit code 2 and say what to mend, before any work", async () => {
  await inFolder(async (folder) => {
    const { code, error } = await ended(command(folder, ["--student-heads=3"]).spawn());
    assertEquals(code, 2);
    assert(error.includes("--student-width is 16, which --student-heads 3 does not divide"));
    assertEquals([...Deno.readDirSync(folder)], []);
  });
});
