/**
 * ONNX models as ONNX Runtime computes them, beside the reference engine: every operation that is written, networks of any
 * batch, weights inside and outside of the file.
 */
import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import * as ort from "onnxruntime-web";
import { classifierForward } from "../../../models/classifier.ts";
import { clipEncoder } from "../../../models/clip_encoder.ts";
import { onnxGraph } from "../../../models/onnx/onnx_graph.ts";
import { type OnnxOptions, weightsFile, writeOnnx } from "../../../models/onnx/write_onnx.ts";
import { initialParameters } from "../../../models/parameters.ts";
import type { HostArray } from "../../../models/runtime/engine.ts";
import {
  add,
  broadcast,
  gatherRows,
  input,
  iota,
  type Program,
  program,
  reshape,
  slice,
  sum,
} from "../../../models/tensor/mod.ts";
import type { ForwardProgram } from "../../../models/train_step.ts";
import { uniforms } from "../../../pipeline/random.ts";
import { runOnce } from "../../golden/_run.ts";
import { referenceEngine } from "../_engines.ts";
import { inFolder } from "../checkpoints/_archives.ts";
import { CASES } from "../tensor/_cases.ts";

ort.env.wasm.numThreads = 1;

/** Types that ONNX Runtime does not compute with everywhere. */
const OTHER_TYPES = /u32|f16/;

type Inputs = Readonly<Record<string, readonly [type: ort.Tensor.Type, data: HostArray, shape: readonly number[]]>>;

async function compute(path: string, inputs: Inputs): Promise<Map<string, number[]>> {
  const outside = weightsFile(path);
  const data = await Deno.readFile(outside).catch(() => undefined);
  const session = await ort.InferenceSession.create(await Deno.readFile(path), {
    ...(data && { externalData: [{ path: outside.split("/").at(-1)!, data }] }),
  });
  const feeds = Object.fromEntries(
    Object.entries(inputs).map(([name, [type, data, shape]]) => [name, new ort.Tensor(type, data as never, shape)]),
  );
  const results = await session.run(feeds);
  await session.release();
  return new Map(Object.entries(results).map(([name, { data }]) => [name, Array.from(data as Float32Array, Number)]));
}

function assertNear(found: readonly number[], expected: ArrayLike<number>, tolerance: number, name: string): void {
  assertEquals(found.length, expected.length, name);
  const scale = Math.max(1, ...Array.from(expected, Math.abs));
  found.forEach((value, i) => assertAlmostEquals(value, expected[i]!, tolerance * scale, `${name}[${i}]`));
}

const ORT_TYPE = { f32: "float32", i32: "int32", u8: "uint8", u32: "uint32", bool: "bool" } as const;
const HOST = { f32: Float32Array, i32: Int32Array, u8: Uint8Array, u32: Uint32Array, bool: Uint8Array } as const;

Deno.test("every operation of a forward pass gives in ONNX Runtime what it should", async (t) => {
  await inFolder(async (folder) => {
    let seen = 0;
    for (const cases of Object.values(CASES)) {
      for (const { name, inputs, trace, expected } of cases) {
        const types = inputs.map(({ dtype }) => dtype);
        if (!types.every((type) => type in ORT_TYPE) || OTHER_TYPES.test(name)) continue;
        const traced = () =>
          program("case", { result: trace(...inputs.map(({ shape, dtype }, i) => input(`x${i}`, shape, dtype))) });
        try {
          onnxGraph(traced, () => undefined);
        } catch (error) {
          assert(error instanceof TypeError && /has no (?!input)|holds no constants/.test(error.message), `${error}`);
          continue;
        }
        seen++;
        await t.step(name, async () => {
          const path = `${folder}/x.onnx`;
          await writeOnnx(path, { trace: traced, weights: new Map() });
          const feeds = Object.fromEntries(inputs.map(({ shape, dtype, numbers }, i) => {
            const type = dtype as keyof typeof ORT_TYPE;
            return [`x${i}`, [ORT_TYPE[type], HOST[type].from(numbers), shape] as const];
          }));
          assertNear((await compute(path, feeds)).get("result")!, expected, 1e-6, name);
        });
      }
    }
    // A change that left operations out would pass with nothing to look at.
    assert(seen > 100, `${seen} cases were looked at`);
  });
});

/** Weights in which everything differs from 0. */
function weightsOf({ parameters, frozen }: ForwardProgram): Map<string, Float32Array> {
  return new Map([
    ...parameters.map(({ name, shape }) => {
      const count = shape.reduce((a, b) => a * b, 1);
      const draws = Float32Array.from(uniforms(count, 1, "weights of a test", name), (u) => 0.6 * u - 0.3);
      return [`parameter/${name}`, draws] as const;
    }),
    ...Array.from(initialParameters(frozen, () => []), ([name, values]) => [`frozen/${name}`, values] as const),
  ]);
}

const SIZES = {
  grid: { slots: 2, rows: 3, columns: 3 },
  cube: { tubelet: 2, patch: 4 },
  encoder: { width: 24, depth: 2, heads: 3 },
  compute: "f32" as const,
};
const FRAMES = [4, 12, 12, 3];
const framesOf = (batch: number) =>
  Uint8Array.from(uniforms(batch * FRAMES.reduce((a, b) => a * b), 1, "pixels of a test"), (u) => u * 256);

