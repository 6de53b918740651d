/** `deno task prepare` as a user meets it: looking ahead, parts, two at a time, bad clips and their exit code. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { lockRun } from "../../pipeline/run_lock.ts";
import { runDeno } from "../_child.ts";
import { inTempDir, makeClip } from "../decoders/_clips.ts";
import { tinyFlags } from "../pipeline/_tiny_run.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

interface Trial {
  readonly folder: string;
  readonly prepare: (...args: string[]) => Promise<{ code: number; out: string; error: string }>;
}

/** Nine clips in two classes, one missing and one empty, in shards of seven views. */
async function withClips(body: (trial: Trial) => Promise<void>): Promise<void> {
  await inTempDir(async (folder) => {
    await Deno.mkdir(join(folder, "clips"));
    const names = Array.from({ length: 9 }, (_, i) => `${i}.mp4`);
    for (const name of names.slice(0, 7)) makeClip(join(folder, "clips", name), 6);
    await Deno.writeTextFile(join(folder, "clips", "7.mp4"), "");
    await Deno.writeTextFile(join(folder, "list.txt"), names.map((name, i) => `${name} ${i % 2}\n`).join(""));
    const flags = {
      ...tinyFlags(folder),
      data: join(folder, "list.txt"),
      videos: join(folder, "clips"),
      preset: "demo",
    };
    const common = Object.entries({ ...flags, "val-share": "0" }).map(([flag, value]) => `--${flag}=${value}`);
    await body({
      folder,
      prepare: (...args) => runDeno(["run", "-A", "--no-check", "tasks/prepare.ts", ...common, ...args], { cwd: ROOT }),
    });
  });
}

function json(out: string): Record<string, unknown> {
  return JSON.parse(out.trim().split("\n").at(-1)!);
}

function files(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

Deno.test("--dry-run says clips, classes, missing files, exact bytes and the time, and writes nothing", () =>
  withClips(async ({ folder, prepare }) => {
    const { code, out, error } = await prepare("--dry-run", "--json");
    assertEquals(code, 0, error);
    assertStringIncludes(out, "train      9 clips, 9 views, 1 file missing\n  8.mp4\n");
    assertStringIncludes(out, "classes    2, list format videomae");
    assertMatch(out, /time .* for 9 views, at [\d,.]+ a second as measured just now\nNothing was written/);
    assertEquals(files(folder), ["clips", "list.txt"]);
    const { parts, minutes } = json(out) as { parts: { bytes: number; bytesLeft: number }[]; minutes: number };
    assert(minutes > 0);

    assertEquals((await prepare("--max-bad=2")).code, 0);
    const [hash] = files(join(folder, "cache/frames"));
    const sizes = [0, 1].map((shard) =>
      Deno.statSync(join(folder, "cache/frames", hash!, `shard-0000${shard}.h5`)).size
    );
    assertEquals(parts[0]!.bytes, sizes[0]! + sizes[1]!);
    const after = await prepare("--dry-run");
    assertStringIncludes(after.out, "0 B of them yet to be written");
    assertStringIncludes(after.out, "nothing is left to decode");
    assertEquals((await prepare("--dry-run", "--part=1/2")).code, 2);
  }));

Deno.test("more bad clips than --max-bad end with code 3, reasons and a list; --retry-bad takes up those that came back", () =>
  withClips(async ({ folder, prepare }) => {
    const refused = await prepare("--max-bad=1", "--json");
    assertEquals(refused.code, 3);
    assertStringIncludes(refused.error, "2 clips cannot be decoded, --max-bad 1 allows 1 of 9:\n  7.mp4 (empty): ");
    assertEquals(json(refused.out)["exitCode"], 3);

    const allowed = await prepare("--max-bad=30%", "--json");
    assertEquals([allowed.code, json(allowed.out)["badReasons"]], [0, { empty: 1, missing: 1 }], allowed.error);
    assertStringIncludes(allowed.out, "reasons    1 empty, 1 missing");
    const [hash] = files(join(folder, "cache/frames")), set = join(folder, "cache/frames", hash!);
    const lines = Deno.readTextFileSync(join(set, "bad_clips.jsonl")).trim().split("\n").map((line) =>
      JSON.parse(line)
    );
    assertEquals(lines.map(({ name, reason }) => [name, reason]), [["7.mp4", "empty"], ["8.mp4", "missing"]]);
    const content = () => {
      const stages = JSON.parse(Deno.readTextFileSync(join(folder, "run/stages.json")));
      return stages[0].result.train.contentSha256;
    };
    const before = content();

    makeClip(join(folder, "clips", "8.mp4"), 6);
    const retried = await prepare("--max-bad=30%", "--retry-bad", "--json");
    assertEquals([retried.code, json(retried.out)["badReasons"]], [0, { empty: 1 }], retried.error);
    assert(content() !== before);
  }));

Deno.test("a process that finds the run folder in use makes the clips all the same, and writes nothing into it", () =>
  withClips(async ({ folder, prepare }) => {
    await Deno.mkdir(join(folder, "run"));
    {
      using _ = lockRun(join(folder, "run"));
      const { code, out, error } = await prepare("--max-bad=2");
      assertEquals(code, 0, error);
      assertStringIncludes(out, `Run folder ${folder}/run is in use by process ${Deno.pid} on `);
      assertStringIncludes(out, "clips      9, 2 bad\nreasons    1 empty, 1 missing: ");
    }
    assertEquals(files(join(folder, "run")), [".lock"]);
    const [hash, ...others] = files(join(folder, "cache/frames"));
    assertEquals(others, []);
    assertEquals(files(join(folder, "cache/frames", hash!)).filter((name) => name.startsWith(".")), []);
    assert(files(join(folder, "cache/frames", hash!)).includes("manifest.json"));
  }));

Deno.test("parts make the set complete between them and need no run folder", () =>
  withClips(async ({ folder, prepare }) => {
    const first = await prepare("--max-bad=2", "--part=2/2", "--json");
    assertEquals([first.code, json(first.out)["missing"]], [0, 1], first.error);
    assertStringIncludes(first.out, "missing    1 shard of other parts");
    const second = await prepare("--max-bad=2", "--part=1/2");
    assertEquals(second.code, 0, second.error);
    assertStringIncludes(second.out, "complete   ");
    assertEquals(files(folder), ["cache", "clips", "list.txt"]);
    assertEquals((await prepare("--part=3/2")).code, 2);
  }));
