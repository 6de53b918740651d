/** The process that runs a task in a child: what it sets, what it passes through, and what it says of the child's death. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { readMetrics } from "../../pipeline/metrics.ts";
import { deathReport } from "../../tasks/_death_report.ts";
import { readLastWords } from "../../tasks/_last_words.ts";
import { eventually, inTime } from "../_child.ts";
import { tinyArgs } from "../pipeline/_tiny_run.ts";
import { inFolder } from "./_killed_run.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const PATIENT = join(ROOT, "tests/tasks/_patient_task.ts");
const UNIX = Deno.build.os !== "windows";

/** The launcher with a task's file; its notes go to the folder. */
function launch(folder: string, script: string, args: readonly string[] = [], stdin: "null" | "piped" = "null") {
  const permissions = ["--allow-read", "--allow-write", "--allow-env", "--allow-run"];
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", ...permissions, join(ROOT, "tasks/_launch.ts"), script, ...args],
    cwd: ROOT,
    env: { TMPDIR: folder },
    stdin,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  // Streams end when launcher and task are both gone.
  const [out, error] = [child.stdout, child.stderr].map((stream) => new Response(stream).text());
  return { child, ended: inTime(Promise.all([child.status, out!, error!]), `Process ${child.pid}`) };
}

/** The launcher with the patient task, and the process of the task, once it waits. */
async function launchPatient(folder: string) {
  const launched = launch(folder, PATIENT);
  const task = await eventually("The process of the task", async () => {
    for (const { name } of Deno.readDirSync(folder)) {
      const { engine } = await readLastWords(join(folder, name));
      if (engine !== undefined) return Number(engine);
    }
    return undefined;
  });
  return { ...launched, task };
}

/** The process that holds a run's lock. */
function lockOwner(run: string): number {
  return JSON.parse(Deno.readTextFileSync(join(run, ".lock"))).pid;
}

Deno.test("a task that a signal ends mid-training is reported with program and step, and the same command goes on", async () => {
  await inFolder(async (folder) => {
    const run = join(folder, "run");
    const args = [...tinyArgs(folder), "--pretrain-epochs=20", "--until=pretrain", "--json"];
    const task = join(ROOT, "tasks/pretrain_video.ts");
    const temporary = await Deno.makeTempDir({ dir: folder });
    const expected = {
      SIGILL:
        /SIGILL while running the program amd_step, after \d+ of 40 steps of pretrain: a fault .* with --precision f32 or --engine tfjs, and --allow-change$/m,
      SIGKILL: /SIGKILL while running .* of 40 steps of pretrain: .* a smaller --pretrain-batch and --allow-change$/m,
    };
    for (const [i, signal] of (["SIGILL", "SIGKILL"] as const).entries()) {
      const { child, ended } = launch(temporary, task, args);
      const done = () => readMetrics(join(run, "metrics.jsonl")).filter(({ stage }) => stage === "pretrain").length;
      const watch = setInterval(() => {
        if (done() < 5 + 10 * i) return;
        clearInterval(watch);
        const owner = lockOwner(run);
        assert(owner !== child.pid);
        Deno.kill(owner, signal);
      }, 5);
      const [{ code }, out, error] = await ended.finally(() => clearInterval(watch));
      assertEquals(code, 1, error);
      assertMatch(error, expected[signal]);
      const last = JSON.parse(out.trim().split("\n").at(-1)!);
      assertEquals([last.exitCode, last.error], [1, error.match(/^error: (.*)$/m)?.[1]]);
    }
    const [{ code }, out, error] = await launch(temporary, task, args).ended;
    assertEquals(code, 0, error);
    assertStringIncludes(error, "pretrain: 40 steps, going on from ");
    assertEquals(JSON.parse(out.trim().split("\n").at(-1)!).clips, 24);
    assertEquals([...Deno.readDirSync(temporary)], []);
  });
});

