/** The XLA engine: donation, errors, order and lifetime. Operations are compared in `tensor/engines_test.ts`. */
import { testInOwnProcess } from "../../_own_process.ts";
import { assert, assertAlmostEquals, assertEquals, assertLess, assertRejects, assertThrows } from "@std/assert";
import type { DeviceBuffer, Engine } from "../../../models/runtime/engine.ts";
import { oneDnnTypes, processorFlags } from "../../../models/runtime/_processor.ts";
import { fetchPlugin } from "../../../models/runtime/plugin.ts";
import { openXlaEngine, XlaEngine } from "../../../models/runtime/xla.ts";
import {
  add,
  broadcast,
  convert,
  type DType,
  erf,
  input,
  layerNorm,
  matmul,
  multiply,
  program,
  type Shape,
  sizeOf,
  softmax,
  sum,
  type Tensor,
} from "../../../models/tensor/mod.ts";
import { optimizingXlaEngine, referenceEngine } from "../_engines.ts";

const engine = await optimizingXlaEngine() as XlaEngine | undefined;
const ignore = engine === undefined;

function floats(values: readonly number[], shape: Shape = [values.length], on: Engine = engine!): DeviceBuffer {
  return on.upload(Float32Array.from(values), shape, "f32");
}

const x = input("x", [2]);
/** `x -> x + 1` in the memory of `x`, and the sum of `x`. */
const counting = program("count", { x: add(x, 1), total: sum(x) }, { donate: { x: "x" } });

Deno.test({
  name: "large products of transposed operands are those of the reference",
  ignore,
  async fn() {
    const [a, b] = [input("a", [24, 520]), input("b", [600, 24])];
    const product = program("product", { y: matmul(a, b, { transposeA: true, transposeB: true }) }, { inputs: [a, b] });
    const results = [];
    for (const on of [engine!, referenceEngine()]) {
      using executable = await on.compile(product);
      const values = (size: number, of: (i: number) => number) => Float32Array.from({ length: size }, (_, i) => of(i));
      using left = on.upload(values(24 * 520, (i) => Math.sin(i)), [24, 520], "f32");
      using right = on.upload(values(600 * 24, (i) => Math.cos(3 * i)), [600, 24], "f32");
      using y = (await executable.run(new Map([["a", left], ["b", right]]))).get("y")!;
      results.push(await y.read());
    }
    const [found, expected] = results as [Float32Array, Float32Array];
    // Sums of 24 products of numbers up to 1.
    found.forEach((value, i) => assertAlmostEquals(value, expected[i]!, 1e-5));
  },
});

Deno.test({
  name: "results are the numbers that hand calculation gives",
  ignore,
  async fn() {
    const a = input("a", [2, 2]);
    const outputs: Record<string, Tensor> = {
      product: matmul(a, a),
      softmax: softmax(multiply(a, Math.log(2))),
      norm: layerNorm(a, input("scale", [2]), input("shift", [2]), 0),
      erf: erf(a),
    };
    using executable = await engine!.compile(program("hand", outputs));
    const buffers = new Map([["a", floats([1, 2, 3, 4], [2, 2])], ["scale", floats([2, 2])], [
      "shift",
      floats([1, 1]),
    ]]);
    const expected: Record<string, number[]> = {
      product: [7, 10, 15, 22],
      softmax: [1 / 3, 2 / 3, 1 / 3, 2 / 3],
      norm: [-1, 3, -1, 3],
      erf: [0.8427007929, 0.9953222650, 0.9999779095, 0.9999999846],
    };
    for (const [name, buffer] of await executable.run(buffers)) {
      assertEquals(buffer.shape, [2, 2]);
      [...await buffer.read()].forEach((number, i) => assertAlmostEquals(number, expected[name]![i]!, 1e-6, name));
    }
  },
});

