/** A watched engine tells what it is about to do, and does it. */
import { assertEquals } from "@std/assert";
import { ReferenceEngine } from "../../../models/runtime/reference.ts";
import { watchEngine } from "../../../models/runtime/watch_engine.ts";
import { add, input, program } from "../../../models/tensor/mod.ts";

Deno.test("a watched engine tells before it compiles and before each run, and stays the engine that it is", async () => {
  const told: string[] = [];
  await using engine = new ReferenceEngine();
  assertEquals(watchEngine(engine, (doing) => void told.push(doing)), engine);
  const x = input("x", [2]);
  using twice = await engine.compile(program("twice", { y: add(x, x) }));
  assertEquals(told, ["compiling the program twice"]);
  using value = engine.upload(Float32Array.of(1, 2), [2], "f32");
  for (let run = 0; run < 2; run++) {
    using result = (await twice.run(new Map([["x", value]]))).get("y")!;
    assertEquals([...await result.read()], [2, 4]);
  }
  assertEquals(told.slice(1), ["running the program twice", "running the program twice"]);
});