async function assertComputed(
  path: string,
  forward: (batch: number) => ForwardProgram,
  weights: Map<string, Float32Array>,
): Promise<void> {
  for (const batch of [1, 2, 5]) {
    const frames = framesOf(batch);
    const found = await compute(path, { frames: ["uint8", frames, [batch, ...FRAMES]] });
    const inputs = new Map<string, ArrayLike<number>>([...weights, ["frames", frames]]);
    const expected = await runOnce(referenceEngine(), forward(batch).program, inputs);
    assertEquals([...found.keys()].sort(), [...expected.keys()].sort());
    for (const [name, values] of expected) assertNear(found.get(name)!, values, 2e-6, `${name} of ${batch} clips`);
  }
}

for (
  const [name, forward] of [
    ["encoder", (batch: number) => clipEncoder({ ...SIZES, batch, clips: "frames", finalNorm: true })],
    ["encoder without norm", (batch: number) => clipEncoder({ ...SIZES, batch, clips: "frames", finalNorm: false })],
    ["classifier", (batch: number) => classifierForward({ ...SIZES, batch, classes: 5 }, "frames")],
  ] as const
) {
  Deno.test(`an exported ${name} computes batches of 1, 2 and 5 clips as the reference does`, async () => {
    await inFolder(async (folder) => {
      const path = `${folder}/model.onnx`, weights = weightsOf(forward(1));
      const options: OnnxOptions = { trace: (batch) => forward(batch).program, weights };
      assertEquals(await writeOnnx(path, options), [path]);
      await assertComputed(path, forward, weights);
      assertEquals(await writeOnnx(path, { ...options, maxInside: 0 }), [path, `${path}.data`]);
      const { size } = await Deno.stat(path);
      const bytes = weights.values().reduce((sum, { byteLength }) => sum + byteLength, 0);
      assert(size < bytes / 2, `the model's file has ${size} bytes, its weights ${bytes}`);
      await assertComputed(path, forward, weights);
    });
  });
}

Deno.test("plain frames and cubes of the same clips are the same input", async () => {
  const batch = 2, frames = framesOf(batch);
  const { cubes } = await import("../../../models/clip_input.ts").then(({ clipInput }) =>
    clipInput("frames", SIZES.grid, SIZES.cube, batch)
  );
  const cut = await runOnce(referenceEngine(), program("cut", { cubes }), new Map([["frames", frames]]));
  // Cube (1, 2, 0) of clip 1, frame 1 of it, row 3, column 2, green.
  const [slot, row, column, dt, dy, dx, channel] = [1, 2, 0, 1, 3, 2, 1];
  const token = (slot * 3 + row) * 3 + column;
  const place = ((1 * 18 + token) * 2 * 4 * 4 * 3) + ((dt * 4 + dy) * 4 + dx) * 3 + channel;
  const pixel = (((1 * 4 + slot * 2 + dt) * 12 + row * 4 + dy) * 12 + column * 4 + dx) * 3 + channel;
  assertEquals(cut.get("cubes")![place], frames[pixel]);
});

for (
  const [what, trace, message] of [
    [
      "counts along its batch",
      (batch: number) => program("p", { y: add(input("x", [batch]), iota([batch], 0, "f32")) }),
      "cannot count along its batch",
    ],
    [
      "takes the first half of its batch",
      (batch: number) => program("p", { y: slice(input("x", [batch, 2]), 0, 0, (batch - 1) / 2) }),
      "depends on its batch otherwise",
    ],
    [
      "is of a fixed batch and another one",
      (batch: number) => program("p", { y: input("x", [batch + 1]) }),
      "depends on its batch otherwise",
    ],
  ] as const
) {
  Deno.test(`a program that ${what} is refused`, () => {
    assertThrows(() => onnxGraph(trace as (batch: number) => Program, () => undefined), TypeError, message);
  });
}

Deno.test("rows are repeated and picked for any batch", async () => {
  await inFolder(async (folder) => {
    const trace = (batch: number) => {
      const table = broadcast(input("frozen/table", [3, 2]), [batch, 3, 2]);
      const picked = gatherRows(table, input("rows", [batch, 2], "i32"));
      return program("pick", { picked, total: sum(reshape(picked, [batch * 2, 2]), [0]) });
    };
    const path = `${folder}/x.onnx`;
    await writeOnnx(path, { trace, weights: new Map([["frozen/table", Float32Array.of(1, 2, 3, 4, 5, 6)]]) });
    const found = await compute(path, { rows: ["int32", Int32Array.of(2, 0, 1, 1, 0, 2), [3, 2]] });
    assertEquals(found.get("picked"), [5, 6, 1, 2, 3, 4, 3, 4, 1, 2, 5, 6]);
    assertEquals(found.get("total"), [18, 24]);
  });
});

Deno.test("weights of another size are refused", async () => {
  const trace = (batch: number) => program("p", { y: add(input("x", [batch, 2]), input("parameter/w", [2])) });
  const weights = new Map([["parameter/w", new Float32Array(3)]]);
  await inFolder(async (folder) => {
    await assertRejects(() => writeOnnx(`${folder}/x.onnx`, { trace, weights }), TypeError, "found 3 numbers");
  });
});
