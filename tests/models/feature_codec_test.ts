/** Bytes for features: codes that can be worked out by hand, on every engine, and errors within half a scale. */
import { assert, assertEquals } from "@std/assert";
import { coded, codedInputs, decoded } from "../../models/feature_codec.ts";
import type { Engine } from "../../models/runtime/engine.ts";
import { input, program } from "../../models/tensor/mod.ts";
import { runOnce } from "../golden/_run.ts";
import { referenceEngine, tfjsEngine, xlaEngine } from "./_engines.ts";

async function code(engine: Engine, tokens: readonly (readonly number[])[]) {
  const features = input("x", [1, tokens.length, tokens[0]!.length]);
  const outputs = await runOnce(
    engine,
    program("code", coded(0, features, "u8"), { inputs: [features] }),
    new Map([["x", tokens.flat()]]),
  );
  return { codes: Array.from(outputs.get("features/0")!), scales: Array.from(outputs.get("feature_scales/0")!) };
}

async function decode(engine: Engine, shape: [number, number, number], codes: number[], scales: number[]) {
  const inputs = codedInputs(0, shape, "u8");
  const outputs = await runOnce(
    engine,
    program("decode", { x: decoded(inputs) }, { inputs }),
    new Map([["features/0", codes], ["feature_scales/0", scales]]),
  );
  return Array.from(outputs.get("x")!);
}

const engines = [
  ["the reference", () => Promise.resolve(referenceEngine())],
  ["TensorFlow.js", tfjsEngine],
  ["XLA", xlaEngine],
] as const;

for (const [name, open] of engines) {
  Deno.test(`a token's smallest value is code 0 and its largest code 255, on ${name}`, async () => {
    const engine = await open();
    if (engine === undefined) return;
    const tokens = [[0, 255, 51, 127.4], [-510, -8, 0, -255], [3, 3, 3, 3]];
    const { codes, scales } = await code(engine, tokens);
    assertEquals(codes, [0, 255, 51, 127, 0, 251, 255, 128, 0, 0, 0, 0]);
    assertEquals(scales, [1, 0, 2, -510, 0, 3]);
    assertEquals(await decode(engine, [1, 3, 4], codes, scales), [0, 255, 51, 127, -510, -8, 0, -254, 3, 3, 3, 3]);
  });

  Deno.test(`a token with a value that is not finite has a scale or an offset that is not, on ${name}`, async () => {
    const engine = await open();
    if (engine === undefined) return;
    for (const value of [NaN, Infinity, -Infinity]) {
      const { scales } = await code(engine, [[1, value, 2, 3], [0, 1, 2, 255]]);
      assert(!scales.slice(0, 2).every(Number.isFinite), `${value} gives ${scales}`);
      assertEquals(scales.slice(2), [1, 0]);
    }
  });
}

Deno.test("what comes back is off by half a scale at most, whatever the size of the values", async () => {
  const engine = referenceEngine();
  const tokens = [1e-6, 1, 1e5].map((size, i) => Array.from({ length: 64 }, (_, k) => size * Math.sin(k * k + i)));
  const { codes, scales } = await code(engine, tokens);
  const values = await decode(engine, [1, 3, 64], codes, scales);
  tokens.flat().forEach((value, i) => {
    const scale = scales[2 * Math.floor(i / 64)]!;
    assert(Math.abs(values[i]! - value) <= scale * 0.5001, `${value} became ${values[i]} at scale ${scale}`);
  });
});
