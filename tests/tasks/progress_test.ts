/** Progress lines: what they say, how often they come, and that a file gets no terminal codes. */
import { assert, assertEquals, assertFalse, assertStringIncludes } from "@std/assert";
import { silentProgress } from "../../pipeline/progress.ts";
import { showProgress } from "../../tasks/_progress.ts";

function shown({ isTerminal = true, columns = 200, quiet = false } = {}) {
  const written: string[] = [];
  const time = { ms: 0 };
  const progress = showProgress({
    quiet,
    clock: () => time.ms,
    output: { isTerminal, columns: () => columns, write: (text) => void written.push(text) },
  });
  return { written, time, progress };
}

const ERASE = "\r\x1b[2K";

Deno.test("a terminal shows bar, count, share, rate, time left, time so far, data wait and note", () => {
  const { written, time, progress } = shown();
  using stage = progress.begin("pretrain", 4000, "steps");
  time.ms = 10_000;
  stage.update(1000, { waitShare: 0.021, note: "total 0.912" });
  assertEquals(
    written.at(-1),
    `${ERASE}pretrain       ███░░░░░░░░░  1,000/4,000 steps  25.0 %  100 steps/s  30 s left  10 s so far  data wait 2.1 %  total 0.912`,
  );
});

Deno.test("a terminal is drawn at most ten times a second", () => {
  const { written, time, progress } = shown();
  using stage = progress.begin("pretrain", 1000, "steps");
  for (time.ms = 1; time.ms <= 1000; time.ms++) stage.update(time.ms);
  assertEquals(written.length, 1 + 10);
});

Deno.test("a line never reaches the last column of the terminal", () => {
  const { written, time, progress } = shown({ columns: 40 });
  using stage = progress.begin("pretrain", 1000, "steps");
  time.ms = 1000;
  stage.update(10);
  for (const text of written) assert([...text.slice(ERASE.length)].length <= 39, text);
  assertEquals([...(written.at(-1) ?? "").slice(ERASE.length)].length, 39);
});

Deno.test("after a resume the count goes on and the rate does not count what was done before", () => {
  const { written, time, progress } = shown({ isTerminal: false });
  {
    using stage = progress.begin("pretrain", 4000, "steps", { from: 1000 });
    time.ms = 10_000;
    stage.update(1100);
  }
  assertEquals(written, [
    "pretrain: 4,000 steps, going on from 1,000\n",
    "pretrain: 1,100/4,000 steps, 27.5 %, 10 steps/s, 4 min 50 s left, 10 s so far\n",
    "pretrain: 1,100/4,000 steps in 10 s, 10 steps/s\n",
  ]);
});

Deno.test("time spent aside is no part of the rate and of the time left", () => {
  const { written, time, progress } = shown({ isTerminal: false });
  {
    using stage = progress.begin("pretrain", 400, "steps");
    time.ms = 10_000;
    stage.update(100, { waitShare: 0.1 });
    time.ms = 60_000;
    stage.update(100, { asideMs: 50_000 });
    time.ms = 70_000;
    stage.update(200, { waitShare: 0.1 });
  }
  assertEquals(written.slice(-2), [
    "pretrain: 200/400 steps, 50.0 %, 10 steps/s, 20 s left, 1 min 10 s so far, data wait 10.0 %\n",
    "pretrain: 200/400 steps in 1 min 10 s, 10 steps/s, data wait 10.0 %\n",
  ]);
});

Deno.test("the time left follows the rate of the last half minute", () => {
  const { written, time, progress } = shown();
  using stage = progress.begin("prepare", 1200, "clips");
  let done = 0;
  for (time.ms = 1000; time.ms <= 100_000; time.ms += 1000) stage.update(++done);
  assertStringIncludes(written.at(-1) ?? "", "100/1,200 clips  8.3 %  1 clips/s  18 min 20 s left");
  for (; time.ms <= 131_000; time.ms += 1000) stage.update(done += 10);
  assertStringIncludes(written.at(-1) ?? "", "410/1,200 clips  34.2 %  10 clips/s  1 min 19 s left");
});

