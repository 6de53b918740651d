/** How the doctor tries an engine: a product that it can check, then how fast products and a small training step are. */
import type { Engine, HostArray } from "../models/runtime/engine.ts";
import { preferredCompute } from "../models/runtime/open_engine.ts";
import { convert, type DType, input, matmul, mean, program } from "../models/tensor/mod.ts";
import type { Measured } from "./_doctor_speeds.ts";
import { plannedData } from "./_plan_data.ts";
import { measureWork } from "./_plan_measure.ts";
import { plannedWork } from "./_plan_networks.ts";
import { silentProgress } from "./progress.ts";
import { resolveSettings } from "./settings.ts";

/** Products in a row, so that starting a program weighs little. */
const PRODUCTS = 8;
/** Matrices grow from this to that until a run takes long enough to be timed. */
const SMALLEST = 256;
const LARGEST = 8192;
const LONG_ENOUGH_S = 0.1;
/** Timed runs, after one that is not; the fastest counts, since others work on this machine too. */
const RUNS = 3;
/** A slow engine is not asked again for what took so long. */
const TOO_LONG_S = 1;
const STEPS = 3;
/** Clips of the training step: the demo's teacher on a quarter of its batch. */
const BATCH = "8";

/**
 * Multiplies two matrices.
 *
 * @returns What the engine is.
 * @throws {Error} if the product is wrong
 */
export async function tryEngine(engine: Engine): Promise<string> {
  const product = matmul(input("a", [2, 2]), input("b", [2, 2]));
  using compiled = await engine.compile(program("doctor", { product }));
  using a = engine.upload(Float32Array.of(1, 2, 3, 4), [2, 2], "f32");
  using b = engine.upload(Float32Array.of(5, 6, 7, 8), [2, 2], "f32");
  using result = (await compiled.run(new Map([["a", a], ["b", b]]))).get("product")!;
  const found = (await result.read()).join(", ");
  if (found !== "19, 22, 43, 50") {
    throw new Error(`${engine.description} computes a wrong product, ${found}: choose the other one with --engine`);
  }
  return `${engine.description}, multiplies`;
}

/** Measures an engine, what matters most first; some ten seconds. */
export async function* measureEngine(engine: Engine, now = () => performance.now()): AsyncGenerator<Measured> {
  yield { f32ProductGflops: await productRate(engine, "f32", now) };
  yield await stepRate(engine, now);
  // TensorFlow.js computes in f32 whatever the type.
  if (engine.name !== "tfjs") yield { bf16ProductGflops: await productRate(engine, "bf16", now) };
}

/** How fast a small training step is. */
async function stepRate(engine: Engine, now: () => number): Promise<Measured> {
  const demo = resolveSettings({ preset: "demo", flags: { "teacher-batch": BATCH } }), { settings } = demo;
  const work = plannedWork(settings, await plannedData(demo), preferredCompute(engine)).find(({ stage }) =>
    stage === "train-teacher"
  )!;
  const measured = await measureWork(work, settings, {
    engine,
    steps: STEPS,
    freeBytes: Infinity,
    progress: silentProgress,
    signal: new AbortController().signal,
    now,
  });
  if (typeof measured === "string") throw new Error(measured);
  const perSecond = 1 / measured.stepSeconds;
  return { stepGflops: work.flopPerStep * perSecond / 1e9, stepClipsPerSecond: work.batch * perSecond };
}

/** Billions of operations a second of `[n, n] x [n, n]`. */
async function productRate(engine: Engine, dtype: "f32" | "bf16", now: () => number): Promise<number> {
  for (let n = SMALLEST;; n *= 2) {
    const seconds = await productSeconds(engine, dtype, n, now);
    if (seconds > LONG_ENOUGH_S || n >= LARGEST) return PRODUCTS * 2 * n ** 3 / seconds / 1e9;
  }
}

/** A matrix of ones times matrices of 1/n stays a matrix of ones, exactly for n a power of two. */
async function productSeconds(engine: Engine, dtype: "f32" | "bf16", n: number, now: () => number): Promise<number> {
  const weight = input("weight", [n, n], dtype);
  let product = input("ones", [n, n], dtype);
  for (let i = 0; i < PRODUCTS; i++) product = matmul(product, weight);
  using compiled = await engine.compile(program("doctor_products", { mean: mean(convert(product, "f32")) }));
  using ones = engine.upload(filled(1, n * n, dtype), [n, n], dtype);
  using weights = engine.upload(filled(1 / n, n * n, dtype), [n, n], dtype);
  let best = Infinity;
  for (let run = -1; run < RUNS; run++) {
    const started = now();
    using result = (await compiled.run(new Map([["ones", ones], ["weight", weights]]))).get("mean")!;
    const [found] = await result.read();
    if (Math.abs(found! - 1) > 1e-3) {
      throw new Error(`${engine.description} computes wrong products in ${dtype}: mean ${found}, expected 1`);
    }
    const seconds = (now() - started) / 1000;
    if (run >= 0) best = Math.min(best, seconds);
    if (best > TOO_LONG_S && best < Infinity) break;
  }
  return best;
}

/** A power of two in every place; of bf16 the upper half of the bits of f32. */
function filled(value: number, length: number, dtype: DType): HostArray {
  if (dtype === "f32") return new Float32Array(length).fill(value);
  return new Uint16Array(length).fill(new Uint16Array(Float32Array.of(value).buffer)[1]!);
}
