/** The limits of what tests wait for. */
import { assertEquals, assertRejects } from "@std/assert";
import { eventually, run, runDeno } from "./_child.ts";

Deno.test("a child that does not end is killed at its limit, and the error says so", async () => {
  const args = ["eval", "console.log('begun'); setInterval(() => {}, 1000)"];
  const error = await assertRejects(() => run(Deno.execPath(), { args }, 0.5), Error, "did not end within 0.5 s");
  const pid = Number(/Process (\d+)/.exec(error.message)![1]);
  // Killed and waited for, it is no process any more.
  await eventually("the end of the child", () => {
    try {
      return void Deno.kill(pid, "SIGCONT");
    } catch {
      return true;
    }
  }, 20);
});

Deno.test("what a child prints and how it ends comes back as text and code", async () => {
  const { code, signal, out, error } = await runDeno(["eval", "console.log('a'); console.error('b'); Deno.exit(3)"]);
  assertEquals([code, signal, out, error], [3, null, "a\n", "b\n"]);
});

Deno.test("what never comes is an error that names it", async () => {
  await assertRejects(() => eventually("a thing", () => undefined, 0.05), Error, "a thing did not come within 0.05 s");
});
