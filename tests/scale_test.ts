/** The numbers of docs/scale.md, computed again from the programs by the formulas that stand there. */
import { assertEquals } from "@std/assert";
import { stableHlo } from "../models/runtime/stablehlo.ts";
import { matmulFlop, sizeOf } from "../models/tensor/mod.ts";
import { resolveSettings } from "../pipeline/settings.ts";
import { studentStep } from "../pipeline/stages/programs.ts";

const NODE = 8;
const NVLINK = 0.8 * 450e9;
const INFINIBAND = 0.8 * 50e9;
const HOP = { inside: 3e-6, between: 10e-6 };
const BUNDLE = 30 * 2 ** 20;
const CLIPS = 2048;
const PEAK = 989e12;

const text = await Deno.readTextFile(new URL("../docs/scale.md", import.meta.url));

/** Rows of the page's tables whose first cell is a student. */
function rows(student: string, cells: number): string[][] {
  return text.split("\n").map((line) => line.split("|").map((cell) => cell.trim()).slice(1, -1))
    .filter((row) => row[0] === student && row.length === cells);
}

for (const [student, preset, reached] of [["S", "k400-vit-s", 0.25], ["B", "k400-vit-b", 0.45]] as const) {
  Deno.test(`docs/scale.md says what a step of student ${student} costs`, () => {
    const { settings } = resolveSettings({ preset, withoutData: true, flags: {} });
    assertEquals(settings.pretrain.batch, CLIPS);
    const { program, parameters } = studentStep({ ...settings, pretrain: { ...settings.pretrain, batch: 2 } }, "bf16");
    const elements = (pattern: RegExp) =>
      parameters.filter(({ name }) => pattern.test(name)).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
    const reductions = stableHlo(program, { devices: 2, bf16Products: true })
      .matchAll(/stablehlo\.all_reduce[\s\S]*?\}\) : \(tensor<([\dx]*)f32>/g);
    const reduced = [...reductions]
      .reduce((sum, [, shape]) => sum + sizeOf(shape!.split("x").filter((size) => size !== "").map(Number)), 0);
    assertEquals(reduced, elements(/./) + 5, "every gradient once, and five losses");
    const bytes = 4 * reduced;
    const flop = matmulFlop(program) / 2;
    assertEquals(rows(student, 5), [[
      student,
      elements(/./).toLocaleString("en"),
      elements(/^generators|projection/).toLocaleString("en"),
      `${(bytes / 1e6).toFixed(1)} MB`,
      (flop / 1e9).toFixed(1),
    ]]);
    const expected = [8, 64, 512].map((gpus) => {
      const nodes = gpus / NODE;
      const compute = flop * CLIPS / gpus / (reached * PEAK);
      const transfer = 2 * (NODE - 1) / NODE * bytes / NVLINK + 2 * (nodes - 1) / nodes * bytes / NODE / INFINIBAND;
      const latency = Math.ceil(bytes / BUNDLE) * (2 * (NODE - 1) * HOP.inside + 2 * (nodes - 1) * HOP.between);
      const ms = [compute, transfer, latency, transfer + latency].map((seconds) => (seconds * 1000).toFixed(2));
      const share = (transfer + latency) / (transfer + latency + compute);
      return [student, String(gpus), String(CLIPS / gpus), ...ms, `${(100 * share).toFixed(1)} %`];
    });
    assertEquals(rows(student, 8), expected);
  });
}
