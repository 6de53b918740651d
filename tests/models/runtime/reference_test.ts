import { assertEquals, assertRejects } from "@std/assert";
import { type ReferenceBuffer, ReferenceEngine, type ReferenceOptions } from "../../../models/runtime/reference.ts";
import {
  add,
  constant,
  convert,
  gatherRows,
  input,
  multiply,
  program,
  type Tensor,
} from "../../../models/tensor/mod.ts";

async function compute(result: Tensor, options?: ReferenceOptions): Promise<ReferenceBuffer> {
  const executable = await new ReferenceEngine(options).compile(program("p", { result }));
  return (await executable.run(new Map())).get("result") as ReferenceBuffer;
}

Deno.test("floats stay float64 until they are read", async () => {
  const tenth = constant(0.1, [1]);
  const buffer = await compute(add(tenth, tenth));
  assertEquals([...buffer.values], [0.2]);
  assertEquals([...await buffer.read()], [Math.fround(0.2)]);
});

Deno.test("with rounding each result has its type's precision", async () => {
  const round = { round: true };
  assertEquals([...(await compute(constant(0.1, [1]), round)).values], [Math.fround(0.1)]);
  // Steps of bf16 at 256 are 2: the first sum ties to even, the second is not seen.
  const sum = add(constant(256, [1], "bf16"), constant(1, [1], "bf16"));
  assertEquals([...(await compute(sum, round)).values], [256]);
  assertEquals([...(await compute(convert(constant(65519, [1]), "f16"), round)).values], [65504]);
});

Deno.test("integers wrap to their type", async () => {
  const large = constant(2 ** 31 - 1, [1], "i32");
  assertEquals([...(await compute(add(large, 1))).values], [-(2 ** 31)]);
  assertEquals([...(await compute(multiply(large, large))).values], [1]);
  assertEquals([...(await compute(convert(constant(-1, [1], "i32"), "u8"))).values], [255]);
  assertEquals([...(await compute(convert(constant(-1, [1], "i32"), "u32"))).values], [2 ** 32 - 1]);
});

Deno.test("float64 is taken as it is for floats, rounded where asked", () => {
  const numbers = Float64Array.of(0.1, 1 / 3);
  assertEquals(new ReferenceEngine().upload(numbers, [2], "f32").values, numbers);
  assertEquals(new ReferenceEngine({ round: true }).upload(numbers, [2], "f32").values, numbers.map(Math.fround));
});

Deno.test("a row index out of range is an error naming it", async () => {
  for (const row of [-1, 3]) {
    const rows = gatherRows(constant(0, [1, 3, 2]), constant(row, [1, 1], "i32"));
    await assertRejects(() => compute(rows), RangeError, `[0, 3), found ${row}`);
  }
});

Deno.test("a large input is not copied by operations that change nothing", async () => {
  const x = input("x", [4]);
  const engine = new ReferenceEngine();
  const executable = await engine.compile(program("p", { x }));
  const buffer = engine.upload(Float32Array.of(1, 2, 3, 4), [4], "f32");
  const output = (await executable.run(new Map([["x", buffer]]))).get("x") as ReferenceBuffer;
  assertEquals(output.values === buffer.values, true);
});
