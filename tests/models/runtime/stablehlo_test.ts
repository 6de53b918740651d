/** The text of small programs, line by line. That XLA understands it is shown by the tests that run it. */
import { assert, assertEquals, assertFalse, assertStringIncludes } from "@std/assert";
import { hloNumber } from "../../../models/runtime/_hlo_writer.ts";
import { oneDnnTypes } from "../../../models/runtime/_processor.ts";
import { type HloOptions, stableHlo } from "../../../models/runtime/stablehlo.ts";
import {
  add,
  compare,
  constant,
  convert,
  customGradient,
  input,
  layerNorm,
  matmul,
  pad,
  program,
  slice,
  softmax,
  stopGradient,
  sum,
  type Tensor,
} from "../../../models/tensor/mod.ts";

/** The lines of a program's function, without the indentation. */
function body(outputs: Record<string, Tensor>, options: HloOptions = {}): string[] {
  const lines = stableHlo(program("test", outputs), options).split("\n").map((line) => line.trim());
  return lines.slice(2, -4);
}

Deno.test("a program becomes one function with its inputs, its outputs and the memory they share", () => {
  const weight = input("parameter/w", [2, 3]);
  const step = input("step", [], "i32");
  const outputs: Record<string, Tensor> = { loss: sum(weight), "parameter/w": add(weight, weight) };
  const text = stableHlo(
    program("train step", outputs, { donate: { "parameter/w": "parameter/w" }, inputs: [step, weight] }),
  );
  assertEquals(text.split("\n"), [
    "module @train_step {",
    "  func.func public @main(%arg0: tensor<i32>, %arg1: tensor<2x3xf32> {tf.aliasing_output = 1 : i32}) -> " +
    "(tensor<f32>, tensor<2x3xf32>) {",
    "    %0 = stablehlo.constant dense<0x00000000> : tensor<f32>",
    "    %1 = stablehlo.reduce(%arg1 init: %0) applies stablehlo.add across dimensions = [0, 1] : " +
    "(tensor<2x3xf32>, tensor<f32>) -> tensor<f32>",
    "    %2 = stablehlo.add %arg1, %arg1 : tensor<2x3xf32>",
    "    return %1, %2 : tensor<f32>, tensor<2x3xf32>",
    "  }",
    "}",
    "",
  ]);
});

Deno.test("numbers are written as the bits of the nearest representable value", () => {
  assertEquals(hloNumber(1, "f32"), "0x3F800000");
  assertEquals(hloNumber(0.1, "f32"), "0x3DCCCCCD");
  assertEquals(hloNumber(-Infinity, "f32"), "0xFF800000");
  assertEquals(hloNumber(NaN, "f32"), "0x7FC00000");
  assertEquals(hloNumber(1, "f16"), "0x3C00");
  assertEquals(hloNumber(1, "bf16"), "0x3F80");
  // Halfway between 0x3F80 and 0x3F81, and between 0x3F81 and 0x3F82: ties go to the even one.
  assertEquals(hloNumber(1 + 1 / 256, "bf16"), "0x3F80");
  assertEquals(hloNumber(1 + 3 / 256, "bf16"), "0x3F82");
  assertEquals(hloNumber(NaN, "bf16"), "0x7FC0");
  assertEquals(hloNumber(-3, "i32"), "-3");
  assertEquals(hloNumber(-1, "u32"), "4294967295");
  assertEquals(hloNumber(255, "u8"), "255");
  assertEquals(hloNumber(1, "bool"), "true");
});

Deno.test("comparisons say how the numbers are ordered", () => {
  const orders = (["f32", "bf16", "i32", "u32", "u8", "bool"] as const).map((dtype) => {
    const [line] = body({ y: compare(input("a", [4], dtype), "less", input("b", [4], dtype)) });
    return /compare LT, %arg0, %arg1, (\w+)/.exec(line!)?.[1];
  });
  assertEquals(orders, ["FLOAT", "FLOAT", "SIGNED", "UNSIGNED", "UNSIGNED", "UNSIGNED"]);
});

Deno.test("slices and pads touch one axis", () => {
  const x = input("x", [2, 5]);
  assertEquals(body({ y: slice(x, 1, 2, 4) }), [
    "%0 = stablehlo.slice %arg0 [0:2, 2:4] : (tensor<2x5xf32>) -> tensor<2x2xf32>",
  ]);
  assertEquals(body({ y: pad(x, 0, 1, 3) }), [
    "%0 = stablehlo.constant dense<0x00000000> : tensor<f32>",
    "%1 = stablehlo.pad %arg0, %0, low = [1, 0], high = [3, 0], interior = [0, 0] : " +
    "(tensor<2x5xf32>, tensor<f32>) -> tensor<6x5xf32>",
  ]);
});

