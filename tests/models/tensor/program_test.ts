import { assertEquals, assertThrows } from "@std/assert";
import { add, input, multiply, program } from "../../../models/tensor/mod.ts";

const x = input("x", [2]), y = input("y", [2]);

Deno.test("a program's inputs are those its outputs need, in graph order, after those listed", () => {
  const outputs = { sum: add(x, y) };
  assertEquals(program("p", outputs).inputs.map(({ name }) => name), ["x", "y"]);
  assertEquals(program("p", outputs, { inputs: [y] }).inputs.map(({ name }) => name), ["y", "x"]);
  assertEquals(program("p", { x }, { inputs: [y] }).inputs.map(({ name }) => name), ["y", "x"]);
});

Deno.test("a program's outputs keep their order", () => {
  assertEquals(program("p", { b: x, a: add(x, x) }).outputs.map(({ name }) => name), ["b", "a"]);
});

Deno.test("a program keeps its donations", () => {
  const { donations } = program("p", { next: add(x, y) }, { donate: { x: "next" } });
  assertEquals([...donations], [["x", "next"]]);
});

Deno.test("two inputs of one name are an error", () => {
  const other = input("x", [2]);
  assertThrows(() => program("p", { sum: add(x, other) }), TypeError, "Program p has two inputs named x");
});

Deno.test("a listed input that is none is an error", () => {
  assertThrows(() => program("p", { x }, { inputs: [add(x, x)] }), TypeError, "f32[2] as an input");
});

Deno.test("a donation to an unknown or unequal output is an error naming both", () => {
  const outputs = { large: multiply(input("z", [3, 2]), x), low: input("low", [2], "bf16") };
  assertThrows(
    () => program("p", outputs, { donate: { x: "large" } }),
    TypeError,
    "cannot donate input x (f32[2]) to output large (f32[3, 2])",
  );
  assertThrows(() => program("p", outputs, { donate: { x: "low" } }), TypeError, "bf16[2]");
  assertThrows(() => program("p", outputs, { donate: { x: "lost" } }), TypeError, "to output lost");
  assertThrows(() => program("p", outputs, { donate: { lost: "low" } }), TypeError, "input lost");
});

Deno.test("an output takes the memory of one input only", () => {
  assertThrows(
    () => program("p", { sum: add(x, y) }, { donate: { x: "sum", y: "sum" } }),
    TypeError,
    "Program p donates two inputs to output sum",
  );
});
