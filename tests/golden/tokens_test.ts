/** Position tables, tube masks and pixel targets against the official code. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { normalizedPixels, pixelTarget } from "../../models/patch_embed.ts";
import { sinusoid } from "../../models/positions.ts";
import { input, program } from "../../models/tensor/mod.ts";
import { amdMask, maskCounts, splitPositions, tubeTokens, videoMaeMask } from "../../models/tube_masks.ts";
import { type ClipConfig, cubesOf, goldenJson, goldenTensors, goldenTest } from "./_golden.ts";
import { goldenEngine, runOnce } from "./_run.ts";

goldenTest("position tables are the official ones", ["videomae-pos.json", "videomae-pos.safetensors"], async () => {
  interface Positions {
    tables: Record<string, { positions: number; width: number; sum: number; sum_sq: number; weighted_sum: number }>;
  }
  const { tables } = await goldenJson<Positions>("videomae-pos.json");
  const stored = await goldenTensors("videomae-pos.safetensors");
  for (const [name, expected] of Object.entries(tables)) {
    const { positions, width } = expected;
    const table = sinusoid(positions, width);
    let [sum, squares, weighted] = [0, 0, 0];
    table.forEach((value, i) => {
      sum += value;
      squares += value * value;
      weighted += value * (Math.floor(i / width) + 1);
    });
    assertAlmostEquals(sum, expected.sum, 1e-6 * squares);
    assertAlmostEquals(squares, expected.sum_sq, 1e-6 * squares);
    assertAlmostEquals(weighted, expected.weighted_sum, 1e-6 * Math.abs(expected.weighted_sum));
    const parts: [string, number][] = [["full", 0], ["first3", 0], ["last3", (positions - 3) * width]];
    const found = parts.filter(([part]) => stored.has(`${name}.${part}`));
    assert(found.length > 0);
    for (const [part, start] of found) {
      stored.get(`${name}.${part}`)!.data.forEach((value, i) => assertAlmostEquals(table[start + i]!, value, 1e-6));
    }
  }
});

interface Masks {
  counts: {
    grid_t_h_w: [number, number, number];
    ratio_student: number;
    ratio_teacher: number;
    student_visible_total: number;
    teacher_visible_total: number;
  }[];
  examples: {
    grid_t_h_w: [number, number, number];
    ratio_student: number;
    ratio_teacher: number;
    perm: number[];
    student_visible_slot0: number[];
    diff_slot0: number[];
    sum_of_student_masked_indices_all_slots: number;
    sum_of_diff_indices_all_slots: number;
    mask_student?: number[];
    mask_teacher?: number[];
    mask_diff?: number[];
  }[];
  tube_two_class: {
    counts: { grid_t_h_w: [number, number, number]; ratio: number; masked_total: number }[];
    examples: { grid_t_h_w: [number, number, number]; ratio: number; perm: number[]; mask: number[] }[];
  };
}

/** Tokens where a stored mask is `value`. */
function tokensOfMask(mask: readonly number[], value: number): number[] {
  return [...mask.keys()].filter((token) => mask[token] === value);
}

/** The official shuffle puts class `before[perm[i]]` at position i: the order of positions is the inverse. */
function orderOf(perm: readonly number[]): Uint32Array {
  const order = new Uint32Array(perm.length);
  perm.forEach((from, position) => order[from] = position);
  return order;
}

const sum = (values: Iterable<number>) => Array.from(values).reduce((a, b) => a + b, 0);

goldenTest("mask counts are the official floors", ["masks.json"], async () => {
  const { counts, tube_two_class } = await goldenJson<Masks>("masks.json");
  for (const { grid_t_h_w: [slots, rows, columns], ratio_student, ratio_teacher, ...totals } of counts) {
    const { studentVisible, teacherVisible } = maskCounts(rows * columns, ratio_student, ratio_teacher);
    assertEquals(studentVisible * slots, totals.student_visible_total);
    assertEquals(teacherVisible * slots, totals.teacher_visible_total);
  }
  for (const { grid_t_h_w: [slots, rows, columns], ratio, masked_total } of tube_two_class.counts) {
    const { studentVisible } = maskCounts(rows * columns, ratio, ratio);
    assertEquals(slots * (rows * columns - studentVisible), masked_total);
  }
});

