/** What all engines promise about buffers and runs. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { Engine, HostArray } from "../../../models/runtime/engine.ts";
import { ReferenceEngine } from "../../../models/runtime/reference.ts";
import { add, type DType, input, multiply, program, sum } from "../../../models/tensor/mod.ts";
import { tfjsEngine, xlaEngine } from "../_engines.ts";

const x = input("x", [2]), y = input("y", [2]);
/** Two values in every type, as the host holds them. */
const HOST: Readonly<Record<DType, HostArray>> = {
  f32: Float32Array.of(0.1, -2),
  bf16: Uint16Array.of(0x3f80, 0xc049),
  f16: Uint16Array.of(0x3c00, 0xb5c3),
  i32: Int32Array.of(-2147483648, 2147483647),
  u32: Uint32Array.of(7, 4294967295),
  u8: Uint8Array.of(7, 255),
  bool: Uint8Array.of(1, 0),
};

function upload(engine: Engine, ...numbers: number[]) {
  return engine.upload(Float32Array.from(numbers), [numbers.length], "f32");
}

/** Tests of one engine; skipped where it cannot be had. */
function tests(title: string, open: () => Promise<Engine | undefined>): void {
  const test = (name: string, body: (engine: Engine) => Promise<void>) => {
    Deno.test(`${title}: ${name}`, async () => {
      const engine = await open();
      if (engine) await body(engine);
    });
  };

  test("what is uploaded is read back bit for bit", async (engine) => {
    for (const [dtype, data] of Object.entries(HOST) as [DType, HostArray][]) {
      using buffer = engine.upload(data, [2], dtype);
      assertEquals(await buffer.read(), data);
    }
  });

  test("the host array may be reused at once, and what is read belongs to the reader", async (engine) => {
    const data = Float32Array.of(1, 2);
    using buffer = engine.upload(data, [2], "f32");
    data.fill(9);
    const read = await buffer.read();
    assertEquals([...read], [1, 2]);
    read.fill(8);
    assertEquals([...await buffer.read()], [1, 2]);
  });

  test("a host array of another kind or length is an error naming both", (engine) => {
    assertThrows(() => engine.upload(Float32Array.of(1), [2], "f32"), RangeError, "Float32Array of 2 elements");
    assertThrows(() => engine.upload(Int32Array.of(1), [1], "f32"), RangeError, "found a Int32Array of 1");
    return Promise.resolve();
  });

  test("a run takes buffers by name and leaves what is not donated", async (engine) => {
    using executable = await engine.compile(program("p", { sum: add(x, y), x }));
    using a = upload(engine, 1, 2);
    using b = upload(engine, 10, 20);
    const outputs = await executable.run(new Map([["y", b], ["x", a]]));
    using total = outputs.get("sum")!;
    assertEquals([...await total.read()], [11, 22]);
    // An output that is an input is a buffer of its own.
    outputs.get("x")![Symbol.dispose]();
    assertEquals([...await a.read()], [1, 2]);
    assertEquals([...await b.read()], [10, 20]);
  });

  test("a donated input is consumed, its output lives", async (engine) => {
    using executable = await engine.compile(program("p", { next: add(x, y) }, { donate: { x: "next" } }));
    using step = upload(engine, 1, 1);
    let value = upload(engine, 0, 5);
    for (let i = 0; i < 3; i++) {
      const before = value;
      value = (await executable.run(new Map([["x", value], ["y", step]]))).get("next")!;
      await assertRejects(async () => await before.read());
    }
    assertEquals([...await value.read()], [3, 8]);
    value[Symbol.dispose]();
  });

  test("an input that several operations need may be donated", async (engine) => {
    const outputs = { next: add(multiply(x, x), x), total: sum(x) };
    using executable = await engine.compile(program("p", outputs, { donate: { x: "next" } }));
    const results = await executable.run(new Map([["x", upload(engine, 2, 3)]]));
    using next = results.get("next")!;
    using total = results.get("total")!;
    assertEquals([...await next.read(), ...await total.read()], [6, 12, 5]);
  });

  test("a consumed or disposed buffer cannot be used", async (engine) => {
    using executable = await engine.compile(program("p", { next: add(x, x) }, { donate: { x: "next" } }));
    const used = upload(engine, 1, 2);
    (await executable.run(new Map([["x", used]]))).get("next")![Symbol.dispose]();
    await assertRejects(() => executable.run(new Map([["x", used]])));
    const disposed = upload(engine, 1, 2);
    disposed[Symbol.dispose]();
    disposed[Symbol.dispose]();
    await assertRejects(() => executable.run(new Map([["x", disposed]])));
  });

  test("an input that is missing or of another shape or type is an error naming both", async (engine) => {
    using executable = await engine.compile(program("p", { x2: add(x, x) }));
    await assertRejects(() => executable.run(new Map()), TypeError, "needs the input x");
    using longer = upload(engine, 1, 2, 3);
    await assertRejects(() => executable.run(new Map([["x", longer]])), TypeError, "must be f32[2], found f32[3]");
    using integers = engine.upload(Int32Array.of(1, 2), [2], "i32");
    await assertRejects(() => executable.run(new Map([["x", integers]])), TypeError, "found i32[2]");
  });
}

tests("reference", () => Promise.resolve(new ReferenceEngine()));
tests("rounding reference", () => Promise.resolve(new ReferenceEngine({ round: true })));
tests("TensorFlow.js on WebAssembly", tfjsEngine);
tests("XLA", xlaEngine);

Deno.test("an engine says what it is", async () => {
  assertEquals(new ReferenceEngine().name, "reference");
  assertEquals((await tfjsEngine()).name, "tfjs");
  assertEquals((await tfjsEngine()).description, "TensorFlow.js 4.22.0, wasm backend");
});