Deno.test("what only concerns gradients leaves no trace", () => {
  const x = input("x", [3]);
  assertEquals(body({ y: customGradient([x], stopGradient(x), () => [null]) }), []);
});

Deno.test("16-bit floats are summed in f32", () => {
  const [first, , reduced, last] = body({ y: sum(input("x", [8], "bf16")) });
  assertStringIncludes(first!, "stablehlo.convert %arg0 : (tensor<8xbf16>) -> tensor<8xf32>");
  assertStringIncludes(reduced!, "stablehlo.reduce(%0 init: %1) applies stablehlo.add");
  assertStringIncludes(last!, "(tensor<f32>) -> tensor<bf16>");
});

Deno.test("a bf16 product is computed in f32, unless the device multiplies bf16", () => {
  const product = matmul(input("a", [2, 8, 4], "bf16"), input("b", [2, 3, 4], "bf16"), { transposeB: true });
  assertEquals(body({ product }), [
    "%0 = stablehlo.convert %arg0 : (tensor<2x8x4xbf16>) -> tensor<2x8x4xf32>",
    "%1 = stablehlo.convert %arg1 : (tensor<2x3x4xbf16>) -> tensor<2x3x4xf32>",
    "%2 = stablehlo.dot_general %0, %1, batching_dims = [0] x [0], contracting_dims = [2] x [2], " +
    "precision = [HIGHEST, HIGHEST] : (tensor<2x8x4xf32>, tensor<2x3x4xf32>) -> tensor<2x8x3xf32>",
    "%3 = stablehlo.convert %2 : (tensor<2x8x3xf32>) -> tensor<2x8x3xbf16>",
  ]);
  assertEquals(body({ product }, { bf16Products: true }), [
    "%0 = stablehlo.dot_general %arg0, %arg1, batching_dims = [0] x [0], contracting_dims = [2] x [2] : " +
    "(tensor<2x8x4xbf16>, tensor<2x3x4xbf16>) -> tensor<2x8x3xf32>",
    "%1 = stablehlo.convert %0 : (tensor<2x8x3xf32>) -> tensor<2x8x3xbf16>",
  ]);
});

const CALLS = { oneDnn: ["f32", "bf16"] } as const;

Deno.test("large products become oneDNN calls in the operands' type, small ones do not", () => {
  const a = input("a", [256, 512], "bf16");
  const b = input("b", [256, 512], "bf16");
  const call = (config: string, types: string) =>
    `%0 = stablehlo.custom_call @"__onednn$matmul"(%arg0, %arg1) {backend_config = "{\\"onednn_matmul_config\\":` +
    `${config}}", api_version = 1 : i32} : ${types}`;
  assertEquals(
    body({ y: matmul(a, b, { transposeB: true }) }, CALLS),
    [call(`{\\"transpose_b\\":true}`, "(tensor<256x512xbf16>, tensor<256x512xbf16>) -> tensor<256x256xbf16>")],
  );
  assertEquals(
    body({ y: matmul(a, b, { transposeA: true, output: "f32" }) }, CALLS),
    [call(`{\\"transpose_a\\":true}`, "(tensor<256x512xbf16>, tensor<256x512xbf16>) -> tensor<512x512xf32>")],
  );
  assertFalse(
    stableHlo(program("small", { y: matmul(slice(a, 0, 0, 8), slice(b, 0, 0, 8), { transposeB: true }) }), CALLS)
      .includes("custom_call"),
  );
});

Deno.test("a processor without bf16 kernels gets the call in f32", () => {
  const product = matmul(input("a", [256, 512], "bf16"), input("b", [512, 256], "bf16"));
  const lines = body({ product }, { oneDnn: ["f32"] });
  assertStringIncludes(lines[2]!, `"__onednn$matmul"(%0, %1)`);
  assertStringIncludes(lines[2]!, "(tensor<256x512xf32>, tensor<512x256xf32>) -> tensor<256x256xf32>");
  assertStringIncludes(lines[3]!, "-> tensor<256x256xbf16>");
});

