/** The export as a user runs it: flags, the JSON line, exit codes. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { runDeno } from "../_child.ts";
import { writeRun } from "../pipeline/_fake_run.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

async function exported(...args: string[]) {
  return await runDeno(["run", "-A", "--no-check", `${ROOT}tasks/export.ts`, ...args]);
}

Deno.test("a run is exported, and flags that make no sense end with exit code 2", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const { path } = await writeRun(folder);
    const out = `${folder}/out`;
    const whole = await exported("--run", path, "--out", out, "--classifier", "student", "--engine", "tfjs", "--json");
    assertEquals([whole.code, whole.error], [0, ""]);
    const summary = JSON.parse(whole.out.trim().split("\n").at(-1)!);
    assertEquals([summary.network, summary.step, summary.out], ["VideoMAEForVideoClassification", 7, out]);
    assertStringIncludes(whole.out, "read back on a random clip: logits is the same");
    assertStringIncludes(whole.out, "fc_norm with an epsilon of 1e-5");
    for (
      const [args, message] of [
        [["--out", out], `--out ${out} is there and not empty`],
        [[], "--out is missing"],
        [["--out", `${folder}/x`, "--to", "pt"], '--to is "pt": expected hf, onnx or pth-names'],
        [["--out", `${folder}/x`, "--classifier", "teacher"], "expected student or scratch"],
      ] as const
    ) {
      const refused = await exported("--run", path, ...args);
      assertEquals(refused.code, 2);
      assertStringIncludes(refused.error, message);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