goldenTest("masks from a given shuffle are the official ones", ["masks.json"], async () => {
  const { examples, tube_two_class } = await goldenJson<Masks>("masks.json");
  for (const example of examples) {
    const { grid_t_h_w: [slots, rows, columns], ratio_student, ratio_teacher, perm } = example;
    const positions = rows * columns;
    const { studentVisible, teacherVisible } = maskCounts(positions, ratio_student, ratio_teacher);
    const order = orderOf(perm);
    const [teacherPositions] = splitPositions(order, teacherVisible);
    // The teacher's positions in the shuffle's order, as places in their sorted list.
    const places = order.slice(0, teacherVisible).map((position) => teacherPositions.indexOf(position));
    const mask = amdMask(teacherPositions, places, studentVisible, slots, positions);
    const slot0 = (tokens: Int32Array) => Array.from(tokens).filter((token) => token < positions);
    assertEquals(slot0(mask.studentTokens), example.student_visible_slot0);
    assertEquals(slot0(mask.teacherOnlyTokens), example.diff_slot0);
    assertEquals(sum(mask.hiddenTokens), example.sum_of_student_masked_indices_all_slots);
    assertEquals(sum(mask.teacherOnlyTokens), example.sum_of_diff_indices_all_slots);
    const teacherTokens = tubeTokens(teacherPositions, slots, positions);
    if (example.mask_student) {
      assertEquals([...mask.studentTokens], tokensOfMask(example.mask_student, 0));
      assertEquals([...mask.hiddenTokens], tokensOfMask(example.mask_student, 1));
      assertEquals([...mask.teacherOnlyTokens], tokensOfMask(example.mask_diff!, 1));
      assertEquals([...teacherTokens], tokensOfMask(example.mask_teacher!, 0));
    }
    assertEquals([...mask.studentRows].map((row) => teacherTokens[row]), [...mask.studentTokens]);
    assertEquals([...mask.teacherOnlyRows].map((row) => teacherTokens[row]), [...mask.teacherOnlyTokens]);
  }
  for (const { grid_t_h_w: [slots, rows, columns], ratio, perm, mask } of tube_two_class.examples) {
    const { studentVisible } = maskCounts(rows * columns, ratio, ratio);
    const { visibleTokens, hiddenTokens } = videoMaeMask(orderOf(perm), studentVisible, slots);
    assertEquals([...visibleTokens], tokensOfMask(mask, 0));
    assertEquals([...hiddenTokens], tokensOfMask(mask, 1));
  }
});

goldenTest(
  "normalised pixels and pixel targets are the official ones",
  ["patchify.json", "patchify.safetensors"],
  async () => {
    interface Patchify {
      config: Omit<ClipConfig, "img" | "batch"> & { height: number; width: number };
      constant_cubes: { tokens: number[] };
    }
    const { config: { height, width, ...rest }, constant_cubes } = await goldenJson<Patchify>("patchify.json");
    const config = { ...rest, img: [height, width] as [number, number], batch: 1 };
    const stored = await goldenTensors("patchify.safetensors");
    const clip = stored.get("clip_u8")!.data;
    const [tokens, values] = stored.get("cubes_of_clip")!.shape as [number, number];
    const cubes = input("cubes", [1, tokens, values], "u8");
    const results = await runOnce(
      await goldenEngine(),
      program("patchify", { pixels: normalizedPixels(cubes), target: pixelTarget(cubes) }),
      new Map([["cubes", cubesOf(config, (_, t, y, x, c) => clip[((t * height + y) * width + x) * 3 + c]!)]]),
    );
    const pixels = results.get("pixels")!;
    stored.get("cubes_of_clip")!.data.forEach((value, i) => assertAlmostEquals(pixels[i]!, value, 1e-6));
    const target = results.get("target")!;
    stored.get("target_float64")!.data.forEach((value, i) => {
      // A cube of one colour is exactly 0 here; the official float32 has amplified rounding in its place.
      const isConstant = constant_cubes.tokens.includes(Math.floor(i / values));
      assertAlmostEquals(target[i]!, value, isConstant ? 0 : 1e-5);
    });
  },
);
