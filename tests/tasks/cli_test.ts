/** The frame of every task: flags, help, JSON line, exit codes, errors and signals. */
import { assert, assertEquals, assertFalse, assertMatch, assertStringIncludes } from "@std/assert";
import { chainTask } from "../../tasks/_chain_task.ts";
import { describeFlags } from "../../pipeline/settings.ts";
import { presets } from "../../pipeline/presets/mod.ts";
import { type Host, runTask, type Task, type TaskContext } from "../../tasks/_cli.ts";

class TestHost implements Host {
  readonly lines: string[] = [];
  readonly errors: string[] = [];
  readonly exits: number[] = [];
  listener: (() => void) | undefined;
  debug = false;
  files: Record<string, string> = {};
  out = (line: string) => void this.lines.push(line);
  error = (line: string) => void this.errors.push(line);
  exit = (code: number) => void this.exits.push(code);
  readTextFile = (path: string) => {
    const text = this.files[path];
    return text === undefined ? Promise.reject(new Deno.errors.NotFound("no such file")) : Promise.resolve(text);
  };
  notes = { note: () => {} };
  onInterrupt = (listener: () => void): Disposable => {
    this.listener = listener;
    return { [Symbol.dispose]: () => this.listener = undefined };
  };
}

function taskOf(run: (context: TaskContext) => unknown, more: Partial<Task> = {}): Task {
  return {
    name: "pretrain-video",
    about: "Trains",
    examples: [{ command: "deno task pretrain-video", about: "The demo" }],
    run: async (context) => (await run(context) ?? {}) as Record<string, unknown>,
    ...more,
  };
}

async function settingsFor(args: string[], more: Partial<Task> = {}, files = {}): Promise<TaskContext> {
  const host = new TestHost();
  host.files = files;
  let context: TaskContext | undefined;
  const code = await runTask(taskOf((c) => void (context = c), more), args, host);
  assertEquals([code, host.errors], [0, []]);
  assert(context);
  return context;
}

Deno.test("flags become settings, and only those given have the origin flag", async () => {
  const { settings, resolved, command } = await settingsFor(
    ["--seed", "7", "--student-layers=1,4", "--quiet", "--no-normalize-targets", "--clip-norm=none"],
  );
  assertEquals([settings.run.seed, settings.run.quiet, settings.run.json], [7, true, false]);
  assertEquals(settings.alignment, { ...settings.alignment, studentLayers: [1, 4], normalizeTargets: false });
  assertEquals(
    Object.entries(resolved.origins).filter(([, origin]) => origin === "flag").map(([path]) => path).sort(),
    [
      "alignment.normalizeTargets",
      "alignment.studentLayers",
      "pretrain.clipNorm",
      "run.quiet",
      "run.seed",
    ],
  );
  assertEquals(command.slice(0, 3), ["pretrain-video", "--seed", "7"]);
});

Deno.test("--preset and --config come before the flags", async () => {
  const files = { "my.json": '{"preset": "demo", "run": {"seed": 3}, "student": {"width": 48}}' };
  const { settings, resolved } = await settingsFor(["--config", "my.json", "--seed", "4"], {}, files);
  assertEquals([settings.run.seed, settings.student.width, resolved.preset], [4, 48, "demo"]);
});

Deno.test("all wrong flags and settings are told at once, exit code 2, no stack", async () => {
  const host = new TestHost();
  const args = ["--sede", "1", "--preset", "dmo", "--frames", "x", "stray", "-z", "--config", "gone.json", "--json"];
  assertEquals(await runTask(taskOf(() => assert(false)), args, host), 2);
  const text = host.errors.join("\n");
  for (
    const expected of [
      "There is no flag --sede; did you mean --seed",
      "There is no flag -z",
      'pretrain-video takes flags only: found "stray"',
      "--config gone.json cannot be read: no such file",
      'There is no preset "dmo"; did you mean demo',
      '--frames is "x": expected a whole number from 1 to 256',
    ]
  ) assertStringIncludes(text, expected);
  assertFalse(text.includes("    at "));
  assertEquals(JSON.parse(host.lines.at(-1) ?? "").exitCode, 2);
});

Deno.test("a task takes the settings, flags and words it names and no others", async () => {
  const inspect: Partial<Task> = {
    name: "inspect",
    settings: ["run.seed"],
    flags: [{ flag: "deep", kind: "boolean", about: "Look into it" }, {
      flag: "only-row",
      kind: "text",
      about: "One row",
    }],
    positional: { name: "PATH", about: "What to look at", min: 1, max: 1 },
  };
  const { words, own, settings } = await settingsFor(["007", "--deep", "--only-row", "3", "--seed", "2"], inspect);
  assertEquals([words, own, settings.run.seed], [["007"], { deep: true, "only-row": "3" }, 2]);
  const host = new TestHost();
  assertEquals(await runTask(taskOf(() => assert(false), inspect), ["a", "b", "--size", "32"], host), 2);
  assertMatch(host.errors[0] ?? "", /--size is no flag of inspect.*\n {2}inspect takes 1 of PATH: found 2$/s);
});

