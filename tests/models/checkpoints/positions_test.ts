/** Position tables of checkpoints for other grids, beside PyTorch's interpolation. */
import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { fitPositions } from "../../../models/checkpoints/positions.ts";

const grid = (slots: number, rows: number, columns: number) => ({ slots, rows, columns });

Deno.test("a table of the same grid is taken as it is, without the row of a class token", () => {
  const table = Float32Array.from({ length: 5 * 3 }, (_, i) => i);
  assertEquals(fitPositions(table, [1, 5, 3], grid(1, 2, 2)), table.slice(3));
  assertEquals(fitPositions(table.slice(3), [4, 3], grid(1, 2, 2)), table.slice(3));
});

Deno.test("rows and columns are interpolated as PyTorch's bicubic interpolation does", () => {
  // torch.nn.functional.interpolate(torch.arange(9.).view(1, 1, 3, 3) ** 2, size=(4, 2), mode="bicubic")
  const expected = [
    -0.6073341,
    1.9305763,
    3.5200462,
    11.8949928,
    21.5278053,
    39.0278625,
    40.4383850,
    63.7754745,
  ];
  const table = Float32Array.from({ length: 9 }, (_, i) => i * i);
  const found = fitPositions(table, [1, 9, 1], grid(1, 4, 2));
  found.forEach((value, i) => assertAlmostEquals(value, expected[i]!, 1e-5));
});

Deno.test("a picture's table is seen in every slot of time", () => {
  assertEquals(fitPositions(Float32Array.of(1, 2), [1, 1, 2], grid(3, 1, 1)), Float32Array.of(1, 2, 1, 2, 1, 2));
  // One square token in two slots, wanted as they are.
  assertEquals(fitPositions(Float32Array.of(1, 5), [1, 2, 1], grid(2, 1, 1)), Float32Array.of(1, 5));
});

Deno.test("a constant table stays constant in every grid", () => {
  for (const wanted of [grid(1, 7, 7), grid(4, 3, 9), grid(2, 20, 1)]) {
    const found = fitPositions(new Float32Array(16).fill(2), [1, 16, 1], wanted);
    assertEquals(found.length, wanted.slots * wanted.rows * wanted.columns);
    found.forEach((value) => assertAlmostEquals(value, 2, 1e-6));
  }
});

Deno.test("a table of no square grid is refused", () => {
  assertThrows(() => fitPositions(new Float32Array(7), [1, 7, 1], grid(2, 2, 2)), TypeError, "no square grid");
  assertThrows(() => fitPositions(new Float32Array(4), [4], grid(1, 2, 2)), TypeError, "no square grid");
});
