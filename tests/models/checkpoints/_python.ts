/** Other programs in Python, where a python3 (or the one that TUBELET_PYTHON names) has them. */
import { assertEquals } from "@std/assert";

const PYTHON = Deno.env.get("TUBELET_PYTHON") ?? "python3";

/** Whether the python has no such module; says so. */
export function lacks(module: string): boolean {
  try {
    const { success } = new Deno.Command(PYTHON, { args: ["-c", `import ${module}`], stderr: "null" }).outputSync();
    if (success) return false;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  console.log(`(tests with ${module} are skipped: ${PYTHON} has none; TUBELET_PYTHON names another python)`);
  return true;
}

export const noTorch = lacks("torch");
export const noOnnx = noTorch || lacks("onnxruntime") || lacks("onnx");
export const noTransformers = noTorch || lacks("transformers");

/** Runs Python code with `data` as its `data`; returns what it prints last as JSON. */
export function python(code: string, data: unknown): unknown {
  const { success, stdout, stderr } = new Deno.Command(PYTHON, {
    args: ["-c", `import json, sys, torch\ntorch.set_num_threads(1)\ndata = json.loads(sys.argv[1])\n${code}`]
      .concat(JSON.stringify(data)),
    env: { HF_HUB_OFFLINE: "1", TRANSFORMERS_VERBOSITY: "error" },
  }).outputSync();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout).trim().split("\n").at(-1)!);
}

/** Largest difference; prints it beside the largest value. */
export function difference(found: ArrayLike<number>, expected: readonly number[], what: string): number {
  assertEquals(found.length, expected.length, what);
  const largest = Math.max(...expected.map((value, i) => Math.abs(value - found[i]!)));
  const size = Math.max(...expected.map(Math.abs));
  console.log(`(${what}: largest difference ${largest.toExponential(1)} of values up to ${size.toFixed(2)})`);
  return largest;
}
