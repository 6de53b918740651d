/** Costs read off shapes: against sums done by hand, and against the multiply-adds that the method's networks are known by. */
import { assertAlmostEquals, assertEquals } from "@std/assert";
import { teacherForward } from "../../../models/teacher.ts";
import {
  add,
  exp,
  gradients,
  input,
  matmul,
  matmulFlop,
  program,
  softmax,
  sum,
  tensorBytes,
  workingBytes,
} from "../../../models/tensor/mod.ts";
import { reconstruction } from "../../../models/videomae.ts";

const grid = { slots: 8, rows: 14, columns: 14 };
const cube = { tubelet: 2, patch: 16 };
/** Billions of multiply-adds. */
const gmac = (of: Parameters<typeof matmulFlop>[0]) => matmulFlop(of) / 2e9;

Deno.test("a matrix product costs two operations a multiply-add, whichever side is stored transposed", () => {
  const a = input("a", [2, 3]), b = input("b", [3, 5]), c = input("c", [4, 7, 5]), d = input("d", [4, 6, 5]);
  assertEquals(matmulFlop(program("plain", { p: matmul(a, b) })), 2 * 2 * 3 * 5);
  assertEquals(matmulFlop(program("batched", { p: matmul(c, d, { transposeB: true }) })), 4 * 2 * 7 * 5 * 6);
});

Deno.test("the way back through a matrix product costs twice the way there", () => {
  const a = input("a", [2, 3]), b = input("b", [3, 5]);
  const loss = sum(matmul(a, b));
  const [da, db] = gradients(loss, [a, b]) as [typeof a, typeof b];
  assertEquals(matmulFlop(program("both", { loss, da, db })), 3 * 2 * 2 * 3 * 5);
});

Deno.test("the networks cost what the method says: teacher 125.9, student's encoder 3.6, pixel decoder 6.6 GMAC a clip", () => {
  const encoder = { width: 1024, depth: 24, heads: 16 };
  const teacher = teacherForward({ grid, cube, encoder, layers: [12, 24], batch: 1, visible: 392, compute: "f32" });
  assertAlmostEquals(gmac(teacher.program) - 392 * 1536 * 1024 / 1e9, 125.9, 0.05);

  const small = (encoderDepth: number, decoderDepth: number) =>
    gmac(
      reconstruction({
        shape: {
          grid,
          cube,
          encoder: { width: 384, depth: encoderDepth, heads: 6 },
          decoder: { width: 192, depth: decoderDepth, heads: 3 },
        },
        batch: 1,
        visible: 160,
        compute: "f32",
      }).program,
    );
  assertAlmostEquals((small(12, 4) - small(6, 4)) * 2, 3.6, 0.05);
  assertAlmostEquals((small(12, 4) - small(12, 2)) * 2, 6.6, 0.05);
});

Deno.test("working memory is what lives at the same time; what is fused takes none", () => {
  const a = input("a", [2, 3]), b = input("b", [3, 5]), c = input("c", [5, 4]);
  const product = matmul(a, b);
  assertEquals(tensorBytes(product), 40);
  // The product and its softmax, 40 bytes each; the sum comes when the product is gone.
  assertEquals(workingBytes(program("softmax", { total: sum(softmax(product)) })), 80);
  // Exponents are read by a product and stored for it; the addition of a number before them is not.
  assertEquals(workingBytes(program("fused", { result: matmul(exp(add(product, 1)), c) })), 80);
  // Kept for a second use: the first product lives on beside exponent (40) and second product (32).
  const second = matmul(exp(product), c);
  assertEquals(workingBytes(program("kept", { all: add(sum(second), sum(product)) })), 40 + 40 + 32);
});

Deno.test("an output that takes the place of an input needs no memory of its own", () => {
  const state = input("state", [2, 5]), a = input("a", [2, 3]), b = input("b", [3, 5]);
  const next = add(state, matmul(a, b));
  assertEquals(workingBytes(program("donated", { next }, { donate: { state: "next" } })), 40);
  assertEquals(workingBytes(program("fresh", { next })), 80);
});
