/** Fused attention for CUDA, as far as it shows without a GPU: which programs call it, and what the calls say. */
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { attend } from "../../../models/attention.ts";
import type { PjrtError } from "../../../models/runtime/pjrt/api.ts";
import { stableHlo } from "../../../models/runtime/stablehlo.ts";
import {
  convert,
  type DType,
  gradients,
  input,
  matmul,
  type Program,
  program,
  softmax,
  sum,
  type Tensor,
  transpose,
} from "../../../models/tensor/mod.ts";
import { videoMaeStep } from "../../../models/videomae.ts";
import type { XlaEngine } from "../../../models/runtime/xla.ts";
import { xlaEngine } from "../_engines.ts";

const CUDA = { bf16Products: true, cudnnAttention: true };
const HEADS = 4;

/** Attention of 16 tokens over 24, with the gradients of its inputs. */
function attention(dtype: DType, width = 256): { forward: Program; training: Program } {
  const [query, key, value] = [
    input("q", [2, 16, width], dtype),
    input("k", [2, 24, width], dtype),
    input("v", [2, 24, width], dtype),
  ] as const;
  const y = attend(query, key, value, HEADS);
  // The gradient of the output is a tensor of its own, as it is inside a network.
  const loss = sum(convert(matmul(y, input("w", [2, width, 8], dtype), { output: "f32" }), "f32"));
  const [dq, dk, dv] = gradients(loss, [query, key, value]);
  return {
    forward: program("forward", { y }),
    training: program("training", { loss, dq: dq!, dk: dk!, dv: dv! }),
  };
}

/** Lines with a call, without their configuration. */
function calls(text: string): string[] {
  return text.split("\n").filter((line) => line.includes("custom_call")).map((line) =>
    line.trim().replace(/^%\d+/, "%r").replace(/backend_config = ".*?(?<!\\)", /, "").replace(/%\d+/g, "%x")
  );
}

/** What the tests look at in a configuration. */
interface Configuration {
  readonly fmha_scale: number;
  readonly mask_type: string;
  readonly is_flash_attention: boolean;
  readonly intermediate_tensor_shape: { readonly element_type: string; readonly dimensions: readonly string[] };
}

function configurations(text: string): Configuration[] {
  return [...text.matchAll(/backend_config = ("(?:[^"\\]|\\.)*")/g)].map(([, json]) =>
    JSON.parse(JSON.parse(json!)).cudnn_fmha_backend_config
  );
}

const four = (order: string) => `dense<${order}> : tensor<4xindex>`;
const ROW_MAJOR = four("[3, 2, 1, 0]");
const SIDE_BY_SIDE = four("[3, 1, 2, 0]");
const Q = "tensor<2x16x4x64xbf16>", KV = "tensor<2x24x4x64xbf16>";
const DQ = "tensor<2x4x16x64xbf16>", DKV = "tensor<2x4x24x64xbf16>";

Deno.test("without gradients attention is one call that keeps nothing", () => {
  const text = stableHlo(attention("bf16").forward, CUDA);
  assertEquals(calls(text), [
    "%r:2 = stablehlo.custom_call @__cudnn$fmhaSoftmax(%x, %x, %x) {api_version = 2 : i32, " +
    `operand_layouts = [${ROW_MAJOR}, ${ROW_MAJOR}, ${ROW_MAJOR}], ` +
    `result_layouts = [${SIDE_BY_SIDE}, dense<0> : tensor<1xindex>]} : (${Q}, ${KV}, ${KV}) -> (${DQ}, tensor<0xui8>)`,
  ]);
});

Deno.test("in training it is two calls: the first keeps statistics, the second gives all three gradients", () => {
  const text = stableHlo(attention("bf16").training, CUDA);
  const [forward, backward, ...others] = calls(text);
  assertEquals(others, []);
  assertStringIncludes(forward!, `(${Q}, ${KV}, ${KV}) -> (${DQ}, tensor<2x4x16xf32>, tensor<0xui8>)`);
  assertStringIncludes(backward!, "%r:4 = stablehlo.custom_call @__cudnn$fmhaSoftmaxBackward(");
  assertStringIncludes(
    backward!,
    `(${Q}, ${KV}, ${KV}, tensor<2x4x16xf32>, ${Q}, ${Q}) -> (${DQ}, ${DKV}, ${DKV}, tensor<0xui8>)`,
  );
  assertStringIncludes(backward!, "dense<[2, 1, 0]> : tensor<3xindex>");
  // Nothing of the size of the scores is left.
  assertEquals(text.match(/tensor<2x4x16x24x\w+>|tensor<2x4x24x16x\w+>/g), null);
  // Statistics and output of the backward call are those of the forward call.
  const name = /(%\d+):3 = stablehlo.custom_call/.exec(text)![1]!;
  assertMatch(text, new RegExp(`fmhaSoftmaxBackward\\(%\\d+, %\\d+, %\\d+, ${name}#1, `));
  assertStringIncludes(text, `stablehlo.transpose ${name}#0, dims = [0, 2, 1, 3]`);
});

