/** The precision policy of `models/tensor/mod.ts`, read off the traced programs of all training steps. */
import { assert, assertEquals } from "@std/assert";
import { amdStep } from "../../models/amd.ts";
import { classifierStep } from "../../models/classifier.ts";
import type { Compute } from "../../models/shapes.ts";
import { type OpKind, type Tensor, topologicalOrder } from "../../models/tensor/mod.ts";
import type { TrainStep } from "../../models/train_step.ts";
import { videoMaeStep } from "../../models/videomae.ts";

const encoder = { width: 16, depth: 2, heads: 2 };
const clips = { grid: { slots: 2, rows: 2, columns: 4 }, cube: { tubelet: 2, patch: 2 } };
const optimizer = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.05, clipNorm: 0.5 };
const shape = { ...clips, encoder, decoder: { width: 8, depth: 1, heads: 2 } };
const TEACHER = { shape: { width: 24, depth: 1, heads: 3 }, layers: [1] };

function steps(compute: Compute): TrainStep[] {
  const common = { batch: 4, compute, optimizer, accumulate: 2 } as const;
  const alignment = {
    teacherWidth: 24,
    studentLayers: [1],
    generatorDepth: 1,
    generatorTokens: "trained",
    normalizeTargets: true,
    weights: { pixel: 1, direct: 1, generation: 1 },
  } as const;
  return [false, true].flatMap((remat) => [
    videoMaeStep({ shape, visible: 4, ...common, remat }),
    amdStep({ shape, ...alignment, teacher: TEACHER, visible: 4, teacherVisible: 8, ...common, remat }),
    amdStep({ shape, ...alignment, visible: 4, teacherVisible: 8, ...common, remat }),
    classifierStep({ ...clips, encoder, classes: 3, dropPath: 0.5, augmentation: { mixup: true }, ...common, remat }),
  ]);
}

/** Every tensor of a step. */
function tensorsOf({ program }: TrainStep): Tensor[] {
  return topologicalOrder(program.outputs.map(({ tensor }) => tensor));
}

const MIXED = steps("bf16"), FULL = steps("f32");

Deno.test("parameters, moments and metrics are f32 before and after a step, in either compute type", () => {
  for (const { program } of [...MIXED, ...FULL]) {
    const state = /^(?:parameter|moment1|moment2)\/|^(?:learning_rate|correction\d|metrics)$/;
    const found = [...program.inputs, ...program.outputs].filter(({ name }) => state.test(name));
    assert(found.length > 6 * 20);
    for (const { name, tensor } of found) assertEquals(tensor.dtype, "f32", `${name} of ${program.name}`);
  }
});

Deno.test("in bf16 every matrix product has bf16 operands, and its gradients by a weight are f32", () => {
  for (const step of MIXED) {
    const all = tensorsOf(step);
    const products = all.filter(({ op }) => op.kind === "matmul");
    assert(products.length > 50);
    for (const { inputs: [a, b] } of products) assertEquals([a!.dtype, b!.dtype], ["bf16", "bf16"], `${a} by ${b}`);
    // Nothing but a product, and what scales it, makes the gradient of a matrix that enters the moments.
    const moments = step.program.outputs.filter(({ name }) => name.startsWith("moment1/"));
    for (const tensor of topologicalOrder(moments.map(({ tensor }) => tensor))) {
      const widened = tensor.op.kind === "convert" && tensor.dtype === "f32" && tensor.inputs[0]!.dtype === "bf16";
      const weights = step.parameters.some(({ shape }) => shape.length === 2 && String(shape) === String(tensor.shape));
      assert(!(widened && weights && tensor.inputs[0]!.op.kind === "matmul"), `${tensor} was rounded to bf16`);
    }
  }
});

Deno.test("sums, softmax, norms, exponentials and losses are computed in f32", () => {
  const careful = new Set<OpKind>(["sum", "max", "exp", "log", "sqrt", "rsqrt", "erf", "tanh", "divide", "layer_norm"]);
  for (const step of MIXED) {
    for (const { op, inputs } of tensorsOf(step)) {
      if (careful.has(op.kind) || op.kind === "softmax") assertEquals(inputs[0]!.dtype, "f32", op.kind);
    }
  }
});

Deno.test("what is added in bf16 are three gradients of one activation at most", () => {
  const lowSum = ({ op, dtype }: Tensor) => op.kind === "add" && dtype === "bf16";
  /** How many numbers a chain of additions adds up. */
  const addends = (tensor: Tensor): number =>
    lowSum(tensor) ? tensor.inputs.reduce((sum, input) => sum + addends(input), 0) : 1;
  for (const step of MIXED) {
    const found = tensorsOf(step).filter(lowSum).map((tensor) => [tensor.rank, addends(tensor)] as const);
    assert(found.every(([rank, addends]) => rank === 3 && addends <= 3), String(found));
  }
});

Deno.test("in f32 there is no bf16 at all", () => {
  for (const step of FULL) assert(tensorsOf(step).every(({ dtype }) => dtype !== "bf16"), step.program.name);
});
