/** Threefry, held to the vectors its authors publish with Random123 (`threefry2x32`, 20 rounds), and what draws promise. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { randomWords, threefry } from "../../../models/runtime/_threefry.ts";

Deno.test("Threefry gives the published words", () => {
  const vectors = [
    { counter: [0, 0], key: [0, 0], words: [0x6b200159, 0x99ba4efe] },
    {
      counter: [0xffffffff, 0xffffffff],
      key: [0xffffffff, 0xffffffff],
      words: [0x1cb996fc, 0xbb002be7],
    },
    {
      counter: [0x243f6a88, 0x85a308d3],
      key: [0x13198a2e, 0x03707344],
      words: [0xc4923a9c, 0x483df7a0],
    },
  ] as const;
  for (const { counter, key, words } of vectors) {
    const out = new Uint32Array(2);
    threefry(key[0], key[1], counter[0], counter[1], out);
    assertEquals([...out], [...words]);
  }
});

Deno.test("a longer draw begins with the shorter one, and a sample's words do not depend on the batch", () => {
  const options = { stream: 5, bits: 32 };
  const long = randomWords([1, 2], 9, options);
  assertEquals(randomWords([1, 2], 4, options), long.slice(0, 4));
  assertEquals(randomWords([8, 9, 1, 2], 9, options).slice(9), long);
});

Deno.test("streams and keys differ in every word, and bits are the upper ones", () => {
  const words = randomWords([1, 2], 50, { stream: 0, bits: 32 });
  assertEquals(randomWords([1, 2], 50, { stream: 0, bits: 7 }), words.map((word) => word >>> 25));
  for (
    const other of [randomWords([1, 2], 50, { stream: 1, bits: 32 }), randomWords([2, 1], 50, { stream: 0, bits: 32 })]
  ) {
    assert(words.every((word, i) => word !== other[i]));
  }
});

Deno.test("words are spread evenly: mean and variance of 100,000 numbers are those of the uniform distribution", () => {
  const numbers = Array.from(randomWords([3, 4], 100_000, { stream: 0, bits: 24 }), (word) => word / 2 ** 24);
  const mean = numbers.reduce((sum, x) => sum + x, 0) / numbers.length;
  assertAlmostEquals(mean, 1 / 2, 0.005);
  assertAlmostEquals(numbers.reduce((sum, x) => sum + (x - mean) ** 2, 0) / numbers.length, 1 / 12, 0.002);
});
