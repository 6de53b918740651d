import { assertEquals } from "@std/assert";
import { bfloatToFloat, floatToBfloat, floatToHalf, halfToFloat } from "../../../models/runtime/_half.ts";

Deno.test("bfloat16 bits and numbers", () => {
  const bits = Uint16Array.of(0x0000, 0x8000, 0x3f80, 0xc049, 0x7f80, 0x0001);
  const numbers = bfloatToFloat(bits);
  assertEquals([...numbers], [0, -0, 1, -3.140625, Infinity, 2 ** -133]);
  assertEquals(floatToBfloat(numbers), bits);
});

Deno.test("bfloat16 is rounded to nearest, ties to even", () => {
  // Steps between 1 and 2 are 1/128.
  const numbers = [1 + 1 / 256, 1 + 3 / 256, 1 + 1.01 / 256, 1 - 1 / 1024, 3.4e38];
  assertEquals([...bfloatToFloat(floatToBfloat(numbers))], [1, 1 + 2 / 128, 1 + 1 / 128, 1, Infinity]);
});

Deno.test("bfloat16 keeps numbers that are none", () => {
  const bits = new Uint32Array(Float32Array.of(NaN).buffer);
  bits[0] = 0x7fffffff;
  assertEquals([...bfloatToFloat(floatToBfloat(new Float32Array(bits.buffer)))], [NaN]);
});

Deno.test("float16 bits and numbers, rounded to nearest even", () => {
  assertEquals([...halfToFloat(Uint16Array.of(0x3c00, 0xb555, 0x7bff, 0x7c00))], [1, -0.333251953125, 65504, Infinity]);
  assertEquals([...floatToHalf([1 + 1 / 2048, 1 + 3 / 2048, -1 / 3, 70000])], [0x3c00, 0x3c02, 0xb555, 0x7c00]);
});

Deno.test("half-precision bits are read from the middle of a larger array", () => {
  const bits = Uint16Array.of(0, 0x3c00, 0x4000);
  assertEquals([...halfToFloat(bits.subarray(1))], [1, 2]);
  assertEquals([...bfloatToFloat(Uint16Array.of(0, 0x3f80).subarray(1))], [1]);
});
