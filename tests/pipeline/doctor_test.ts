/** The doctor: what it concludes from what works, and that its probes of this machine really decode and compute. */
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { pathToFileURL } from "node:url";
import type { Engine } from "../../models/runtime/engine.ts";
import { acceleratorObstacle } from "../../pipeline/_doctor_accelerators.ts";
import { tryEngine } from "../../pipeline/_doctor_engine.ts";
import { type NativeProbeOptions, tryInChild } from "../../pipeline/_doctor_native.ts";
import {
  type Check,
  checkLines,
  diagnose,
  NotReadyError,
  type Part,
  PARTS,
  type Probe,
  systemProbes,
} from "../../pipeline/doctor.ts";
import { referenceEngine } from "../models/_engines.ts";

/** Probes that all work but for the parts given. */
function probesWithout(...missing: Part[]): Record<Part, Probe> {
  const probe = (part: Part): Probe => () => {
    if (missing.includes(part)) throw new Error(`no ${part}: install it`);
    return { found: `${part} works`, ...(part === "xla" && { measured: { f32ProductGflops: 123.456 } }) };
  };
  return Object.fromEntries(PARTS.map((part) => [part, probe(part)])) as Record<Part, Probe>;
}

Deno.test("a machine is ready with one decoder and one engine, whatever else is missing", async () => {
  const ready = async (...missing: Part[]) => (await diagnose(probesWithout(...missing))).ready;
  assert(await ready());
  assert(await ready("ffmpeg", "xla", "cache", "cuda", "tpu"));
  assert(await ready("libav", "tfjs", "xla", "tpu"));
  assertEquals(await ready("libav", "ffmpeg"), false);
  assertEquals(await ready("tfjs", "xla", "cuda", "tpu"), false);
});

Deno.test("every part is told once, as it was tried, with the reason where it is missing and its speed", async () => {
  const told: Check[] = [];
  const { checks } = await diagnose(probesWithout("ffmpeg"), { onCheck: (check) => void told.push(check) });
  assertEquals(told, checks);
  assertEquals(checks.map(({ part }) => part), [...PARTS]);
  assertEquals(checks.slice(3, 7).flatMap(checkLines), [
    "OK       libav   libav works",
    "missing  ffmpeg  no ffmpeg: install it",
    "OK       tfjs    tfjs works",
    "OK       xla     xla works",
    "                 products in f32 123 GFLOP/s",
  ]);
  assertEquals(checks[6], { part: "xla", ok: true, found: "xla works", measured: { f32ProductGflops: 123.456 } });
});

Deno.test("an interruption ends the diagnosis", async () => {
  const controller = new AbortController();
  const told: Part[] = [];
  const onCheck = ({ part }: Check) => {
    told.push(part);
    if (part === "cache") controller.abort(new Error("stop"));
  };
  await assertRejects(() => diagnose(probesWithout(), { onCheck, signal: controller.signal }), Error, "stop");
  assertEquals(told, ["cores", "memory", "cache"]);
});

Deno.test("a machine that cannot train is told what is missing and how to get it", async () => {
  const diagnosis = await diagnose(probesWithout("xla", "tfjs", "ffmpeg", "cuda", "tpu"));
  assertEquals(
    new NotReadyError(diagnosis).message,
    "Training cannot run here:\n  no engine works\n    tfjs: no tfjs: install it\n    xla: no xla: install it\n" +
      "    cuda: no cuda: install it\n    tpu: no tpu: install it",
  );
});