Deno.test("the calls are configured as JAX configures them", () => {
  const [forward, backward] = configurations(stableHlo(attention("bf16").training, CUDA));
  for (const config of [forward!, backward!]) {
    assertEquals(config.fmha_scale, 1);
    assertEquals(config.mask_type, "NO_MASK");
    assertEquals(config.is_flash_attention, true);
    const scores = config.intermediate_tensor_shape;
    assertEquals([scores.element_type, ...scores.dimensions], ["BF16", "2", "4", "16", "24"]);
  }
  const product = (config: Configuration, name: string) => {
    const found = (config as unknown as Record<string, Record<string, string[]>>)[`${name}_dot_dimension_numbers`]!;
    return Object.values(found).map((axes) => axes.join());
  };
  assertEquals(product(forward!, "bmm1"), ["3", "3", "0,2", "0,2"]);
  assertEquals(product(forward!, "bmm2"), ["3", "1", "0,1", "0,2"]);
  assertEquals(product(backward!, "bmm1_grad_gemm1"), ["2", "1", "0,1", "0,2"]);
  assertEquals(product(backward!, "bmm1_grad_gemm2"), ["3", "1", "0,1", "0,2"]);
  assertEquals(product(backward!, "bmm2_grad_gemm1"), ["2", "1", "0,1", "0,2"]);
  assertEquals(product(backward!, "bmm2_grad_gemm2"), ["3", "3", "0,2", "0,2"]);
});

Deno.test("f32, and heads that cuDNN does not take, keep the plain operations", () => {
  for (const { training } of [attention("f32"), attention("bf16", 4 * 12), attention("bf16", 4 * 136)]) {
    const text = stableHlo(training, CUDA);
    assertEquals(calls(text), []);
    assertStringIncludes(text, "stablehlo.exponential");
  }
});

Deno.test("where something else needs the probabilities they are computed", () => {
  const [q, k, v] = ["q", "k", "v"].map((name) => input(name, [2, 4, 16, 64], "bf16")) as [Tensor, Tensor, Tensor];
  const probabilities = softmax(matmul(q, k, { transposeB: true, output: "f32" }), "bf16");
  const y = matmul(probabilities, v);
  assertEquals(calls(stableHlo(program("alone", { y }), CUDA)).length, 1);
  assertEquals(calls(stableHlo(program("given", { y, probabilities }), CUDA)), []);
  assertEquals(calls(stableHlo(program("used", { y, other: transpose(probabilities, [0, 1, 3, 2]) }), CUDA)), []);
});

Deno.test("no other engine's programs call it", () => {
  for (const options of [{}, { bf16Products: true }, { oneDnn: ["f32", "bf16"] as const }]) {
    assert(!stableHlo(attention("bf16").training, options).includes("cudnn"));
  }
});

Deno.test("a VideoMAE step calls it twice a block, on every device for its own clips", () => {
  const { program } = videoMaeStep({
    shape: {
      grid: { slots: 2, rows: 4, columns: 4 },
      cube: { tubelet: 2, patch: 4 },
      encoder: { width: 16, depth: 2, heads: 2 },
      decoder: { width: 8, depth: 1, heads: 1 },
    },
    batch: 8,
    visible: 8,
    optimizer: { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.05, clipNorm: null },
    compute: "bf16",
  });
  const text = stableHlo(program, { ...CUDA, devices: 2 });
  const found = calls(text);
  assertEquals(found.filter((line) => line.includes("@__cudnn$fmhaSoftmax(")).length, 3);
  assertEquals(found.filter((line) => line.includes("@__cudnn$fmhaSoftmaxBackward(")).length, 3);
  assert(found.every((line) => line.includes("(tensor<4x")), "8 clips on 2 devices are 4 each");
});

const xla = await xlaEngine() as XlaEngine | undefined;
Deno.test({
  name: "XLA parses the calls: the CPU plugin only lacks what they call",
  ignore: xla === undefined,
  async fn() {
    const { training } = attention("bf16");
    const text = stableHlo(training, CUDA);
    const error = await assertRejects(() => xla!.client.compile(text, training.inputs.length, training.outputs.length));
    assert(["UNIMPLEMENTED", "NOT_FOUND"].includes((error as PjrtError).code), (error as Error).message);
    assertStringIncludes((error as Error).message, "__cudnn$fmhaSoftmax");
  },
});