Deno.test({
  name: "a value that is only handed through, or given out twice, arrives",
  ignore,
  async fn() {
    const doubled = add(x, x);
    using executable = await engine!.compile(program("through", { same: x, a: doubled, b: doubled }));
    const outputs = await executable.run(new Map([["x", floats([1, 2])]]));
    assertEquals(await outputs.get("same")!.read(), Float32Array.of(1, 2));
    assertEquals(await outputs.get("a")!.read(), Float32Array.of(2, 4));
    assertEquals(await outputs.get("b")!.read(), Float32Array.of(2, 4));
  },
});

Deno.test({
  name: "every type comes back from the device as it went there",
  ignore,
  async fn() {
    const values: [DType, ArrayLike<number>][] = [
      ["f32", Float32Array.of(-1.5, 3e38)],
      ["bf16", Uint16Array.of(0x3f80, 0xff80)],
      ["f16", Uint16Array.of(0x3c00, 0x7bff)],
      ["i32", Int32Array.of(-(2 ** 31), 7)],
      ["u32", Uint32Array.of(2 ** 32 - 1, 7)],
      ["u8", Uint8Array.of(255, 0)],
      ["bool", Uint8Array.of(1, 0)],
    ];
    for (const [dtype, data] of values) {
      using buffer = engine!.upload(data as Float32Array, [2], dtype);
      assertEquals(await buffer.read(), data as Float32Array);
    }
    assertThrows(() => engine!.upload(Uint8Array.of(2), [1], "bool"), RangeError, "0 or 1");
    assertThrows(() => engine!.upload(new Float32Array(3), [2], "f32"), RangeError, "needs a Float32Array of 2");
  },
});

Deno.test({
  name: "a donated input lends its memory to the output and cannot be used again",
  ignore,
  async fn() {
    using executable = await engine!.compile(counting);
    assertEquals(executable.memory?.aliasBytes, 8);
    const first = floats([1, 2]);
    const outputs = await executable.run(new Map([["x", first]]));
    assertEquals(await outputs.get("x")!.read(), Float32Array.of(2, 3));
    assertEquals(await outputs.get("total")!.read(), Float32Array.of(3));
    await assertRejects(() => first.read(), TypeError, "f32[2] was donated to program count: use the output");
    await assertRejects(() => executable.run(new Map([["x", first]])), TypeError, "was donated to program count");
    first[Symbol.dispose]();
  },
});

Deno.test({
  name: "a value can be read while the next run already takes its memory",
  ignore,
  async fn() {
    using executable = await engine!.compile(counting);
    const state = floats([1, 2]);
    const before = state.read();
    const after = (await executable.run(new Map([["x", state]]))).get("x")!;
    assertEquals(await before, Float32Array.of(1, 2));
    assertEquals(await after.read(), Float32Array.of(2, 3));
  },
});

Deno.test({
  name: "one buffer cannot be both consumed and another input",
  ignore,
  async fn() {
    const y = input("y", [2]);
    using executable = await engine!.compile(program("both", { x: add(x, y) }, { donate: { x: "x" } }));
    const buffer = floats([1, 2]);
    await assertRejects(
      () => executable.run(new Map([["x", buffer], ["y", buffer]])),
      TypeError,
      "consumes its input x: the same buffer cannot also be y",
    );
    assertEquals(await buffer.read(), Float32Array.of(1, 2), "a refused run consumes nothing");
  },
});

Deno.test({
  name: "wrong inputs are refused before anything runs",
  ignore,
  async fn() {
    using executable = await engine!.compile(counting);
    await assertRejects(() => executable.run(new Map()), TypeError, "needs the input x, which is missing");
    await assertRejects(
      () => executable.run(new Map([["x", floats([1, 2, 3])]])),
      TypeError,
      "Input x of program count must be f32[2], found f32[3]",
    );
    const integers = engine!.upload(Int32Array.of(1, 2), [2], "i32");
    await assertRejects(() => executable.run(new Map([["x", integers]])), TypeError, "must be f32[2], found i32[2]");
    const foreign = floats([1, 2], [2], referenceEngine());
    await assertRejects(() => executable.run(new Map([["x", foreign]])), TypeError, "a buffer of another engine");
  },
});

