/** The README's TypeScript runs as it stands, beside a folder of `deno task export` and a video of the names it uses. */
import { assertEquals, assertLessOrEqual } from "@std/assert";
import { exportRun } from "../pipeline/export.ts";
import { runDeno } from "./_child.ts";
import { inFolder } from "./models/checkpoints/_archives.ts";
import { writeRun } from "./pipeline/_fake_run.ts";

const ROOT = new URL("..", import.meta.url).pathname;
const blocks = [...Deno.readTextFileSync(`${ROOT}/README.md`).matchAll(/```ts\n([^]*?)```/g)].map(([, code]) => code!);

Deno.test({
  name: `the README's example embeds a clip in ten lines${blocks.length === 0 ? " (skipped: it has none)" : ""}`,
  ignore: blocks.length === 0,
  fn: () =>
    inFolder(async (folder) => {
      const run = await writeRun(folder);
      await exportRun({ run: run.path, to: "hf", out: `${folder}/student`, engine: { engine: "tfjs" } });
      await Deno.copyFile(`${ROOT}/tests/fixtures/clips/colours.webm`, `${folder}/clip.mp4`);
      for (const code of blocks) {
        assertLessOrEqual(code.trim().split("\n").length, 10);
        await Deno.writeTextFile(`${folder}/example.ts`, code.replace('"./mod.ts"', JSON.stringify(`${ROOT}mod.ts`)));
        const args = ["run", "-A", "--quiet", "--config", `${ROOT}deno.json`, "example.ts"];
        const example = await runDeno(args, { cwd: folder, env: { NO_COLOR: "1" } });
        assertEquals(example.code, 0, example.error);
        // The vector of a clip, as the README says.
        assertEquals(/Float32Array\((\d+)\)/.exec(example.out)?.[1], "48");
      }
    }),
});
