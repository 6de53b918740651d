/** The doctor as a user runs it. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { runDeno } from "../_child.ts";
import { PARTS } from "../../pipeline/doctor.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

Deno.test("deno task doctor tells a line a part, and all of it as fields with --json", async () => {
  const args = ["task", "--quiet", "doctor", "--quick", "--json"];
  const { code, out, error } = await runDeno(args, { cwd: ROOT, env: { NO_COLOR: "1" } });
  const lines = out.trim().split("\n");
  assertEquals(code, 0, error);
  const { ready, checks } = JSON.parse(lines.pop()!);
  assertEquals(ready, true);
  assertEquals(checks.map(({ part }: { part: string }) => part), [...PARTS]);
  lines.forEach((line, i) => assertMatch(line, new RegExp(`^(OK      |missing ) ${PARTS[i]} +\\S`)));
  for (const { ok, found, measured } of checks) {
    assertEquals([typeof ok, measured], ["boolean", null]);
    assert(found.length > 0);
  }
});