Deno.test("steps slower than the window still have a rate", () => {
  const { written, time, progress } = shown();
  using stage = progress.begin("pretrain", 10, "steps");
  for (const step of [1, 2, 3]) {
    time.ms += 50_000;
    stage.update(step);
  }
  assertStringIncludes(written.at(-1) ?? "", "3/10 steps  30.0 %  50.0 s/step  5 min 50 s left");
});

Deno.test("a file gets a line at begin, every ten seconds and at the end, without terminal codes", () => {
  const { written, time, progress } = shown({ isTerminal: false });
  {
    using stage = progress.begin("teach", 300, "views");
    for (let done = 1; done <= 300; done++) {
      time.ms += 100;
      stage.update(done, { waitShare: done <= 150 ? 0 : 0.5 });
    }
  }
  assertEquals(written, [
    "teach: 300 views\n",
    "teach: 100/300 views, 33.3 %, 10 views/s, 20 s left, 10 s so far, data wait 0.0 %\n",
    "teach: 200/300 views, 66.7 %, 10 views/s, 10 s left, 20 s so far, data wait 50.0 %\n",
    "teach: 300/300 views, 100.0 %, 10 views/s, 0 s left, 30 s so far, data wait 50.0 %\n",
    "teach: 300/300 views in 30 s, 10 views/s, data wait 25.0 %\n",
  ]);
  assertFalse(written.join("").includes("\x1b"));
});

Deno.test("the end replaces the bar by one lasting line, once", () => {
  const { written, time, progress } = shown();
  const stage = progress.begin("export", 1, "files");
  time.ms = 2000;
  stage.update(1);
  stage[Symbol.dispose]();
  stage[Symbol.dispose]();
  stage.update(1);
  assertEquals(written.slice(2), [ERASE, "export: 1/1 files in 2 s, 0.50 files/s\n"]);
});

Deno.test("a total that is not known shows the count alone", () => {
  const { written, time, progress } = shown({ isTerminal: false });
  {
    using stage = progress.begin("prepare", 0, "clips");
    time.ms = 10_000;
    stage.update(1);
  }
  assertEquals(written, [
    "prepare: clips\n",
    "prepare: 1 clip, 10.0 s/clip, 10 s so far\n",
    "prepare: 1 clip in 10 s, 10.0 s/clip\n",
  ]);
});

Deno.test("a stage that begins ends the one before", () => {
  const { written, progress } = shown({ isTerminal: false });
  progress.begin("prepare", 2, "clips").update(2);
  using _next = progress.begin("teach", 2, "views");
  assertEquals(written, ["prepare: 2 clips\n", "prepare: 2/2 clips in 0 s\n", "teach: 2 views\n"]);
});

Deno.test("a line printed aside stands above the bar, which comes back", () => {
  const { written, progress } = shown();
  progress.aside(() => written.push("before\n"));
  using _stage = progress.begin("teach", 2, "views");
  const bar = written.at(-1) ?? "";
  progress.aside(() => written.push("a warning\n"));
  assertEquals(written, ["before\n", bar, ERASE, "a warning\n", bar]);
});

Deno.test("a note cannot steer the terminal", () => {
  const { written, time, progress } = shown();
  using stage = progress.begin("prepare", 2, "clips");
  time.ms = 1000;
  stage.update(1, { note: "bad clip \x1b[2J\r.mp4" });
  assert(written.at(-1)?.endsWith("bad clip \\u{1b}[2J\\u{d}.mp4"), written.at(-1));
});

Deno.test("nothing is shown with --quiet, and lines beside it are", () => {
  const { written, time, progress } = shown({ quiet: true });
  for (const quiet of [progress, silentProgress]) {
    using stage = quiet.begin("prepare", 2, "clips");
    time.ms += 60_000;
    stage.update(2);
  }
  assertEquals(written, []);
  progress.aside(() => written.push("a warning"));
  assertEquals(written, ["a warning"]);
});
