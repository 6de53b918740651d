/** Reads golden cases of networks and compares with them at the tolerances of GOLDEN.md. */
import { assert } from "@std/assert";
import { existsSync } from "node:fs";
import { SafetensorsFile } from "../../models/checkpoints/safetensors.ts";

/** Folder of the golden files: GOLDEN_DIR, else the copy in the repository. */
const GOLDEN = Deno.env.get("GOLDEN_DIR") ?? `${import.meta.dirname}/../fixtures/golden`;

/** Whether GOLDEN_DIR names another folder, which may lack any case. */
export const OTHER_GOLDEN = Deno.env.get("GOLDEN_DIR") !== undefined;

export function goldenPath(name: string): string {
  return `${GOLDEN}/${name}`;
}

/**
 * A test of one case by its name; another folder of cases need not have it.
 *
 * @param files Files of the case.
 */
export function goldenTest(name: string, files: readonly string[], fn: () => Promise<void>): void {
  const absent = files.filter((file) => !existsSync(goldenPath(file)));
  const note = absent.length > 0 ? ` (skipped: ${GOLDEN} has no ${absent.join(", ")})` : "";
  Deno.test({ name: name + note, ignore: absent.length > 0, fn });
}

/** The parsed JSON of one case; the caller states its shape. */
export async function goldenJson<T>(name: string): Promise<T> {
  return JSON.parse(await Deno.readTextFile(goldenPath(name))) as T;
}

/** Names of the cases `PREFIX*.json` whose content a test can use and whose files are all there. */
export async function goldenCases<T extends { files?: Readonly<Record<string, unknown>> }>(
  prefix: string,
  fits: (json: T) => boolean,
): Promise<string[]> {
  const present = new Set(Array.from(Deno.readDirSync(GOLDEN), ({ name }) => name));
  const names: string[] = [];
  for (const name of [...present].sort()) {
    if (!name.startsWith(prefix) || !name.endsWith(".json")) continue;
    const json = await goldenJson<T>(name);
    const isWhole = Object.keys(json.files ?? {}).every((file) => present.has(file));
    if (isWhole && fits(json)) names.push(name.slice(0, -".json".length));
  }
  return names;
}

export interface GoldenTensor {
  shape: readonly number[];
  data: Float32Array | Uint8Array | Int32Array;
}

/** All tensors of a file with F32, U8 and I32 entries. */
export async function goldenTensors(name: string): Promise<Map<string, GoldenTensor>> {
  await using file = await SafetensorsFile.open(goldenPath(name));
  const found = new Map<string, GoldenTensor>();
  for (const { name, dtype, shape } of file.tensors.values()) {
    const bytes = await file.readBytes(name);
    const data = dtype === "U8" ? bytes : dtype === "I32" ? new Int32Array(bytes.buffer) : await file.readFloats(name);
    found.set(name, { shape, data });
  }
  return found;
}

/** Sizes of a golden case's clips, as its `config` has them. */
export interface ClipConfig {
  img: [number, number];
  patch: number;
  frames: number;
  tubelet: number;
  batch: number;
}

/** Token grid and cube of a case. */
export function gridOf({ img, patch, frames, tubelet }: ClipConfig) {
  return {
    grid: { slots: frames / tubelet, rows: img[0] / patch, columns: img[1] / patch },
    cube: { tubelet, patch },
  };
}

/**
 * Cubes of clips.
 *
 * @param levelAt the level of pixel (clip, frame, row, column, channel), 0 to 255
 * @returns `[B, N, P]`, values of a cube in the order (frame, row, column, channel)
 */
export function cubesOf(
  { img: [height, width], patch, frames, tubelet, batch }: ClipConfig,
  levelAt: (clip: number, frame: number, row: number, column: number, channel: number) => number,
): Float32Array {
  const cubes = new Float32Array(batch * frames * height * width * 3);
  let to = 0;
  for (let clip = 0; clip < batch; clip++) {
    for (let t = 0; t < frames; t += tubelet) {
      for (let y = 0; y < height; y += patch) {
        for (let x = 0; x < width; x += patch) {
          for (let dt = 0; dt < tubelet; dt++) {
            for (let dy = 0; dy < patch; dy++) {
              for (let dx = 0; dx < patch; dx++) {
                for (let c = 0; c < 3; c++) cubes[to++] = levelAt(clip, t + dt, y + dy, x + dx, c);
              }
            }
          }
        }
      }
    }
  }
  return cubes;
}

const MEAN = [0.485, 0.456, 0.406] as const;
const DEVIATION = [0.229, 0.224, 0.225] as const;

