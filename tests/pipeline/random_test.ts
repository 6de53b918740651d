import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { philox } from "../../pipeline/_philox.ts";
import { permutation, uniform, uniforms } from "../../pipeline/random.ts";

function block(counter: number[], key: [number, number]): string[] {
  const words = Uint32Array.from(counter);
  philox(words, ...key);
  return [...words].map((word) => word.toString(16).padStart(8, "0"));
}

Deno.test("Philox gives the known answers published with the Random123 library", () => {
  const ones = 0xffffffff;
  assertEquals(block([0, 0, 0, 0], [0, 0]), ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]);
  assertEquals(block([ones, ones, ones, ones], [ones, ones]), ["408f276d", "41c83b0e", "a20bc7c6", "6d5451fd"]);
  assertEquals(
    block([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]),
    ["d16cfe09", "94fdcceb", "5001e420", "24126ea1"],
  );
});

Deno.test("a draw is a pure function of seed, purpose and key, and any difference changes it", () => {
  const draw = uniform(1, "mask", 2, "clip-a");
  assertEquals(uniform(1, "mask", 2, "clip-a"), draw);
  const others = [
    uniform(2, "mask", 2, "clip-a"),
    uniform(1 + 2 ** 32, "mask", 2, "clip-a"),
    uniform(1, "crop", 2, "clip-a"),
    uniform(1, "mask", 3, "clip-a"),
    uniform(1, "mask", 2 + 2 ** 32, "clip-a"),
    uniform(1, "mask", -2, "clip-a"),
    uniform(1, "mask", 2, "clip-b"),
    uniform(1, "mask", 2),
    uniform(1, "mask", "clip-a", 2),
    uniform(1, "mask", "2", "clip-a"),
    uniform(1, "mask2", "clip-a"),
    uniform(1, "mask", 2, "clip-a", 0),
    uniform(1, "mask", 2, "clip-a", ""),
    uniform(1, "mask", 2, "clip-a\0"),
  ];
  assertEquals(new Set([draw, ...others]).size, others.length + 1);
});

Deno.test("draws keep their published values, so that a resumed run repeats an old one", () => {
  assertEquals([...uniforms(3, 7, "crop", 3, "clip-ä")], [0.3257826757904224, 0.8724709716913379, 0.528793781184204]);
  assertEquals([...permutation(8, 7, "mask", 0)], [7, 0, 1, 2, 4, 6, 5, 3]);
});

Deno.test("a longer draw begins with the shorter one", () => {
  const long = uniforms(9, 5, "x");
  for (let n = 0; n < 9; n++) assertEquals(uniforms(n, 5, "x"), long.subarray(0, n));
});

Deno.test("uniform numbers fill sixteen bins evenly, within a stream and across keys", () => {
  const within = uniforms(16000, 3, "bins");
  const across = Float64Array.from({ length: 16000 }, (_, i) => uniform(3, "bins", i));
  for (const draws of [within, across]) {
    const bins = new Array<number>(16).fill(0);
    for (const u of draws) {
      assert(u >= 0 && u < 1);
      bins[Math.floor(u * 16)]!++;
    }
    const chiSquare = bins.reduce((sum, n) => sum + (n - 1000) ** 2 / 1000, 0);
    assert(chiSquare < 44.3, `chi-square ${chiSquare} with 15 degrees of freedom exceeds its 0.9999 quantile`);
  }
});

Deno.test("neighbouring keys are uncorrelated", () => {
  let sum = 0;
  const n = 20000;
  for (let i = 0; i < n; i++) sum += (uniform(3, "c", i) - 0.5) * (uniform(3, "c", i + 1) - 0.5) * 12;
  assert(Math.abs(sum / n) < 4 / Math.sqrt(n), `correlation ${sum / n}`);
});

Deno.test("a permutation holds every element once and puts each at each place equally often", () => {
  assertEquals([...permutation(0, 1, "p")], []);
  const counts = Array.from({ length: 5 }, () => new Array<number>(5).fill(0));
  for (let epoch = 0; epoch < 5000; epoch++) {
    const order = permutation(5, 1, "p", epoch);
    assertEquals([...order].sort(), [0, 1, 2, 3, 4]);
    order.forEach((element, place) => counts[place]![element]!++);
  }
  const chiSquare = counts.flat().reduce((sum, n) => sum + (n - 1000) ** 2 / 1000, 0);
  assert(chiSquare < 48, `chi-square ${chiSquare} with 16 degrees of freedom`);
  assertNotEquals([...permutation(196, 1, "p", 0)], [...permutation(196, 1, "p", 1)]);
});

Deno.test("a seed or key that is no safe integer is refused with the value found", () => {
  assertThrows(() => uniform(-1, "x"), RangeError, "found -1");
  assertThrows(() => uniform(0.5, "x"), RangeError, "found 0.5");
  assertThrows(() => uniform(1, "x", 1.5), RangeError, "found 1.5");
  assertThrows(() => uniforms(-1, 1, "x"), RangeError, "found -1");
});
