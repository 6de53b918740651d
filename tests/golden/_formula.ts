/** Weights and clips that GOLDEN.md defines by a formula instead of a file. */
import { assert } from "@std/assert";
import type { TensorSource } from "../../models/checkpoints/official_names.ts";
import type { ParameterSpec } from "../../models/parameters.ts";
import type { CubeSize } from "../../models/shapes.ts";
import { type Shape, sizeOf } from "../../models/tensor/mod.ts";

/** FNV-1a of a name's UTF-8 bytes. */
function fnv1a(name: string): number {
  let hash = 2166136261;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 16777619);
  return hash;
}

/** The i-th number of a stream in [-1, 1). */
function unit(start: number, i: number): number {
  let x = Math.imul(i, 2654435769) + start | 0;
  x = Math.imul(x ^ x >>> 16, 0x85EBCA6B);
  x = Math.imul(x ^ x >>> 13, 0xC2B2AE35);
  x ^= x >>> 16;
  return (x >>> 8) / 8388608 - 1;
}

/** Levels of a clip `[B, T, H, W, C]`. */
export function formulaClip(seed: number, length: number): Uint8Array {
  const start = fnv1a("clip") ^ seed;
  return Uint8Array.from({ length }, (_, i) => Math.floor((unit(start, i) + 1) * 128));
}

/** A checkpoint in the official naming whose numbers are made when they are read. */
export class FormulaWeights implements TensorSource {
  readonly path = "formula weights";
  readonly tensors = new Map<string, { shape: Shape }>();

  constructor(specs: readonly ParameterSpec[], readonly seed: number, { tubelet, patch }: CubeSize) {
    for (const { name, shape } of specs) {
      const rows = shape[0]!;
      if (/attn\.[qkv]\.weight$/.test(name)) {
        this.tensors.set(name.replace(/[qkv]\.weight$/, "qkv.weight"), { shape: [3 * rows, ...shape.slice(1)] });
      } else if (/attn\.[qv]\.bias$/.test(name)) {
        this.tensors.set(name.replace(".bias", "_bias"), { shape });
      } else if (name.endsWith("patch_embed.proj.weight")) {
        this.tensors.set(name, { shape: [rows, 3, tubelet, patch, patch] });
      } else {
        this.tensors.set(name, { shape });
      }
    }
  }

  readFloats(name: string): Promise<Float32Array<ArrayBuffer>> {
    return Promise.resolve(this.values(name, this.tensors.get(name)!.shape));
  }

  values(name: string, shape: Shape): Float32Array<ArrayBuffer> {
    const start = fnv1a(name) ^ this.seed;
    const size = sizeOf(shape);
    const scale = (() => {
      if (shape.length === 3 && shape[0] === 1 && shape[1] === 1) return 0.5;
      if (shape.length >= 2) return 2 ** -Math.floor(Math.floor(Math.log2(size / shape[0]!)) / 2);
      return name.includes("norm") && name.endsWith("weight") ? 0.25 : 0.125;
    })();
    const shift = scale === 0.25 && shape.length === 1 ? 1 : 0;
    const values = new Float32Array(size);
    for (let i = 0; i < size; i++) values[i] = shift + unit(start, i) * scale;
    return values;
  }
}

/** A tensor as GOLDEN.md describes it without storing it. */
export interface CheckSums {
  sum: number;
  sum_abs: number;
  sum_sq: number;
  first4: number[];
  last4: number[];
}

/** Compares sums relatively (`sum` against `sum_abs`, as it can cancel), and the ends against the mean size of a value. */
export function assertCheckSums(
  actual: ArrayLike<number> | undefined,
  expected: CheckSums,
  limit: number,
  name: string,
): void {
  assert(actual !== undefined, `There is no ${name}`);
  let [sum, sumAbs, sumSquares] = [0, 0, 0];
  for (let i = 0; i < actual.length; i++) {
    sum += actual[i]!;
    sumAbs += Math.abs(actual[i]!);
    sumSquares += actual[i]! ** 2;
  }
  const errors = {
    sum: Math.abs(sum - expected.sum) / expected.sum_abs,
    sum_abs: Math.abs(sumAbs - expected.sum_abs) / expected.sum_abs,
    sum_sq: Math.abs(sumSquares - expected.sum_sq) / expected.sum_sq,
  };
  for (const [key, error] of Object.entries(errors)) {
    assert(error <= limit, `${key} of ${name} is off by ${error}, limit ${limit}`);
  }
  const typical = Math.sqrt(expected.sum_sq / actual.length);
  const ends = [...expected.first4, ...expected.last4];
  const found = [...Array.from(actual).slice(0, 4), ...Array.from(actual).slice(-4)];
  ends.forEach((value, i) => {
    const error = Math.abs(found[i]! - value) / Math.max(typical, Math.abs(value));
    assert(error <= 10 * limit, `End value ${i} of ${name} is off by ${error} of ${typical}`);
  });
}
