import { assertEquals } from "@std/assert";
import { schedule } from "../../../models/runtime/_schedule.ts";
import { add, exp, input, negate, program } from "../../../models/tensor/mod.ts";

Deno.test("a value is released after the last operation that needs it, an output never", () => {
  const x = input("x", [2]), y = input("y", [2]);
  const a = exp(x), b = add(a, x), c = negate(a), d = add(add(b, c), y);
  const names = new Map([[x, "x"], [y, "y"], [a, "a"], [b, "b"], [c, "c"], [d, "d"], [d.inputs[0]!, "bc"]]);
  const steps = schedule(program("p", { c, d })).map(({ tensor, releases }) =>
    `${names.get(tensor)}: ${releases.map((released) => names.get(released)).join(" ")}`
  );
  assertEquals(steps, ["x: ", "y: ", "a: ", "b: x", "c: a", "bc: b", "d: bc y"]);
});

Deno.test("a value used twice by one operation is released once", () => {
  const x = input("x", [2]);
  assertEquals(schedule(program("p", { y: add(x, x) })).map(({ releases }) => releases.length), [0, 1]);
});
