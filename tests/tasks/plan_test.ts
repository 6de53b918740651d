/** The plan as a user asks for it, with the permissions that the task has. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { runDeno } from "../_child.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

async function plan(...args: string[]) {
  const { code, out, error } = await runDeno(["task", "--quiet", "plan", ...args], { cwd: ROOT });
  return { code, lines: out.trimEnd().split("\n"), errors: error };
}

Deno.test("a published recipe is planned without a list, for people and as one JSON line", async () => {
  const { code, lines, errors } = await plan("--preset", "ssv2-vit-s", "--json");
  assertEquals([code, errors], [0, ""]);
  assertStringIncludes(lines[0]!, "168,913 for training, 24,777 for validation, 174 classes");
  assert(lines.some((line) => /^ {2}pretrain +2,048 +65,600 +75,198,656 +168 /.test(line)), lines.join("\n"));
  assert(lines.some((line) => line.startsWith("  on one H100: ")), lines.join("\n"));
  const found = JSON.parse(lines.at(-1)!);
  assertEquals([found.preset, found.clips.train, found.disk.fits !== undefined], ["ssv2-vit-s", 168_913, true]);
});

Deno.test("numbers that cannot be used are refused with exit code 2", async () => {
  const { code, errors } = await plan("--preset", "ssv2-vit-s", "--clips", "many");
  assertEquals(code, 2);
  assertStringIncludes(errors, '--clips is "many": expected a whole number above 0');
});

Deno.test("a run that does not fit here is planned and refused with exit code 2, one that is only supposed is not", async () => {
  const large = ["--device", "cpu", "--size", "256", "--clip-size", "256", "--pretrain-batch", "65536"];
  const refused = await plan("--preset", "demo", "--train-clips", "100000", ...large, "--json");
  assertEquals(refused.code, 2, refused.errors);
  assertStringIncludes(refused.errors, "pretrain needs about ");
  assertStringIncludes(refused.errors, "take a smaller batch, or, in training, --accumulate or --remat");
  assert(refused.lines.some((line) => line.startsWith("  does not fit: pretrain needs about ")));
  assertEquals(JSON.parse(refused.lines.at(-1)!).exitCode, 2);
  const supposed = await plan("--preset", "k400-vit-b", "--device", "cpu", "--pretrain-batch", "65536");
  assertEquals([supposed.code, supposed.errors], [0, ""]);
  assert(supposed.lines.some((line) => line.startsWith("  does not fit: pretrain needs about ")));
});