Deno.test("libav is tried by decoding, the cache folder by writing where it would be made", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const probes = systemProbes({ cache: `${folder}/not/yet`, measure: false });
    assertEquals(await probes.libav(), { found: "decodes H.264 and VP9 in this process" });
    assertMatch((await probes.cache()).found, /not\/yet can be written, [\d.]+ [kMGTP]?B free$/);
    const { measured } = await systemProbes({ cache: `${folder}/not/yet`, measure: true }).cache();
    assert(measured === undefined || measured.writtenBytesPerSecond! > 0 && measured.readBytesPerSecond! > 0);
    assertEquals([...Deno.readDirSync(folder)], []);
    await Deno.writeTextFile(`${folder}/file`, "");
    await assertRejects(
      async () => await systemProbes({ cache: `${folder}/file/cache`, measure: false }).cache(),
      Error,
      "name a folder with --cache",
    );
    assertMatch((await probes.memory()).found, /^[\d.]+ [MGT]B of [\d.]+ [MGT]B free$/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("an engine is tried by multiplying, and one that multiplies wrongly does not pass", async () => {
  const engine = referenceEngine();
  assertStringIncludes(await tryEngine(engine), engine.description);
  const wrong: Engine = {
    name: "wrong",
    description: "Wrong",
    compile: (program) => engine.compile(program),
    upload: () => engine.upload(Float32Array.of(1, 1, 1, 1), [2, 2], "f32"),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  await assertRejects(() => tryEngine(wrong), Error, "Wrong computes a wrong product, 2, 2, 2, 2");
});

/** Tries a part in a child process that runs a script of the test's. */
async function tryScript(text: string, options: Partial<NativeProbeOptions> = {}) {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/child.ts`, text);
    const script = pathToFileURL(`${folder}/child.ts`);
    return await tryInChild("xla", { folder, measureMs: 60_000, script, ...options });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const DOING = `console.log('{"doing":"compiling the program doctor"}');`;

Deno.test("a part tried in a child is what the child finds, whatever else its libraries print", async () => {
  const answer = `console.log('noise', Deno.args); console.log('{"finding":{"found":"yes"}}');`;
  assertEquals(await tryScript(DOING + answer), { found: "yes" });
  await assertRejects(() => tryScript(`console.log('{"error":"no plugin"}')`), Error, "no plugin");
});

Deno.test("a child that dies or does not answer is told with what it was doing", async () => {
  const reason = async (text: string, options = {}) =>
    (await assertRejects(() => tryScript(text, options), Error)).message;
  assertEquals(
    await reason(`${DOING} console.error("bad primitive"); Deno.kill(Deno.pid, "SIGILL"); for (;;);`),
    "its process died while compiling the program doctor (SIGILL): bad primitive",
  );
  assertEquals(
    await reason(`${DOING} await new Promise(() => setInterval(() => {}, 1000));`, { limitMs: 1000 }),
    "gave no answer in 1 s while compiling the program doctor",
  );
});

Deno.test("a part that works is found although measuring it takes too long, with the numbers there were by then", async () => {
  const finding = (measured: Record<string, number>) =>
    `console.log('{"finding":{"found":"yes","measured":' +
    ${JSON.stringify(JSON.stringify(measured))} + '}}');`;
  const hang = `await new Promise(() => setInterval(() => {}, 1000));`;
  const numbers = finding({}) + finding({ f32ProductGflops: 5 });
  const { found, measured } = await tryScript(numbers + hang, { measureMs: 1000 });
  assertMatch(found, /^yes; measuring was ended after \d+ s$/);
  assertEquals(measured, { f32ProductGflops: 5 });
  // An answer that comes after the time is an answer all the same; one that dies while it measures does not work.
  const late = `await new Promise((resolve) => setTimeout(resolve, 300));`;
  assertMatch((await tryScript(late + finding({}) + hang, { measureMs: 1 })).found, /^yes; measuring was ended/);
  await assertRejects(() => tryScript(`${finding({})} Deno.kill(Deno.pid, "SIGILL"); for (;;);`), Error, "SIGILL");
});

Deno.test("an accelerator that cannot work is named with the first thing that is missing", () => {
  const facts = { os: "linux", opens: () => true, plugin: () => "/plugin.so", variable: "PLUGIN" };
  assertEquals(acceleratorObstacle("cuda", facts), undefined);
  assertEquals(acceleratorObstacle("tpu", facts), undefined);
  assertMatch(acceleratorObstacle("cuda", { ...facts, os: "darwin" })!, /for Linux only: take --device cpu$/);
  assertMatch(acceleratorObstacle("cuda", { ...facts, opens: () => false })!, /no NVIDIA driver .*install driver 580/);
  assertMatch(
    acceleratorObstacle("cuda", { ...facts, plugin: () => undefined })!,
    /install jax-cuda13-plugin\[with-cuda\] with pip and set PLUGIN/,
  );
  assertMatch(acceleratorObstacle("tpu", { ...facts, opens: () => false, plugin: () => undefined })!, /install libtpu/);
});

Deno.test("TensorFlow.js is tried and measured in a child process", async () => {
  // A busy machine needs longer than the doctor waits for numbers.
  const { found, measured } = await tryInChild("tfjs", { folder: ".", measureMs: 60_000 });
  assertMatch(found, /^TensorFlow\.js .* backend, multiplies/);
  for (const name of ["f32ProductGflops", "stepGflops", "stepClipsPerSecond"] as const) assert(measured![name]! > 0);
});