Deno.test("input, output and exit code are the task's, and it may do no more than it needs", async () => {
  await inFolder(async (folder) => {
    const script = join(folder, "script.ts");
    await Deno.writeTextFile(
      script,
      `const text = await new Response(Deno.stdin.readable).text();
       const state = (d: Deno.PermissionDescriptor) => Deno.permissions.querySync(d).state;
       console.log(JSON.stringify({
         text, args: Deno.args, tunables: Deno.env.get("GLIBC_TUNABLES"),
         net: state({ name: "net" }), anything: state({ name: "run" }), ffmpeg: state({ name: "run", command: "ffmpeg" }),
       }));
       console.error("a warning");
       Deno.exit(3);`,
    );
    const temporary = await Deno.makeTempDir({ dir: folder });
    const { child, ended } = launch(temporary, script, ["--json", "a b"], "piped");
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode("hello"));
    await writer.close();
    const [{ code }, out, error] = await ended;
    assertEquals([code, error], [3, "a warning\n"]);
    const { tunables, ...rest } = JSON.parse(out);
    assertEquals(rest, {
      text: "hello",
      args: ["--json", "a b"],
      net: "prompt",
      anything: "prompt",
      ffmpeg: "granted",
    });
    if (Deno.build.target.endsWith("linux-gnu")) assertStringIncludes(tunables, "glibc.malloc.mmap_max=0");
    assertEquals([...Deno.readDirSync(temporary)], []);
  });
});

Deno.test({
  name: "a Ctrl-C that reaches launcher and task counts once, and so does one that the launcher alone gets",
  ignore: !UNIX,
  fn: async () => {
    for (const both of [true, false]) {
      await inFolder(async (folder) => {
        const { child, task, ended } = await launchPatient(folder);
        if (both) Deno.kill(task, "SIGINT");
        child.kill("SIGINT");
        const [{ code }, out, error] = await ended;
        assertEquals(code, 130);
        assertStringIncludes(out, "step finished");
        assertEquals(error.match(/Interrupted: stopping/g)?.length, 1);
        assertEquals([...Deno.readDirSync(folder)], []);
      });
    }
  },
});

Deno.test({
  name: "a second signal leaves at once",
  ignore: !UNIX,
  fn: async () => {
    await inFolder(async (folder) => {
      const { child, ended } = await launchPatient(folder);
      child.kill("SIGTERM");
      await new Promise((resolve) => setTimeout(resolve, 200));
      child.kill("SIGTERM");
      const [{ code }, out] = await ended;
      assertEquals([code, out.includes("step finished")], [130, false]);
    });
  },
});

Deno.test({
  name: "a task whose launcher is killed does not work on alone, and leaves no notes behind",
  ignore: !UNIX,
  fn: async () => {
    await inFolder(async (folder) => {
      const { child, task, ended } = await launchPatient(folder);
      child.kill("SIGKILL");
      // One that does not notice leaves its notes, and this test fails.
      const deadline = setTimeout(() => Deno.kill(task, "SIGKILL"), 20_000);
      const [{ signal }, out] = await ended;
      clearTimeout(deadline);
      assertEquals([signal, out.includes("step finished")], ["SIGKILL", false]);
      assertEquals([...Deno.readDirSync(folder)], []);
    });
  },
});

Deno.test("a report names what is known: nothing, the engine, the stage, the flag of its batch", () => {
  assertEquals(
    deathReport("SIGSEGV", {}),
    "The task was ended by SIGSEGV: a fault inside a native library. Run the same command again: what is done is kept; " +
      "if it dies there again, with --precision f32 or --engine tfjs, and --allow-change",
  );
  const stage = { name: "finetune-scratch", unit: "steps", done: 7, total: 40 };
  assertEquals(
    deathReport("SIGKILL", { stage, engine: "compiling the program classifier_step" }),
    "The task was ended by SIGKILL while compiling the program classifier_step, after 7 of 40 steps of " +
      "finetune-scratch: somebody killed it, or the system did because memory ran out. Run the same command again: it " +
      "goes on from the newest checkpoint; if memory runs out again, with a smaller --finetune-batch and --allow-change",
  );
});