Deno.test("a transposed operand is copied where the other one is large enough to be worth it", () => {
  const [a, b] = [input("a", [64, 512]), input("b", [600, 64])];
  const options = { copyTransposed: true };
  const large = matmul(a, b, { transposeA: true, transposeB: true });
  assertEquals(body({ large }, options), [
    "%0 = stablehlo.transpose %arg0, dims = [1, 0] : (tensor<64x512xf32>) -> tensor<512x64xf32>",
    "%1 = stablehlo.optimization_barrier %0 : tensor<512x64xf32>",
    "%2 = stablehlo.transpose %arg1, dims = [1, 0] : (tensor<600x64xf32>) -> tensor<64x600xf32>",
    "%3 = stablehlo.optimization_barrier %2 : tensor<64x600xf32>",
    "%4 = stablehlo.dot_general %1, %3, contracting_dims = [1] x [0], precision = [HIGHEST, HIGHEST] : " +
    "(tensor<512x64xf32>, tensor<64x600xf32>) -> tensor<512x600xf32>",
  ]);
  const transposed = (product: Tensor) =>
    body({ product }, options).filter((line) => line.includes("stablehlo.transpose"));
  const few = matmul(slice(a, 1, 0, 31), b, { transposeA: true, transposeB: true });
  assertEquals(transposed(few).length, 1, "the first operand alone, whose product has 600 columns");
  const narrow = matmul(a, slice(b, 0, 0, 511), { transposeA: true, transposeB: true });
  assertEquals(transposed(narrow).length, 1, "the second operand alone, whose product has 512 rows");
  // Of batches the second operand: keys, whose copy is as small as they are.
  const scores = matmul(input("q", [2, 3, 160, 64]), input("k", [2, 3, 160, 64]), { transposeB: true });
  assertEquals(transposed(scores), [
    "%0 = stablehlo.transpose %arg1, dims = [0, 1, 3, 2] : (tensor<2x3x160x64xf32>) -> tensor<2x3x64x160xf32>",
  ]);
  assertEquals(transposed(matmul(input("p", [6, 600, 512]), input("g", [6, 600, 512]), { transposeA: true })), []);
  assertFalse(body({ large }).some((line) => line.includes("stablehlo.transpose")));
});

Deno.test("products of more than four axes are left to XLA", () => {
  const product = matmul(input("a", [1, 1, 1, 512, 512]), input("b", [1, 1, 1, 512, 512]));
  assertFalse(body({ product }, CALLS).some((line) => line.includes("custom_call")));
});

Deno.test("softmax and layer norm call oneDNN in forms that were tried", () => {
  const scores = input("s", [2, 8, 256, 256]);
  const [softmaxCall] = body({ y: softmax(scores, "bf16") }, CALLS);
  assertStringIncludes(softmaxCall!, `{\\"onednn_softmax_config\\":{\\"softmax_axis\\":3}}`);
  assertStringIncludes(softmaxCall!, "(tensor<2x8x256x256xf32>) -> tensor<2x8x256x256xbf16>");
  const tokens = convert(input("t", [4, 1024, 512], "bf16"), "bf16");
  const lines = body({ y: layerNorm(tokens, constant(1, [512]), constant(0, [512]), 1e-6) }, CALLS);
  const call = lines.find((line) => line.includes("__onednn$layernorm"))!;
  // 897988541 are the bits of 1e-6 as f32.
  assertStringIncludes(call, `{\\"rescale\\":\\"SCALE_AND_SHIFT\\",\\"epsilon_typecast\\":897988541}`);
  assertStringIncludes(call, "(tensor<4096x512xf32>, tensor<512xf32>, tensor<512xf32>) -> tensor<4096x512xbf16>");
});

Deno.test("oneDNN is used where the processor has the instructions for it", () => {
  assertEquals(oneDnnTypes(new Set(["sse2", "avx2"])), []);
  assertEquals(oneDnnTypes(new Set(["avx2", "avx512f"])), ["f32"]);
  assertEquals(oneDnnTypes(new Set(["avx512f", "avx512_bf16", "amx_bf16"])), ["f32", "bf16"]);
});

Deno.test("every output is named once, however often it is used", () => {
  const x = input("x", [2]);
  const y = add(x, 1);
  const text = stableHlo(program("twice", { a: y, b: y, c: x }));
  assert(text.includes("return %1, %1, %arg0 : tensor<2xf32>, tensor<2xf32>, tensor<2xf32>"), text);
});