/** Levels of a normalised clip `[B, C, T, H, W]`, as cubes; whole levels come out whole, mixed ones to f32 precision. */
export function cubesOfNormalized(config: ClipConfig, { shape, data }: GoldenTensor): Float32Array {
  const [, channels, frames, height, width] = shape as [number, number, number, number, number];
  return cubesOf(config, (b, t, y, x, c) => {
    const value = data[(((b * channels + c) * frames + t) * height + y) * width + x]!;
    const level = (value * DEVIATION[c]! + MEAN[c]!) * 255;
    return Math.abs(level - Math.round(level)) < 1e-3 ? Math.round(level) : level;
  });
}

/** Tokens of each sample of a mask `[B, N]` for which `wanted` holds, ascending, `[B, K]`. */
export function tokensWhere(
  rows: number,
  wanted: (row: number, token: number) => boolean,
  tokens: number,
): Int32Array {
  const found: number[] = [];
  for (let row = 0; row < rows; row++) {
    for (let token = 0; token < tokens; token++) if (wanted(row, token)) found.push(token);
  }
  return Int32Array.from(found);
}

/** Limits of GOLDEN.md for a float32 implementation. */
export const LIMITS = { loss: 1e-5, feature: 1e-5, featureMax: 5e-5, gradient: 1e-4, wholeGradient: 2e-5, norm: 1e-5 };

export function assertRelative(actual: number, expected: number, limit: number, name: string): void {
  const error = Math.abs(actual - expected) / Math.abs(expected);
  assert(error <= limit, `${name} is ${actual}, expected ${expected}: relative error ${error}, limit ${limit}`);
}

/** Sums for the relative 2-norm of a difference. */
function differences(actual: ArrayLike<number>, expected: ArrayLike<number>) {
  let [error, size, maxError, maxSize] = [0, 0, 0, 0];
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!);
    error += difference ** 2;
    size += expected[i]! ** 2;
    // A NaN must not pass as "not larger".
    maxError = difference <= maxError ? maxError : difference;
    maxSize = Math.max(maxSize, Math.abs(expected[i]!));
  }
  return { error, size, maxError, maxSize };
}

/** Features, predictions, logits: relative 2-norm and largest error against largest value. */
export function assertFeature(actual: ArrayLike<number> | undefined, expected: GoldenTensor, name: string): void {
  assert(actual !== undefined && actual.length === expected.data.length, `${name} has ${actual?.length} values`);
  const { error, size, maxError, maxSize } = differences(actual, expected.data);
  const relative = Math.sqrt(error / size);
  assert(relative <= LIMITS.feature, `${name} is off by ${relative} in relative 2-norm, limit ${LIMITS.feature}`);
  assert(maxError <= LIMITS.featureMax * maxSize, `${name} is off by ${maxError} of ${maxSize} somewhere`);
}

/** Every gradient, and all of them as one vector. */
export function assertGradients(
  actual: ReadonlyMap<string, ArrayLike<number>>,
  expected: ReadonlyMap<string, GoldenTensor>,
): void {
  let [error, size] = [0, 0];
  for (const [name, tensor] of expected) {
    const found = actual.get(name);
    assert(found !== undefined && found.length === tensor.data.length, `There is no gradient ${name}`);
    const part = differences(found, tensor.data);
    const relative = Math.sqrt(part.error / part.size);
    assert(relative <= LIMITS.gradient, `The gradient of ${name} is off by ${relative}, limit ${LIMITS.gradient}`);
    error += part.error;
    size += part.size;
  }
  assert(Math.sqrt(error / size) <= LIMITS.wholeGradient, `The whole gradient is off by ${Math.sqrt(error / size)}`);
}

/**
 * Updated parameters in units of the largest learning rate: rms below 1e-3, 99.9 % below 1e-2, none above 2 a step. Adam
 * divides by the size of a gradient, so single entries with tiny gradients mean nothing.
 */
export function assertUpdated(
  actual: ReadonlyMap<string, ArrayLike<number>>,
  expected: ReadonlyMap<string, GoldenTensor>,
  steps: number,
  largestRate: number,
): void {
  const errors: number[] = [];
  for (const [name, { data }] of expected) {
    const found = actual.get(name);
    assert(found !== undefined && found.length === data.length, `There is no parameter ${name}`);
    for (let i = 0; i < data.length; i++) errors.push(Math.abs(found[i]! - data[i]!) / largestRate);
  }
  const rms = Math.sqrt(errors.reduce((sum, e) => sum + e * e, 0) / errors.length);
  const below = errors.filter((e) => e < 1e-2).length / errors.length;
  assert(rms < 1e-3, `Parameters are off by ${rms} learning rates (rms)`);
  assert(below >= 0.999, `Only ${below} of the parameters are within a hundredth of the learning rate`);
  assert(errors.every((e) => e <= 2 * steps), `A parameter is off by more than ${2 * steps} learning rates`);
}