Deno.test({
  name: "what was disposed of says so",
  ignore,
  async fn() {
    const executable = await engine!.compile(counting);
    const buffer = floats([1, 2]);
    buffer[Symbol.dispose]();
    buffer[Symbol.dispose]();
    await assertRejects(() => buffer.read(), TypeError, "Buffer f32[2] was disposed of");
    executable[Symbol.dispose]();
    await assertRejects(() => executable.run(new Map()), TypeError, "Program count was disposed of: compile it again");
  },
});

Deno.test({
  name: "too little memory is an error that names the program and the way out, and the engine lives on",
  ignore,
  async fn() {
    // 4 TB of results, then 4 TB in between.
    const large = broadcast(input("x", [1]), [2 ** 20, 2 ** 20]);
    const product = matmul(add(large, 1), add(large, 2));
    for (const outputs of [{ y: add(large, 1) }, { y: sum(multiply(product, product)) }] as Record<string, Tensor>[]) {
      using executable = await engine!.compile(program("huge", outputs));
      using one = floats([1]);
      const error = await assertRejects(async () => {
        await (await executable.run(new Map([["x", one]]))).get("y")!.read();
      }, Error);
      assert(error.message.includes("use a smaller batch"), error.message);
    }
    using executable = await engine!.compile(counting);
    const outputs = await executable.run(new Map([["x", floats([1, 2])]]));
    assertEquals(await outputs.get("total")!.read(), Float32Array.of(3));
  },
});

testInOwnProcess(import.meta.filename!, {
  name: "runs started without waiting happen in their order, and what they use may be disposed of at once",
  ignore,
  async fn() {
    const square = input("m", [64, 64]);
    using executable = await engine!.compile(program("scale", { m: multiply(square, 2) }));
    const alive = engine!.alive;
    const runs = Array.from({ length: 40 }, (_, i) => {
      using source = floats(new Array(64 * 64).fill(i), [64, 64]);
      return executable.run(new Map([["m", source]]));
    });
    for (const [i, run] of runs.entries()) {
      using result = (await run).get("m")!;
      assertEquals((await result.read())[4095], 2 * i);
    }
    assertEquals(engine!.alive, alive);
  },
});

testInOwnProcess(import.meta.filename!, {
  name: "a thousand steps leave nothing behind",
  ignore,
  async fn() {
    const names = Array.from({ length: 30 }, (_, i) => `w${i}`);
    const weights = names.map((name) => input(name, [128, 128]));
    const outputs = { ...Object.fromEntries(weights.map((w, i) => [names[i]!, add(w, 1)])), total: sum(weights[0]!) };
    const donate = Object.fromEntries(names.map((name) => [name, name]));
    using executable = await engine!.compile(program("step", outputs, { donate }));
    const alive = engine!.alive;
    let state = new Map(names.map((name) => [name, engine!.upload(new Float32Array(128 * 128), [128, 128], "f32")]));
    const step = async () => {
      const next = await executable.run(state);
      using total = next.get("total")!;
      next.delete("total");
      state = next;
      return (await total.read())[0]!;
    };
    for (let i = 0; i < 200; i++) await step();
    const before = Deno.memoryUsage().rss;
    for (let i = 200; i < 999; i++) await step();
    assertEquals(await step(), 999 * 128 * 128);
    // One step's buffers are 2 MB; 800 leaked steps would be 1.6 GB.
    assertLess(Deno.memoryUsage().rss - before, 200e6);
    assertEquals(engine!.alive, alive + names.length);
    for (const buffer of state.values()) buffer[Symbol.dispose]();
    assertEquals(engine!.alive, alive);
  },
});

Deno.test({
  name: "two engines of one process do not take each other's buffers",
  ignore,
  async fn() {
    await using other = await openXlaEngine({ plugin: await fetchPlugin() });
    using executable = await engine!.compile(counting);
    using foreign = floats([1, 2], [2], other);
    await assertRejects(() => executable.run(new Map([["x", foreign]])), TypeError, "a buffer of another engine");
  },
});

