import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { ReferenceEngine } from "../../../models/runtime/reference.ts";
import { input, topologicalOrder } from "../../../models/tensor/mod.ts";
import { CASES } from "./_cases.ts";
import { run, traced } from "./_run.ts";

Deno.test("every operation has a case that traces it", () => {
  for (const [kind, cases] of Object.entries(CASES)) {
    assert(cases.length > 0, kind);
    for (const { name, inputs, trace } of cases) {
      const result = trace(...inputs.map(({ shape, dtype }, i) => input(`x${i}`, shape, dtype)));
      assert(topologicalOrder([result]).some(({ op }) => op.kind === kind), `"${name}" does not trace ${kind}`);
    }
  }
});

Deno.test("no two cases have one name", () => {
  const names = Object.values(CASES).flat().map(({ name }) => name);
  assertEquals(names.filter((name, i) => names.indexOf(name) !== i), []);
});

for (const opCase of Object.values(CASES).flat()) {
  Deno.test(`the reference engine gives the numbers checked by hand: ${opCase.name}`, async () => {
    const { outputs, values } = traced(opCase);
    const result = (await run(new ReferenceEngine(), { result: outputs["result"]! }, values)).get("result")!;
    assertEquals(result.length, opCase.expected.length);
    // Inputs such as log 3 are rounded to f32 before the operation sees them.
    result.forEach((number, i) =>
      assertAlmostEquals(number, opCase.expected[i]!, 1e-7 * Math.max(1, Math.abs(number)))
    );
  });
}
