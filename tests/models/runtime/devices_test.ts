/** Several devices, virtual ones of the CPU plugin: what they compute together is what one computes. */
import { assertAlmostEquals, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { DeviceCountError, PjrtClient } from "../../../models/runtime/pjrt/client.ts";
import { PjrtApi } from "../../../models/runtime/pjrt/api.ts";
import { fetchPlugin } from "../../../models/runtime/plugin.ts";
import { stableHlo } from "../../../models/runtime/stablehlo.ts";
import { type XlaBuffer, type XlaEngine } from "../../../models/runtime/xla.ts";
import {
  add,
  broadcast,
  concatenate,
  constant,
  convert,
  gatherRows,
  input,
  iota,
  layerNorm,
  matmul,
  max,
  mean,
  multiply,
  pad,
  program,
  reshape,
  scatterRows,
  slice,
  softmax,
  square,
  subtract,
  sum,
  type Tensor,
  transpose,
} from "../../../models/tensor/mod.ts";
import { devicesEngine, xlaIsHere } from "../_devices.ts";

const ignore = !xlaIsHere;

/** 8 clips of 4 tokens, 6 wide: small whole numbers, so that sums are exact in any order. */
const BATCH = [8, 4, 6] as const;
const x = input("x", BATCH);
const index = input("index", [8, 2], "i32");
const table = input("table", [4, 6]);
const weight = input("weight", [6, 6]);
const flat = reshape(x, [32, 6]);
const numbers = (count: number, modulus: number) => Float32Array.from({ length: count }, (_, i) => i * 7 % modulus - 2);

/** Programs by what they show, with how the output lies on the devices. */
const CASES: [what: string, output: Tensor, placement: "rows" | "copies"][] = [
  [
    "element-wise work with constants and indices stays on the rows",
    add(multiply(x, 2), convert(iota(BATCH, 2), "f32")),
    "rows",
  ],
  ["an index of the clip is the clip's of the whole batch", add(x, convert(iota(BATCH, 0), "f32")), "rows"],
  [
    "clips are reshaped, transposed and back",
    reshape(transpose(reshape(x, [8, 4, 2, 3]), [0, 2, 1, 3]), [16, 12]),
    "rows",
  ],
  ["tokens are cut and filled up", pad(slice(x, 1, 1, 3), 1, 1, 0), "rows"],
  ["a sum over clips is added up over devices", sum(x, [0]), "copies"],
  ["a sum over tokens is not", sum(x, [1]), "rows"],
  ["a mean of all is that of all clips", mean(square(x)), "copies"],
  ["the largest of all clips is found", max(x, [0]), "copies"],
  ["all clips times one matrix", matmul(flat, weight), "rows"],
  ["every clip's own product", matmul(x, x, { transposeB: true }), "rows"],
  ["a matrix product over all clips, as a weight's gradient is", matmul(flat, flat, { transposeA: true }), "copies"],
  ["products with a row of ones", matmul(constant(1, [1, 32]), flat), "copies"],
  ["one matrix times all clips, which end up in columns", matmul(weight, flat, { transposeB: true }), "copies"],
  ["softmax over channels", softmax(x), "rows"],
  ["softmax over clips", softmax(transpose(x, [1, 2, 0])), "copies"],
  ["layer norm", layerNorm(x, constant(1, [6]), constant(0, [6]), 1e-6), "rows"],
  ["tokens of clips by index", gatherRows(x, index), "rows"],
  ["rows of a table by index", gatherRows(reshape(table, [1, 4, 6]), reshape(index, [1, 16])), "copies"],
  ["tokens put in their places", scatterRows(gatherRows(x, index), index, 4), "rows"],
  ["clips in reverse order, which needs all of them", reversed(x), "rows"],
  ["clips and others one after the other", concatenate([x, broadcast(constant(3), BATCH)], 0), "copies"],
  ["clips and others side by side", concatenate([x, broadcast(reshape(table, [1, 4, 6]), BATCH)], 1), "rows"],
];

function reversed(x: Tensor): Tensor {
  const rows = reshape(x, [1, 8, 24]);
  return add(reshape(gatherRows(rows, subtract(7, iota([1, 8], 1))), BATCH), x);
}

async function run(engine: XlaEngine, output: Tensor) {
  const used = program("case", { output });
  const names = new Set(used.inputs.map(({ name }) => name));
  const batch = [x, index].filter((tensor) => tensor.op.kind === "input" && names.has(tensor.op.name));
  using executable = await engine.compile(program("case", { output }, { batch }));
  using stack = new DisposableStack();
  const all = new Map([
    ["x", stack.use(engine.upload(numbers(192, 11), BATCH, "f32", "rows"))],
    ["index", stack.use(engine.upload(Int32Array.from({ length: 16 }, (_, i) => i * 3 % 4), [8, 2], "i32", "rows"))],
    ["table", stack.use(engine.upload(numbers(24, 5), [4, 6], "f32"))],
    ["weight", stack.use(engine.upload(numbers(36, 5), [6, 6], "f32"))],
  ]);
  const found = (await executable.run(all)).get("output") as XlaBuffer;
  stack.use(found);
  return { values: await found.read(), placement: found.placement };
}

for (const [what, output, placement] of CASES) {
  Deno.test({
    name: `two devices: ${what}`,
    ignore,
    async fn() {
      const [expected, found] = [await run(await devicesEngine(1), output), await run(await devicesEngine(2), output)];
      assertEquals(found.placement, placement);
      // Exponentials and roots are rounded; all else here is exact, whatever the order of sums.
      const tolerance = /softmax|norm/.test(what) ? 1e-6 : 0;
      assertEquals(found.values.length, expected.values.length);
      found.values.forEach((value, i) => assertAlmostEquals(value, expected.values[i]!, tolerance, `${what}, ${i}`));
    },
  });
}

Deno.test("a gradient of bf16 products is added up over devices in f32", () => {
  const [a, b] = [convert(x, "bf16"), convert(multiply(x, 2), "bf16")].map((tensor) => reshape(tensor, [32, 6]));
  const gradient = matmul(a!, b!, { transposeA: true });
  const text = stableHlo(program("gradient", { gradient }, { batch: [x] }), { devices: 4 });
  assertStringIncludes(text, "@main(%arg0: tensor<2x4x6xf32>) -> (tensor<6x6xbf16>)");
  assertStringIncludes(text, "<{replica_groups = dense<[[0, 1, 2, 3]]> : tensor<1x4xi64>}> ({");
  assertStringIncludes(text, "}) : (tensor<6x6xf32>) -> tensor<6x6xf32>");
});

Deno.test({
  name: "a batch that the devices do not divide is refused when it is compiled and when it is uploaded",
  ignore,
  async fn() {
    const engine = await devicesEngine(2);
    const odd = input("odd", [3, 2]);
    const message = "A batch of 3 cannot be shared out evenly over 2 devices: take a multiple of 2";
    await assertRejects(
      () => engine.compile(program("odd", { y: add(odd, 1) }, { batch: [odd] })),
      RangeError,
      message,
    );
    assertThrows(() => engine.upload(new Float32Array(6), [3, 2], "f32", "rows"), RangeError, message);
    using copies = engine.upload(new Float32Array(6), [3, 2], "f32");
    assertEquals(await copies.read(), new Float32Array(6), "what is not batch data need not be divided");
  },
});

Deno.test({
  name: "batch data that lies on every device, and other data that is shared out, are refused before anything runs",
  ignore,
  async fn() {
    const engine = await devicesEngine(2);
    const [a, b] = [input("a", [2]), input("b", [2])];
    using executable = await engine.compile(program("sum", { y: add(a, sum(b)) }, { batch: [a] }));
    const upload = (placement: "rows" | "copies") => engine.upload(Float32Array.of(1, 2), [2], "f32", placement);
    using rows = upload("rows");
    using copies = upload("copies");
    const run = (a: XlaBuffer, b: XlaBuffer) => executable.run(new Map([["a", a], ["b", b]]));
    await assertRejects(
      () => run(copies as XlaBuffer, copies as XlaBuffer),
      TypeError,
      "Input a of program sum lies on the devices as copies, expected rows",
    );
    await assertRejects(() => run(rows as XlaBuffer, rows as XlaBuffer), TypeError, "Input b of program sum lies on");
    using y = (await run(rows as XlaBuffer, copies as XlaBuffer)).get("y")!;
    assertEquals(await y.read(), Float32Array.of(4, 5));
  },
});

Deno.test({
  name: "more devices than there are is an error of exit code 2",
  ignore,
  async fn() {
    const api = PjrtApi.open(await fetchPlugin());
    const error = await assertRejects(() => PjrtClient.create(api, { cpu_device_count: 2n }, 3), DeviceCountError);
    assertStringIncludes(error.message, "3 cpu devices were asked for, but the plugin finds only 2 on this machine");
    assertEquals(error.exitCode, 2);
  },
});

Deno.test({
  name: "donated state stays on every device, and nothing is left behind",
  ignore,
  async fn() {
    const engine = await devicesEngine(4);
    const [w, clips] = [input("w", [2]), input("clips", [4, 2])];
    const step = program("step", { w: add(w, sum(clips, [0])) }, { donate: { w: "w" }, batch: [clips] });
    const before = engine.alive;
    {
      using executable = await engine.compile(step);
      using batch = engine.upload(Float32Array.of(1, 10, 2, 20, 3, 30, 4, 40), [4, 2], "f32", "rows");
      let state = engine.upload(Float32Array.of(0, 0), [2], "f32");
      for (let i = 0; i < 50; i++) state = (await executable.run(new Map([["w", state], ["clips", batch]]))).get("w")!;
      for (let device = 0; device < 4; device++) {
        assertEquals(await (state as XlaBuffer).readCopy(device), Float32Array.of(500, 5000));
      }
      state[Symbol.dispose]();
    }
    assertEquals(engine.alive, before);
  },
});