Deno.test("a plugin that cannot be opened is an error that names the variable to set", async () => {
  const notLibrary = new URL(import.meta.url).pathname;
  for (const plugin of ["/nowhere/plugin.so", notLibrary]) {
    const error = await assertRejects(() => openXlaEngine({ plugin }), Error, `Cannot open the XLA plugin ${plugin}`);
    assert(error.message.endsWith("Name another one with TUBELET_PJRT_PLUGIN"), error.message);
  }
});

/** Results of `outputs` on an engine, for uneven numbers between -1 and 1. */
async function results(on: Engine, outputs: Record<string, Tensor>): Promise<Map<string, ArrayLike<number>>> {
  using executable = await on.compile(program("kernels", outputs));
  const inputs = new Map(executable.program.inputs.map(({ name, tensor: { shape } }) => {
    const data = new Float32Array(sizeOf(shape));
    for (let i = 0; i < data.length; i++) data[i] = ((i * 7919) % 2003) / 1001 - 1;
    return [name, on.upload(data, shape, "f32")];
  }));
  const found = new Map<string, ArrayLike<number>>();
  for (const [name, buffer] of await executable.run(inputs)) {
    found.set(name, await buffer.read());
    buffer[Symbol.dispose]();
  }
  for (const buffer of inputs.values()) buffer[Symbol.dispose]();
  return found;
}

/** Everything that is written as a call of oneDNN, large enough to be. */
function kernels(dtype: "f32" | "bf16"): Record<string, Tensor> {
  const outputs: Record<string, Tensor> = {};
  for (const leading of [[], [2], [1, 3]]) {
    for (const [transposeA, transposeB] of [[false, false], [false, true], [true, false], [true, true]] as const) {
      const name = `product over [${leading}] ${transposeA} ${transposeB}`;
      const a = input(`${name} a`, [...leading, ...(transposeA ? [260, 200] : [200, 260])]);
      const b = input(`${name} b`, [...leading, ...(transposeB ? [210, 260] : [260, 210])]);
      for (const output of new Set([dtype, "f32"] as const)) {
        const product = matmul(convert(a, dtype), convert(b, dtype), { transposeA, transposeB, output });
        outputs[`${name} to ${output}`] = convert(product, "f32");
      }
    }
  }
  for (const shape of [[1100, 1000], [11, 100, 1000], [2, 11, 50, 1000]]) {
    outputs[`softmax ${shape}`] = convert(softmax(input(`s${shape}`, shape), dtype), "f32");
  }
  const norm = layerNorm(input("x", [11, 100, 1000]), input("scale", [1000]), input("shift", [1000]), 1e-6, dtype);
  outputs["layer norm"] = convert(norm, "f32");
  return outputs;
}

// Elsewhere the engine makes no such calls, and must not: see `oneDnnTypes`.
const kernelTypes = oneDnnTypes(processorFlags());

for (const dtype of ["f32", "bf16"] as const) {
  testInOwnProcess(import.meta.filename!, {
    name: `oneDNN's kernels agree with XLA's own in ${dtype}`,
    ignore: ignore || !kernelTypes.includes(dtype),
    async fn() {
      const plugin = await fetchPlugin();
      await using plain = await openXlaEngine({ plugin, oneDnn: [] });
      await using called = await openXlaEngine({ plugin, oneDnn: kernelTypes });
      const outputs = kernels(dtype);
      const [expected, found] = [await results(plain, outputs), await results(called, outputs)];
      // Products reach 260; bf16 keeps 8 bits, f32 sums 260 terms in another order.
      for (const [name, numbers] of found) {
        const scale = name.startsWith("softmax") ? 1e-2 : name.startsWith("layer") ? 10 : 260;
        const tolerance = dtype === "bf16" ? scale * 2 ** -8 : scale * 1e-6;
        const wanted = expected.get(name)!;
        let worst = 0;
        for (let i = 0; i < numbers.length; i++) worst = Math.max(worst, Math.abs(numbers[i]! - wanted[i]!));
        assertLess(worst, tolerance, name);
      }
    },
  });
}