Deno.test("a task may have its own name for a setting, and then takes one of the two", async () => {
  const finetune = chainTask({ name: "finetune", only: "finetune", about: "Fine-tunes", examples: [] });
  const { settings, flags } = finetune, named = { ...(settings && { settings }), ...(flags && { flags }) };
  const given = await settingsFor(["--from", "runs/a", "--size", "24", "--student-width", "48"], named);
  assertEquals([given.settings.student.weights, given.own], ["runs/a", {}]);
  const host = new TestHost();
  const both = ["--from=runs/a", "--student=runs/b"];
  assertEquals(await runTask(taskOf(() => assert(false), named), both, host), 2);
  assertStringIncludes(host.errors[0]!, "--from and --student are one setting");
  // Elsewhere --from is a stage.
  assertEquals((await settingsFor(["--from", "teach"])).settings.run.from, "teach");
});

Deno.test("--help shows every flag and preset with its default, and runs nothing", async () => {
  const host = new TestHost();
  assertEquals(await runTask(taskOf(() => assert(false)), ["--help", "--sede"], host), 0);
  const text = host.lines.join("\n");
  for (const { flag, default: value } of describeFlags()) {
    assertStringIncludes(text, `--${value === true ? "no-" : ""}${flag}`);
  }
  for (const name of presets.keys()) assertStringIncludes(text, name);
  assertMatch(text, /--size N +Width and height of a view \[224 pixels; a whole number from 8 to 1024\]/);
  assertStringIncludes(text, "  deno task pretrain-video\n      The demo");
  const short = new TestHost();
  await runTask(taskOf(() => {}, { settings: [] }), ["-h"], short);
  assertFalse(short.lines.join("\n").includes("--preset"));
});

Deno.test("--json prints the summary as the last line, --quiet silences the rest", async () => {
  const talk = (context: TaskContext) => {
    context.print("working");
    return { clips: 3 };
  };
  const shown = async (...args: string[]) => {
    const host = new TestHost();
    assertEquals(await runTask(taskOf(talk), args, host), 0);
    return host.lines;
  };
  assertEquals(await shown(), ["working"]);
  assertEquals(await shown("--json"), ["working", '{"clips":3}']);
  assertEquals(await shown("--json", "--quiet"), ['{"clips":3}']);
  assertEquals(await shown("--quiet"), []);
});

Deno.test("errors choose the exit code, and show causes, and their stack only when debugging", async () => {
  const failing = async (error: unknown, debug = false) => {
    const host = new TestHost();
    host.debug = debug;
    const code = await runTask(taskOf(() => Promise.reject(error)), [], host);
    return { code, text: host.errors.join("\n") };
  };
  const plain = await failing(new RangeError("no room", { cause: new Error("disk full") }));
  assertEquals(plain, { code: 1, text: "error: no room\n  because: disk full" });
  assertEquals((await failing(Object.assign(new Error("too many bad clips"), { exitCode: 3 }))).code, 3);
  assertEquals((await failing(Object.assign(new Error("odd"), { exitCode: 77 }))).code, 1);
  assertEquals(await failing("a string"), { code: 1, text: "error: a string" });
  assertMatch((await failing(new RangeError("no room"), true)).text, /RangeError: no room\n {4}at /);
});

Deno.test("the first signal aborts and ends in exit code 130, the second leaves at once", async () => {
  const host = new TestHost();
  const code = await runTask(
    taskOf(({ signal }) => {
      host.listener?.();
      assert(signal.aborted);
      assertEquals(host.exits, []);
      host.listener?.();
      assertEquals(host.exits, [130]);
      signal.throwIfAborted();
    }),
    [],
    host,
  );
  assertEquals(code, 130);
  assertMatch(host.errors[0] ?? "", /^Interrupted: stopping after this step/);
  assertEquals(host.listener, undefined);
});

Deno.test("a real process answers a real SIGINT with exit code 130", async () => {
  const module = new URL("../../tasks/_cli.ts", import.meta.url).href;
  const script = `import { main } from ${JSON.stringify(module)};
    await main({ name: "t", about: "T", examples: [], run: ({ signal, print }) => {
      print("ready");
      const alive = setInterval(() => {}, 1000);
      return new Promise((_, reject) => signal.addEventListener("abort", () => {
        clearInterval(alive);
        reject(signal.reason);
      }));
    } });`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--ext=ts", script],
    cwd: `${import.meta.dirname}/../..`,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  assertEquals(new TextDecoder().decode((await reader.read()).value).trim(), "ready");
  child.kill("SIGINT");
  const [{ code }, errors] = await Promise.all([child.status, new Response(child.stderr).text(), reader.cancel()]);
  assertEquals(code, 130);
  assertStringIncludes(errors, "error: Interrupted: the same command goes on from here");
});

Deno.test("a task with usual presets takes the one for its demo, the other for a list, and any by name", async () => {
  const more = { presets: { demo: "image-demo", own: "imagenet-vit-s" } };
  const presetOf = async (...args: string[]) => (await settingsFor(args, more)).resolved.preset;
  assertEquals(await presetOf(), "image-demo");
  assertEquals(await presetOf("--data", "photos"), "imagenet-vit-s");
  assertEquals(await presetOf("--data", "photos", "--preset", "image-demo"), "image-demo");
});
