import * as tf from "@tensorflow/tfjs-core";
import { assertEquals, assertLessOrEqual, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import type { DeviceBuffer } from "../../../models/runtime/engine.ts";
import { openTfjsEngine } from "../../../models/runtime/tfjs.ts";
import {
  add,
  broadcast,
  exp,
  gatherRows,
  gradients,
  input,
  matmul,
  program,
  softmax,
  sum,
} from "../../../models/tensor/mod.ts";
import { tfjsEngine } from "../_engines.ts";

Deno.test("a run leaves no tensors behind but its outputs", async () => {
  const engine = await tfjsEngine();
  const x = input("x", [2, 3, 3]), index = input("index", [2, 2], "i32");
  const rows = gatherRows(softmax(matmul(exp(x), x, { transposeA: true })), index);
  const loss = sum(add(rows, broadcast(sum(rows), [2, 2, 3])));
  const outputs = { loss, next: gradients(loss, [x])[0]! };
  using executable = await engine.compile(program("p", outputs, { donate: { x: "next" } }));
  const inputs = new Map<string, DeviceBuffer>([
    ["x", engine.upload(new Float32Array(18), [2, 3, 3], "f32")],
    ["index", engine.upload(Int32Array.of(0, 1, 1, 2), [2, 2], "i32")],
  ]);
  const { numTensors, numBytes } = tf.memory();
  const results = await executable.run(inputs);
  // The loss came, the gradient took the place of `x`.
  assertEquals(tf.memory().numTensors, numTensors + 1);
  assertEquals(tf.memory().numBytes, numBytes + 4);
  for (const buffer of [...results.values(), ...inputs.values()]) buffer[Symbol.dispose]();
  assertEquals(tf.memory().numTensors, numTensors - 2);
});

Deno.test("a failing run leaves no tensors behind", async () => {
  const engine = await tfjsEngine();
  const x = input("x", [2]), y = input("y", [2]);
  using executable = await engine.compile(program("p", { sum: add(x, y) }));
  using a = engine.upload(new Float32Array(2), [2], "f32");
  const gone = engine.upload(new Float32Array(2), [2], "f32");
  gone[Symbol.dispose]();
  const { numTensors } = tf.memory();
  await assertRejects(() => executable.run(new Map([["x", a], ["y", gone]])), Error, "disposed of or donated");
  assertEquals(tf.memory().numTensors, numTensors);
});

Deno.test("values are held no longer than they are needed", async () => {
  const engine = await tfjsEngine();
  let chain = input("x", [1000]);
  for (let i = 0; i < 20; i++) chain = exp(chain);
  using executable = await engine.compile(program("p", { chain }));
  using x = engine.upload(new Float32Array(1000).fill(-9), [1000], "f32");
  const before = tf.memory().numBytes;
  const { peakBytes } = await tf.profile(async () => {
    (await executable.run(new Map([["x", x]]))).get("chain")![Symbol.dispose]();
    return 0;
  });
  assertLessOrEqual(peakBytes - before, 2 * 4000);
});

// The last two choose the backend of the whole process.
Deno.test("without a choice the best backend that works is taken", async () => {
  assertMatch((await openTfjsEngine()).description, /^TensorFlow\.js 4\.22\.0, (?:tensorflow|wasm) backend$/);
});

Deno.test("a backend that does not load is an error that says why", async () => {
  const opened = await openTfjsEngine({ backend: "tensorflow" }).catch((error: Error) => error);
  if (opened instanceof Error) assertStringIncludes(opened.message, "(tensorflow: ");
  else console.log("(skipped: TensorFlow's native library loads here)");
});
