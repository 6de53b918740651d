/** Numbers for people, at the borders where the unit changes. */
import { assertEquals } from "@std/assert";
import {
  formatAmount,
  formatBytes,
  formatCount,
  formatDuration,
  formatRate,
  formatShare,
} from "../../pipeline/units.ts";

Deno.test("bytes change their unit before they would need four digits", () => {
  const bytes = [0, 999, 1000, 9_994, 9_995, 999_499, 999_500, 1_605_632, 1.5e12, 2e18, NaN];
  assertEquals(bytes.map(formatBytes), [
    "0 B",
    "999 B",
    "1.00 kB",
    "9.99 kB",
    "10.0 kB",
    "999 kB",
    "1.00 MB",
    "1.61 MB",
    "1.50 TB",
    "2000 PB",
    "? B",
  ]);
});

Deno.test("durations show their two largest units and never sixty of one", () => {
  const seconds = [0, 0.0123, 9.94, 9.96, 59.4, 59.6, 60, 125, 3599.6, 3600, 12_000, 86_399, 187_200, -1, NaN];
  assertEquals(seconds.map(formatDuration), [
    "0 s",
    "0.012 s",
    "9.9 s",
    "10 s",
    "59 s",
    "1 min",
    "1 min",
    "2 min 5 s",
    "1 h",
    "1 h",
    "3 h 20 min",
    "1 d",
    "2 d 4 h",
    "?",
    "?",
  ]);
});

Deno.test("slow rates are given as seconds for one", () => {
  assertEquals(formatRate(1234.5, "clips", "clip"), "1,235 clips/s");
  assertEquals(formatRate(12.345, "clips", "clip"), "12.3 clips/s");
  assertEquals(formatRate(0.25, "steps", "step"), "4.00 s/step");
  assertEquals(formatRate(0, "steps", "step"), "? steps/s");
});

Deno.test("counts separate thousands, amounts know the plural, shares are percentages", () => {
  assertEquals([0, 999, 1000, 240_436, -1234567, 0.5].map(formatCount), [
    "0",
    "999",
    "1,000",
    "240,436",
    "-1,234,567",
    "0.50",
  ]);
  assertEquals([formatAmount(1, "clip"), formatAmount(0, "clip"), formatAmount(2, "frame copy", "frame copies")], [
    "1 clip",
    "0 clips",
    "2 frame copies",
  ]);
  assertEquals([0.81, 1, NaN].map(formatShare), ["81.0 %", "100.0 %", "? %"]);
});
