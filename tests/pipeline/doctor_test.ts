/** The doctor: what it concludes from what works, and that its probes of this machine really decode and compute. */
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import type { Engine } from "../../models/runtime/engine.ts";
import { tryEngine } from "../../pipeline/_doctor_probes.ts";
import {
  type Check,
  checkLine,
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
    return `${part} works`;
  };
  return Object.fromEntries(PARTS.map((part) => [part, probe(part)])) as Record<Part, Probe>;
}

Deno.test("a machine is ready with one decoder and one engine, whatever else is missing", async () => {
  const ready = async (...missing: Part[]) => (await diagnose(probesWithout(...missing))).ready;
  assert(await ready());
  assert(await ready("ffmpeg", "xla", "cache"));
  assert(await ready("libav", "tfjs"));
  assertEquals(await ready("libav", "ffmpeg"), false);
  assertEquals(await ready("tfjs", "xla"), false);
});

Deno.test("every part is told once, as it was tried, with the reason where it is missing", async () => {
  const told: Check[] = [];
  const { checks } = await diagnose(probesWithout("ffmpeg"), (check) => void told.push(check));
  assertEquals(told, checks);
  assertEquals(checks.map(({ part }) => part), [...PARTS]);
  assertEquals(checks.map(checkLine).slice(3, 5), [
    "OK       libav   libav works",
    "missing  ffmpeg  no ffmpeg: install it",
  ]);
});

Deno.test("a machine that cannot train is told what is missing and how to get it", async () => {
  const diagnosis = await diagnose(probesWithout("xla", "tfjs", "ffmpeg"));
  assertEquals(
    new NotReadyError(diagnosis).message,
    "Training cannot run here:\n  no engine works\n    tfjs: no tfjs: install it\n    xla: no xla: install it",
  );
});

Deno.test("libav is tried by decoding, the cache folder by writing where it would be made", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const probes = systemProbes(`${folder}/not/yet`);
    assertEquals(await probes.libav(), "decodes H.264 and VP9 in this process");
    assertMatch(await probes.cache(), /not\/yet can be written, [\d.]+ [kMGTP]?B free$/);
    assertEquals([...Deno.readDirSync(folder)], []);
    await Deno.writeTextFile(`${folder}/file`, "");
    await assertRejects(
      async () => await systemProbes(`${folder}/file/cache`).cache(),
      Error,
      "name a folder with --cache",
    );
    assertMatch(await probes.memory(), /^[\d.]+ [MGT]B of [\d.]+ [MGT]B free$/);
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
