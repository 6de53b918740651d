/** Several devices, virtual ones of the CPU plugin: what they compute together is what one computes. */
import { assertAlmostEquals, assertEquals } from "@std/assert";
import { fetchPlugin } from "../../../models/runtime/plugin.ts";
import { openXlaEngine, type XlaBuffer, type XlaEngine } from "../../../models/runtime/xla.ts";
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
import { xlaEngine } from "../_engines.ts";

const one = await xlaEngine() as XlaEngine | undefined;
const ignore = one === undefined;
const opened = new Map<number, Promise<XlaEngine>>();

/** An engine on so many virtual devices, opened once. */
async function on(devices: number): Promise<XlaEngine> {
  if (devices === 1) return one!;
  const engine = opened.get(devices) ?? openXlaEngine({ plugin: await fetchPlugin(), devices });
  opened.set(devices, engine);
  return await engine;
}

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
      const [expected, found] = [await run(one!, output), await run(await on(2), output)];
      assertEquals(found.placement, placement);
      // Exponentials and roots are rounded; all else here is exact, whatever the order of sums.
      const tolerance = /softmax|norm/.test(what) ? 1e-6 : 0;
      assertEquals(found.values.length, expected.values.length);
      found.values.forEach((value, i) => assertAlmostEquals(value, expected.values[i]!, tolerance, `${what}, ${i}`));
    },
  });
}
